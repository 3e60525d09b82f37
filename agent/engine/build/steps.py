"""One stage of a build, followed step by step: what the cache has is taken, what it lacks is done."""

import asyncio
import contextlib
import os
import pathlib
from collections.abc import Awaitable, Callable, Iterator, Sequence

from agent import errors
from agent.distribution.layers import streams
from agent.dockerfile import builds, evaluate, instructions, remotes
from agent.engine.build import (
    cache,
    copying,
    disk_trees,
    fetching,
    keys,
    mounting,
    remote_steps,
    result,
    running,
    spec,
    workbenches,
    workspace,
    writing,
)
from agent.engine.bundle import users
from agent.engine.images import leases
from agent.engine.kernel import api
from agent.kit import clock, frozen, locks, tasks
from agent.oci import digest, image_config
from agent.reasons import Reason

_NANOSECONDS = 10**9
_HIGHEST_MODE = 0o7777
_NOWHERE = instructions.Origin((1, 1), 1, "")


@frozen.value
class StepLayer:
    """A layer of a stage: usable at once; packed and kept once ``layer`` is done."""

    diff_id: str
    layer: asyncio.Future[spec.Layer]
    created: float
    """When, in seconds since the epoch."""
    is_cached: bool


@frozen.value
class Stage:
    """A stage so far."""

    base: result.Base
    frame: evaluate.Frame
    layers: tuple[StepLayer, ...]
    moments: tuple[result.Moment, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the chain id of each layer, the lowest first."""
        return image_config.chain_ids(tuple(step_layer.diff_id for step_layer in self.layers))


@frozen.value(kw_only=True)
class Deps:
    """Collaborators of a build's steps."""

    kernel: api.Kernel
    workshop: workspace.Workshop
    runner: running.Runner
    cache: cache.Cache
    lease: leases.Lease
    locks: locks.KeyedLocks
    digests: disk_trees.Digests
    clock: clock.Clock
    limits: streams.Limits
    mounts: mounting.Deps
    fetcher: fetching.Fetcher
    tree: Callable[[str, workbenches.Workbench], contextlib.AbstractAsyncContextManager[disk_trees.DiskTree]]
    """Opens what ``--from`` names, or the context, in a step's place."""
    workbench: Callable[[], contextlib.AbstractAsyncContextManager[workbenches.Workbench]]
    """Makes a place where nothing runs."""
    crew: tasks.Crew
    held: contextlib.AsyncExitStack
    """Closed when the build ends, however it does."""
    remote: remote_steps.RemoteSteps
    record: Callable[[str, StepLayer], None]
    """Takes note of each step's layer with its key."""


class Steps:
    """Does steps."""

    def __init__(self, deps: Deps, request: builds.Request) -> None:
        """Nothing is done yet."""
        self._deps = deps
        self._request = request

    async def layer(self, stage: Stage, step: evaluate.Step, output: Callable[[bytes], None]) -> StepLayer:
        """Return a step's layer upon a stage, of the cache or made now.

        Raises ``running.Failed``, ``errors.Failure``, ``OSError``.
        """
        ids = stage.ids
        match step:
            case evaluate.DirectoryStep():
                key = keys.of_folder(_top(ids), step)
                return await self._cached(key, stage, lambda: self._folder(ids, step))
            case evaluate.CopyStep():
                return await self._copy(stage, ids, step)
            case evaluate.RunStep():
                return await self._run(stage, ids, step, output)

    async def _cached(self, key: str, stage: Stage, make: Callable[[], Awaitable[workspace.Finished]]) -> StepLayer:
        """Return what the cache has, or make it; one build at a time, until others can take it of the cache."""
        async with contextlib.AsyncExitStack() as held:
            await held.enter_async_context(self._deps.locks.hold(key))
            if self._request.uses_cache and (step_layer := await self._from_caches(key, stage)) is not None:
                self._deps.record(key, step_layer)
                return step_layer
            finished = await make()
            now = self._deps.clock.now()
            lock = await self._deps.held.enter_async_context(held.pop_all())
            keeping = self._keep(key, stage, finished, now, lock)
            layer = self._deps.crew.promise(keeping, name=f"layer {finished.directory.name}")
            step_layer = StepLayer(finished.diff_id, layer, now, is_cached=False)
            self._deps.record(key, step_layer)
            return step_layer

    async def _from_caches(self, key: str, stage: Stage) -> StepLayer | None:
        """Return what this host's cache has, or one in a registry."""
        now = self._deps.clock.now()
        for own_key in (key, *self._deps.remote.local_keys(key)):
            step = self._deps.cache.find(own_key, now)
            if step is not None and (step_layer := await self._present(step, stage)) is not None:
                return step_layer
        remote = await self._deps.remote.find(key)
        if remote is None:
            return None
        below = [await step_layer.layer for step_layer in stage.layers]
        ids = image_config.chain_ids(tuple(layer.diff_id for layer in (*below, remote.step.layer)))
        await self._deps.lease.add([remote.step.layer.blob.digest, ids[-1]])
        await self._deps.remote.fetch(remote, below, ids)
        self._deps.cache.keep(remote.local_key, remote.step, below, now)
        return await self._present(remote.step, stage)

    async def _present(self, step: cache.Step, stage: Stage) -> StepLayer | None:
        """Return a step's layer, on lease; ``None`` where it is not there any more."""
        ids = image_config.chain_ids((*(step_layer.diff_id for step_layer in stage.layers), step.layer.diff_id))
        await self._deps.lease.add([step.layer.blob.digest, ids[-1]])
        if not self._deps.workshop.has(step.layer, ids[-1]):
            return None
        layer: asyncio.Future[spec.Layer] = asyncio.get_running_loop().create_future()
        layer.set_result(step.layer)
        return StepLayer(step.layer.diff_id, layer, step.created, is_cached=True)

    async def _keep(
        self, key: str, stage: Stage, finished: workspace.Finished, now: float, held: contextlib.AsyncExitStack
    ) -> spec.Layer:
        async with held:
            layer = await self._deps.workshop.kept(finished, self._deps.lease)
            below = [await step_layer.layer for step_layer in stage.layers]
            self._deps.cache.keep(key, cache.Step(layer, now), below, now)
            return layer

    async def _folder(self, ids: Sequence[str], step: evaluate.DirectoryStep) -> workspace.Finished:
        async with self._deps.workbench() as bench, self._deps.workshop.layer(ids, bench.root) as work:
            owner = self._account(bench.root, step.user) if step.user else writing.Owner(0, 0)
            await tasks.in_thread(lambda: self._make_folder(work, step.path, owner))
        return await self._finished(work, ids, ids)

    def _make_folder(self, work: workspace.WorkLayer, path: str, owner: writing.Owner) -> None:
        with self._writer(work, owner) as (writer, _):
            writer.make_folders(writer.resolved(path))

    async def _copy(self, stage: Stage, ids: Sequence[str], step: evaluate.CopyStep) -> StepLayer:
        remote = [path for path in step.sources.paths if step.is_add and remotes.is_remote(path)]
        if remote and not self._request.fetches:
            raise errors.InvalidArgument(
                f"{remote[0]} would be fetched over the host's network, which is not admitted for this source",
                hint="take it out, or set hostNetwork: true in the settings' admission",
                reason=Reason.BUILD_NOT_ADMITTED,
            )
        local = [path for path in step.sources.paths if path not in remote]
        below: Sequence[str] = () if step.sources.is_linked else ids
        async with contextlib.AsyncExitStack() as stack:
            bench = await stack.enter_async_context(self._deps.workbench())
            folder = self._deps.workshop.scratch() if remote else None
            wishes = fetching.Wishes(step.checksum, step.keeps_git_dir)
            downloads = [
                await self._deps.fetcher.fetched(path, folder, wishes) for path in remote if folder is not None
            ]
            selections: tuple[copying.Selection, ...] = ()
            tree: disk_trees.DiskTree | None = None
            if local:
                tree = await stack.enter_async_context(self._deps.tree(step.stage, bench))
                opened = tree
                selections = await tasks.in_thread(lambda: copying.select(opened, step, local))
            owner = self._owner(ids, step, bench)
            inputs: list[object] = [download.described() for download in downloads]
            if tree is not None:
                opened = tree
                inputs += await tasks.in_thread(lambda: list(copying.described(opened, selections, self._deps.digests)))
            key = keys.of_copy(_top(ids), step, inputs, (owner.uid, owner.gid, owner.mode))

            async def make() -> workspace.Finished:
                async with self._deps.workshop.layer(below, bench.root) as work:
                    await tasks.in_thread(lambda: self._write(work, step, owner, tree, selections, downloads))
                return await self._finished(work, below, ids)

            return await self._cached(key, stage, make)

    def _write(
        self,
        work: workspace.WorkLayer,
        step: evaluate.CopyStep,
        owner: writing.Owner,
        tree: disk_trees.DiskTree | None,
        selections: tuple[copying.Selection, ...],
        downloads: Sequence[fetching.Download],
    ) -> None:
        with self._writer(work, owner) as (writer, top):
            copy = copying.Copying(self._deps.kernel, top, step, writer)
            if tree is not None:
                copy.tree(tree, selections, self._deps.limits)
            for download in downloads:
                copy.download(download, self._deps.limits)
            copy.documents()

    def _owner(self, ids: Sequence[str], step: evaluate.CopyStep, bench: workbenches.Workbench) -> writing.Owner:
        """Return whose the copied files are to be: names are those of the image so far."""
        mode = _mode(step.sources.chmod) if step.sources.chmod else None
        if not step.sources.chown:
            return writing.Owner(mode=mode)
        user, _, group = step.sources.chown.partition(":")
        if user.isdecimal() and (group or user).isdecimal():
            return writing.Owner(int(user), int(group or user), mode)
        with self._deps.workshop.reading(ids, bench.folder("owner")) as root:
            account = self._account(root, step.sources.chown)
        return writing.Owner(account.uid, account.gid if group or not user.isdecimal() else account.uid, mode)

    def _account(self, root: pathlib.Path, name: str) -> writing.Owner:
        user = users.resolve(self._deps.kernel, root, name)
        return writing.Owner(user.uid, user.gid)

    async def _run(
        self, stage: Stage, ids: Sequence[str], step: evaluate.RunStep, output: Callable[[bytes], None]
    ) -> StepLayer:
        network = step.network if step.network != "default" else self._request.network
        _check_privileges(step, self._request.network)
        inputs = [await self._shown(mount) for mount in step.mounts if _is_input(mount)]
        key = keys.of_run(_top(ids), step, inputs, network)

        async def make() -> workspace.Finished:
            async with self._deps.runner.workbench() as bench, contextlib.AsyncExitStack() as stack:
                work = await stack.enter_async_context(self._deps.workshop.layer(ids, bench.root))
                mounted = await stack.enter_async_context(
                    mounting.Mounts(self._deps.mounts, bench).mounted(step.mounts)
                )
                await self._deps.runner.run(bench, step, network, mounted, output)
            return await self._finished(work, ids, ids)

        return await self._cached(key, stage, make)

    async def _shown(self, mount: instructions.Mount) -> str:
        """Return the digest of what a bind mount shows."""
        copied = instructions.Sources((mount.source or "/",), (), "/")
        step = evaluate.CopyStep(_NOWHERE, copied, mount.origin, is_add=False)
        async with self._deps.workbench() as bench, self._deps.tree(mount.origin, bench) as tree:
            shown = await tasks.in_thread(
                lambda: list(
                    copying.described(tree, copying.select(tree, step, step.sources.paths), self._deps.digests)
                )
            )
        return digest.of(repr(shown).encode())

    @contextlib.contextmanager
    def _writer(self, work: workspace.WorkLayer, owner: writing.Owner) -> Iterator[tuple[writing.Writer, int]]:
        top = os.open(work.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        latest = None if self._request.epoch is None else self._request.epoch * _NANOSECONDS
        writer = writing.Writer(self._deps.kernel, top, owner, latest)
        try:
            yield writer, top
            writer.close()
        finally:
            os.close(top)

    async def _finished(
        self, work: workspace.WorkLayer, below: Sequence[str], upon: Sequence[str]
    ) -> workspace.Finished:
        return await self._deps.workshop.finished(work, below, self._request.epoch, upon)


def _check_privileges(step: evaluate.RunStep, granted: str) -> None:
    """Refuse what a Dockerfile may not take for itself. Raises ``errors.InvalidArgument``."""
    if step.security != "sandbox":
        raise errors.InvalidArgument(
            f"RUN --security={step.security} is not granted to any build",
            hint="run what needs it in a container that says what it may do",
        )
    if step.network == "host" and granted != "host":
        raise errors.InvalidArgument(
            "RUN --network=host is not granted to this build",
            hint="grant it: trimtab build --network host, or network: host in the manifest",
        )


def _top(ids: Sequence[str]) -> str:
    return ids[-1] if ids else ""


def _mode(text: str) -> int:
    """Read a mode in octal digits. Raises ``errors.InvalidArgument``."""
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= _HIGHEST_MODE:
        raise errors.InvalidArgument(f"{text} is no mode", hint="write it in octal digits: --chmod=0755")
    return mode


def _is_input(mount: instructions.Mount) -> bool:
    """Return whether what a mount shows is part of what a step depends on."""
    return mount.type is instructions.MountType.BIND
