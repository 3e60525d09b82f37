"""RUN's mounts: folders of the context, of stages and images, caches, memory, secrets, and sockets of ssh agents."""

import contextlib
import dataclasses
import os
import pathlib
import posixpath
import shutil
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TypeAlias, assert_never

from agent import errors
from agent.dockerfile import instructions
from agent.dockerfile.instructions import MountType, Sharing
from agent.engine import layout
from agent.engine.build import caches, running, workbenches
from agent.engine.bundle import config, destinations
from agent.engine.kernel import api
from agent.engine.snapshots import overlay
from agent.kit import frozen, locks, processes, tasks
from agent.oci import digest
from agent.reasons import Reason

_SECRETS = "/run/secrets"
_SSH = "/run/buildkit/ssh_agent"
_SECRET_MODE, _CACHE_MODE = 0o400, 0o755
_DEFAULT_SSH = "default"

Opened: TypeAlias = Callable[[str, workbenches.Workbench], "contextlib.AbstractAsyncContextManager[pathlib.Path]"]
"""Makes what a mount's ``from`` names readable at a path in a step's place, for as long as the context lasts."""


@frozen.value(kw_only=True)
class Deps:
    """Collaborators of mounts."""

    where: layout.Layout
    kernel: api.Kernel
    caches: locks.KeyedLocks
    secrets: Mapping[str, bytes] = dataclasses.field(repr=False)
    ssh: Mapping[str, pathlib.Path]
    opened: Opened
    scratch: Callable[[], pathlib.Path]
    """Makes a directory on the disk, for as long as the build lasts."""


class Mounts:
    """The mounts of one step."""

    def __init__(self, deps: Deps, bench: workbenches.Workbench) -> None:
        """Nothing is made yet."""
        self._deps = deps
        self._bench = bench
        self._ssh = 0

    @contextlib.asynccontextmanager
    async def mounted(self, mounts: tuple[instructions.Mount, ...]) -> AsyncIterator[running.Mounted]:
        """Make what a step's mounts need. Raises ``errors.InvalidArgument``, ``errors.NotFound``, ``OSError``."""
        async with contextlib.AsyncExitStack() as stack:
            bundle_mounts: list[config.BundleMount] = []
            env: list[tuple[str, str]] = []
            for mount in mounts:
                more, variables = await self._mount(mount, stack)
                bundle_mounts += more
                env += variables
            yield running.Mounted(tuple(bundle_mounts), tuple(env))

    async def _mount(
        self, mount: instructions.Mount, stack: contextlib.AsyncExitStack
    ) -> tuple[list[config.BundleMount], list[tuple[str, str]]]:
        match mount.type:
            case MountType.BIND:
                return [await self._bind(mount, stack)], []
            case MountType.CACHE:
                return [await self._cache(mount, stack)], []
            case MountType.TMPFS:
                return [config.BundleMount("", mount.target, mount.is_read_only, mount.size)], []
            case MountType.SECRET:
                return self._secret(mount)
            case MountType.SSH:
                return self._agent(mount)
            case _:
                assert_never(mount.type)

    async def _bind(self, mount: instructions.Mount, stack: contextlib.AsyncExitStack) -> config.BundleMount:
        top = await stack.enter_async_context(self._deps.opened(mount.origin, self._bench))
        path = self._below(top, mount.source or "/", stack, f"for the mount at {mount.target}")
        if not mount.is_read_only:
            path = await self._writable(path, stack)
        return config.BundleMount(str(path), mount.target, mount.is_read_only, is_folder=path.is_dir())

    async def _writable(self, path: pathlib.Path, stack: contextlib.AsyncExitStack) -> pathlib.Path:
        """Return what can be written to in place of a folder or a file; what is written is dropped."""
        if not path.is_dir():  # noqa: ASYNC240 - on the host's own disk
            copy = self._deps.scratch() / "file"
            await tasks.in_thread(lambda: shutil.copy2(path, copy))
            return copy
        own, target = self._deps.scratch(), self._bench.folder("merged")
        overlay.mount(self._deps.kernel, [path], own, target)
        stack.callback(self._deps.kernel.umount, str(target), api.MNT_DETACH)
        return target

    async def _cache(self, mount: instructions.Mount, stack: contextlib.AsyncExitStack) -> config.BundleMount:
        """Return the folder of a cache. One that is locked is one step's at a time; a private one in use is another."""
        name = digest.of((mount.id or mount.target).encode()).partition(":")[2][:32]
        folder = self._deps.where.build_caches / name
        if mount.sharing is Sharing.LOCKED:
            await stack.enter_async_context(self._deps.caches.hold(name))
        elif mount.sharing is Sharing.PRIVATE:
            folder = await self._private(folder, stack)
        is_new = not folder.exists()
        stack.enter_context(caches.used(folder))
        if is_new:
            if mount.origin:
                await self._begin_with(mount, folder, stack)
            os.chown(folder, mount.uid or 0, mount.gid or 0)
            folder.chmod(_CACHE_MODE if mount.mode is None else mount.mode)
        path = folder
        if mount.source and not mount.origin:
            path = self._below(folder, mount.source, stack, "in the cache")
        return config.BundleMount(str(path), mount.target, mount.is_read_only, is_folder=True)

    def _below(self, folder: pathlib.Path, path: str, stack: contextlib.AsyncExitStack, purpose: str) -> pathlib.Path:
        """Bind what is at a path below a folder to a path of ours, where it stays what it is now.

        Another step may put a link in its place, and its own name may be anything. Raises ``errors.NotFound``.
        """
        top = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            descriptor = self._deps.kernel.open_in_root(top, path.lstrip("/") or ".", os.O_PATH)
        except OSError as error:
            message = f"there is no {path} {purpose}: {error.strerror}"
            raise errors.NotFound(message, reason=Reason.CONTENT_MISSING) from error
        finally:
            os.close(top)
        try:
            is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            target = self._bench.folder("bound") if is_folder else self._bench.folder("bound") / "file"
            if not is_folder:
                target.touch()
            self._deps.kernel.mount(f"/proc/self/fd/{descriptor}", str(target), "", api.MS_BIND, "")
        finally:
            os.close(descriptor)
        stack.callback(self._deps.kernel.umount, str(target), api.MNT_DETACH)
        return target

    async def _private(self, folder: pathlib.Path, stack: contextlib.AsyncExitStack) -> pathlib.Path:
        """Return the first folder of a cache that no other step uses."""
        number = 0
        while True:
            candidate = folder.with_name(f"{folder.name}-{number}") if number else folder
            if not self._deps.caches.is_held(candidate.name):
                await stack.enter_async_context(self._deps.caches.hold(candidate.name))
                return candidate
            number += 1

    async def _begin_with(
        self, mount: instructions.Mount, folder: pathlib.Path, stack: contextlib.AsyncExitStack
    ) -> None:
        """Fill a new cache with what its ``from`` has."""
        top = await stack.enter_async_context(self._deps.opened(mount.origin, self._bench))
        source = destinations.resolve(self._deps.kernel, top, mount.source or "/")
        words = ["cp", "-a", "--", f"{top}{source.rstrip('/')}/.", str(folder)]
        (await processes.run(words, processes.Options(timeout=None))).check()

    def _secret(self, mount: instructions.Mount) -> tuple[list[config.BundleMount], list[tuple[str, str]]]:
        name = mount.id or mount.source or posixpath.basename(mount.target)
        value = self._deps.secrets.get(name)
        if value is None:
            if mount.is_required:
                raise errors.InvalidArgument(
                    f"the secret {name} is required, and the build has none",
                    hint=f"give it: --secret id={name},src=FILE",
                )
            return [], []
        variables = [(mount.env, value.decode(errors="replace"))] if mount.env else []
        if mount.env and not mount.target:
            return [], variables
        path = self._bench.folder("secret") / "value"
        path.touch(mode=0o600)
        path.write_bytes(value)
        os.chown(path, mount.uid or 0, mount.gid or 0)
        path.chmod(_SECRET_MODE if mount.mode is None else mount.mode)
        return [config.BundleMount(str(path), mount.target or f"{_SECRETS}/{name}", read_only=True)], variables

    def _agent(self, mount: instructions.Mount) -> tuple[list[config.BundleMount], list[tuple[str, str]]]:
        name = mount.id or _DEFAULT_SSH
        socket = self._deps.ssh.get(name)
        if socket is None:
            if mount.is_required:
                raise errors.InvalidArgument(
                    f"the ssh agent {name} is required, and the build has none", hint=f"give it: --ssh {name}"
                )
            return [], []
        target = mount.target or f"{_SSH}.{self._ssh}"
        variables = [("SSH_AUTH_SOCK", target)] if not self._ssh else []
        self._ssh += 1
        return [config.BundleMount(str(socket), target)], variables
