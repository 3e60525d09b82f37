"""One build: the stages that its target needs, side by side where they do not need each other."""

import asyncio
import contextlib
import dataclasses
import functools
import os
import pathlib
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from agent import errors
from agent.distribution.content import documents
from agent.distribution.layers import streams
from agent.dockerfile import builds, configuration, evaluate, ignore, instructions, parse, stages
from agent.dockerfile.mistake import Mistake
from agent.engine import layout
from agent.engine.build import (
    bases,
    cache,
    disk_trees,
    fetching,
    mounting,
    result,
    rooms,
    running,
    spec,
    steps,
    trees,
    workspace,
    writing,
)
from agent.engine.images import leases
from agent.engine.kernel import api
from agent.kit import clock, frozen, locks, tasks
from agent.oci import image_config, platform
from agent.reasons import Reason

_TITLE = 160
"""Characters of an instruction that are shown."""
_LAST_LINES = 20
_LONGEST_LINE = 1000
_FILE_STEPS = (instructions.Run, instructions.Copy, instructions.Add, instructions.Workdir)


@frozen.value(kw_only=True)
class Shared:
    """What all builds of an instance work with."""

    where: layout.Layout
    kernel: api.Kernel
    bases: bases.Bases
    runner: running.Runner
    cache: cache.Cache
    clock: clock.Clock
    limits: streams.Limits
    steps: locks.KeyedLocks
    """Held while a step is made, by its key."""
    caches: locks.KeyedLocks
    """Held while a step uses a cache mount."""
    digests: disk_trees.Digests


@frozen.value(kw_only=True)
class Own:
    """What is one build's own."""

    workshop: workspace.Workshop
    lease: leases.Lease
    crew: tasks.Crew
    held: contextlib.AsyncExitStack


class Solve:
    """One build."""

    def __init__(self, shared: Shared, own: Own, request: builds.Request, report: builds.Report) -> None:
        """Nothing is looked at yet."""
        self._shared = shared
        self._own = own
        self._request = request
        self._report = report
        self._platform = documents.of_platform(request.platform)
        self._ends: dict[int, asyncio.Future[steps.Stage]] = {}
        self._images: dict[tuple[str, platform.Platform], asyncio.Future[bases.Image]] = {}
        self._context: disk_trees.DiskTree | None = None
        self._numbers = 0
        self._cached = self._done = 0
        self._arguments: Mapping[str, str] = {}

    async def image(self) -> spec.BuiltImage:
        """Build. Raises ``builds.BuildFailed``, and other failures of what a build uses."""
        request = self._request
        try:
            self._arguments = stages.global_arguments(
                request.dockerfile, dict(request.build_args), _platform_arguments(self._platform)
            )
            graph = stages.graph(request.dockerfile, self._arguments)
        except Mistake as mistake:
            raise _failed(mistake) from mistake
        try:
            target = graph.target(request.target)
        except KeyError as error:
            message = f"there is no stage {request.target}"
            raise errors.InvalidArgument(message, hint=str(error.args[0]), reason=Reason.BUILD_FAILED) from error
        nodes = graph.needed(target)
        for node in nodes:
            if node.mistake is not None:
                raise _failed(node.mistake)
        loop = asyncio.get_running_loop()
        self._ends = {node.number: loop.create_future() for node in nodes}
        try:
            await tasks.together("stage", *(self._stage(node, len(graph.nodes) > 1) for node in nodes))
        finally:
            for end in self._ends.values():
                end.cancel()
        last = self._ends[target.number].result()
        layers = tuple([await made.layer for made in last.layers])
        config = result.configuration(
            last.base, last.frame, last.moments, [layer.diff_id for layer in layers], request.labels, request.epoch
        )
        return spec.BuiltImage(config, layers, self._done, self._cached)

    async def _stage(self, node: stages.Node, has_others: bool) -> None:  # noqa: FBT001 - one caller
        walk = _Walk(self, node, f"{node.stage.name or f'stage-{node.number}'} " if has_others else "")
        self._ends[node.number].set_result(await walk.stage())

    async def end(self, number: int) -> steps.Stage:
        """Return an earlier stage, once it is done."""
        return await asyncio.shield(self._ends[number])

    async def base_image(self, name: str, wanted: platform.Platform) -> bases.Image:
        """Return an image, looked for once a build."""
        key = name, wanted
        if key not in self._images:
            getting = self._shared.bases.image(name, wanted, self._own.lease, pulls=self._request.pulls)
            self._images[key] = self._own.crew.promise(getting, name=f"image {name} for {wanted}")
        return await asyncio.shield(self._images[key])

    def context_tree(self) -> disk_trees.DiskTree:
        """Return the build's context. Raises ``errors.InvalidArgument`` where there is none."""
        if self._context is None:
            if self._request.context is None:
                raise errors.InvalidArgument("the build has no context to take files of", hint="give it a directory")
            self._context = self.context(self._request.context)
        return self._context

    def context(self, context: builds.Context) -> disk_trees.DiskTree:
        """Open a context, for as long as the build lasts. Raises ``errors.NotFound``."""
        try:
            top = os.open(context.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise errors.NotFound(
                f"the context {context.path} cannot be opened: {error.strerror}", reason=Reason.CONTENT_MISSING
            ) from error
        self._own.held.callback(os.close, top)
        return disk_trees.DiskTree(self._shared.kernel, top, context.ignored, is_context=True)

    def begin_step(self, title: str) -> "_Step":
        """Tell that a step begins."""
        self._numbers += 1
        return _Step(self._numbers, title, self._report)

    def count(self, *, is_cached: bool) -> None:
        """Count a step."""
        self._done += 1
        self._cached += is_cached

    @property
    def shared(self) -> Shared:
        """What all builds work with."""
        return self._shared

    @property
    def own(self) -> Own:
        """What is this build's own."""
        return self._own

    @property
    def request(self) -> builds.Request:
        """What is asked for."""
        return self._request

    @property
    def platform(self) -> platform.Platform:
        """What the image is for."""
        return self._platform

    @property
    def arguments(self) -> Mapping[str, str]:
        """What FROM knows."""
        return self._arguments


class _Step:
    """A step as it is told of."""

    def __init__(self, number: int, title: str, report: builds.Report) -> None:
        self._number = number
        self._report = report
        self._begun = time.monotonic()
        self._tail = b""
        report(builds.StepBegun(number, title))

    def output(self, data: bytes) -> None:
        """Tell what it prints."""
        self._tail = (self._tail + data)[-_LAST_LINES * _LONGEST_LINE :]
        self._report(builds.StepOutput(self._number, data))

    def ended(self, *, is_cached: bool = False, error: str = "") -> None:
        """Tell that it has ended."""
        self._report(builds.StepEnded(self._number, time.monotonic() - self._begun, is_cached, error))

    @property
    def last_lines(self) -> tuple[str, ...]:
        """Return the last lines that it has printed."""
        lines = self._tail.decode(errors="replace").splitlines()
        return tuple(line[-_LONGEST_LINE:] for line in lines[-_LAST_LINES:])


class _Walk:
    """The walk through one stage."""

    def __init__(self, solve: Solve, node: stages.Node, prefix: str) -> None:
        self._solve = solve
        self._node = node
        self._prefix = prefix
        self._on_build: tuple[str, ...] = ()
        self._count = 1
        self._total = 1 + sum(isinstance(instruction, _FILE_STEPS) for instruction in node.stage.instructions)
        shared, own, request = solve.shared, solve.own, solve.request
        self._mounts = mounting.Deps(
            where=shared.where,
            kernel=shared.kernel,
            caches=shared.caches,
            secrets=request.secrets,
            ssh=request.ssh,
            opened=self._mounted,
        )
        deps = steps.Deps(
            kernel=shared.kernel,
            workshop=own.workshop,
            runner=shared.runner,
            cache=shared.cache,
            lease=own.lease,
            locks=shared.steps,
            digests=shared.digests,
            clock=shared.clock,
            limits=shared.limits,
            mounts=self._mounts,
            fetcher=fetching.Fetcher(shared.limits.unpacked),
            tree=self._tree,
            room=functools.partial(rooms.room, shared.where, shared.kernel),
            crew=own.crew,
            held=own.held,
        )
        self._steps = steps.Steps(deps, request)

    async def stage(self) -> steps.Stage:
        """Follow the stage to its end."""
        stage, options = await self._begun()
        for instruction in (*self._triggers(), *self._node.stage.instructions):
            stage = await self._followed(stage, instruction, options)
        return stage

    async def _begun(self) -> tuple[steps.Stage, evaluate.Options]:
        request = self._solve.request
        options = evaluate.Options(request.dockerfile.escape, dict(request.build_args), self._solve.arguments)
        base = self._node.base
        if base.stage is not None:
            below = await self._solve.end(base.stage)
            self._on_build = below.frame.configuration.on_build
            return dataclasses.replace(below, frame=evaluate.inherit(below.frame)), options
        title = self._node.base.image or stages.SCRATCH
        step = self._solve.begin_step(f"[{self._prefix}1/{self._total}] FROM {title}")
        with self._told(step, self._node.stage.origin):
            image = await self._image(base.image)
        step.ended(is_cached=True)
        own = image.base.document.get("config")
        layers = tuple(_made(layer) for layer in image.layers)
        begun_with = configuration.of_document(own if isinstance(own, dict) else {})
        self._on_build = begun_with.on_build
        return steps.Stage(image.base, evaluate.begin(begun_with), layers), options

    async def _image(self, name: str) -> bases.Image:
        """Return what a name stands for. Raises ``errors.InvalidArgument``, and what a pull raises."""
        text = self._node.platform
        try:
            wanted = platform.parse(text) if text else self._solve.platform
        except ValueError as error:
            raise errors.InvalidArgument(str(error)) from error
        if not name:
            return bases.of_nothing(wanted)
        own = self._solve.request.contexts.get(name)
        if isinstance(own, builds.Context):
            raise errors.InvalidArgument(
                f"the context {name} is a directory, which no stage can begin with",
                hint=f"COPY --from={name}, or give it as an image: --build-context {name}=docker-image://REFERENCE",
            )
        return await self._solve.base_image(own or name, wanted)

    def _triggers(self) -> Sequence[instructions.Instruction]:
        """Return the instructions that the base has for who builds upon it, as they stand at FROM."""
        if not self._on_build:
            return ()
        parsed = parse.parse(("FROM scratch\n" + "\n".join(self._on_build)).encode())
        position = self._node.stage.origin.position
        if parsed.mistakes:
            raise builds.BuildFailed(position, f"an ONBUILD of {self._node.stage.base}: {parsed.mistakes[0].message}")
        (stage,) = parsed.dockerfile.stages
        self._total += sum(isinstance(instruction, _FILE_STEPS) for instruction in stage.instructions)
        return tuple(_moved(instruction, position) for instruction in stage.instructions)

    async def _followed(
        self, stage: steps.Stage, instruction: instructions.Instruction, options: evaluate.Options
    ) -> steps.Stage:
        try:
            frame, step = evaluate.follow(stage.frame, instruction, options)
        except Mistake as mistake:
            raise _failed(mistake) from mistake
        made: steps.Made | None = None
        if isinstance(instruction, _FILE_STEPS):
            self._count += 1
        if step is not None:
            title = f"[{self._prefix}{self._count}/{self._total}] {_shown(instruction.origin.source)}"
            told = self._solve.begin_step(title)
            with self._told(told, instruction.origin):
                made = await self._steps.made(stage, step, told.output)
            told.ended(is_cached=made.is_cached)
            self._solve.count(is_cached=made.is_cached)
        entries = frame.history[len(stage.frame.history) :]
        moments = tuple(
            result.Moment(entry, made.made if made is not None and entry.has_layer else None) for entry in entries
        )
        layers = stage.layers if made is None else (*stage.layers, made)
        return steps.Stage(stage.base, frame, layers, (*stage.moments, *moments))

    @contextlib.contextmanager
    def _told(self, step: _Step, origin: instructions.Origin) -> Iterator[None]:
        """Tell a step's failure, with its place in the Dockerfile."""
        try:
            yield
        except running.Failed as error:
            step.ended(error=str(error))
            message = f"{_shown(origin.source)} has ended with {error}"
            raise builds.BuildFailed(origin.position, message, output=step.last_lines) from error
        except errors.Failure as error:
            step.ended(error=error.message)
            if isinstance(error, errors.InvalidArgument) or error.reason is Reason.CONTENT_MISSING:
                raise builds.BuildFailed(origin.position, error.message, error.hint) from error
            raise
        except BaseException as error:
            step.ended(error=str(error) or type(error).__name__)
            raise

    @contextlib.asynccontextmanager
    async def _tree(self, origin: str, room: rooms.Room) -> AsyncIterator[disk_trees.DiskTree]:
        """Open what ``--from`` names, or the context where it is empty."""
        own = self._solve.request.contexts.get(origin)
        if not origin:
            yield self._solve.context_tree()
        elif isinstance(own, builds.Context):
            yield self._solve.context(own)
        else:
            async with self._root(origin, room) as root:
                top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    yield disk_trees.DiskTree(self._solve.shared.kernel, top)
                finally:
                    os.close(top)

    @contextlib.asynccontextmanager
    async def _root(self, origin: str, room: rooms.Room) -> AsyncIterator[pathlib.Path]:
        """Mount the root file system of a stage or an image to be read."""
        base = self._node.sources[origin]
        if base.stage is not None:
            ids: Sequence[str] = (await self._solve.end(base.stage)).ids
        else:
            image = await self._image(base.image)
            ids = image_config.chain_ids(tuple(layer.diff_id for layer in image.layers))
        with self._solve.own.workshop.reading(ids, room.folder("tree")) as root:
            yield root

    @contextlib.asynccontextmanager
    async def _mounted(self, origin: str, room: rooms.Room) -> AsyncIterator[pathlib.Path]:
        """Make what a mount's ``from`` names readable: of a context a copy, without what is left out of it."""
        own = self._solve.request.contexts.get(origin)
        if origin and not isinstance(own, builds.Context):
            async with self._root(origin, room) as root:
                yield root
            return
        tree = self._solve.context(own) if isinstance(own, builds.Context) else self._solve.context_tree()
        folder = room.folder("context")
        await tasks.in_thread(lambda: _copied(self._solve.shared.kernel, tree, folder))
        yield folder


def _copied(kernel: api.Kernel, tree: disk_trees.DiskTree, folder: pathlib.Path) -> None:
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        writer = writing.Writer(kernel, top, writing.Owner(), None)
        for entry in trees.below(tree, "", ignore.Ignore()):
            if entry.status.is_folder:
                writer.folder(entry.relative, entry, overwrites=True)
            else:
                writer.file(entry.relative, entry, tree)
        writer.close()
    finally:
        os.close(top)


def _made(layer: spec.Layer) -> steps.Made:
    """Return a layer of an image as a stage has it."""
    promised: asyncio.Future[spec.Layer] = asyncio.get_running_loop().create_future()
    promised.set_result(layer)
    return steps.Made(layer.diff_id, promised, 0.0, is_cached=True)


def _failed(mistake: Mistake) -> builds.BuildFailed:
    return builds.BuildFailed(mistake.position, mistake.message, mistake.hint)


def _moved(instruction: instructions.Instruction, position: tuple[int, int]) -> instructions.Instruction:
    """Return an instruction of a base image as one that stands at FROM."""
    origin = dataclasses.replace(instruction.origin, position=position, last=position[0])
    return dataclasses.replace(instruction, origin=origin)


def _shown(source: str) -> str:
    text = " ".join(source.split())
    return text if len(text) <= _TITLE else f"{text[:_TITLE]}…"


def _platform_arguments(target: platform.Platform) -> dict[str, str]:
    """Return the ARGs that FROM knows without a declaration."""
    values: dict[str, str] = {}
    for side, own in (("BUILD", documents.of_platform("")), ("TARGET", target)):
        parts = {"PLATFORM": str(own), "OS": own.os, "ARCH": own.architecture, "VARIANT": own.variant}
        values |= {f"{side}{name}": value for name, value in parts.items()}
    return values
