"""Copying between a container's tree and a tar archive, by a process of its own (``copy_process``)."""

import contextlib
import json
import os
import pathlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from typing import Any

from agent import errors
from agent.engine import layout
from agent.engine.containers import copy_process, table
from agent.engine.shim import liveness
from agent.kit import frozen, isolation, processes, tasks
from agent.reasons import Reason

_CHUNK = 64 * 1024
_COMPLAINT = 64 * 1024
"""Bytes of standard error that are read for the outcome."""
_KINDS = {
    kind.__name__: kind for kind in (errors.NotFound, errors.Conflict, errors.InvalidArgument, errors.Unavailable)
}


@frozen.value(kw_only=True)
class Deps:
    """What a container that does not run is put together from."""

    where: layout.Layout
    volume: Callable[[str], pathlib.Path]
    """Returns the directory of a volume's data. Raises ``errors.NotFound``."""


@contextlib.asynccontextmanager
async def out(deps: Deps, record: table.ContainerRecord, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """Open an archive of what is at a path. Raises as the process does, before the first piece or at the end."""
    async with _copying(deps, record, "out", path) as copying:
        first = await copying.read()
        if not first:
            await copying.outcome()
        yield copying.pieces(first)


async def into(deps: Deps, record: table.ContainerRecord, path: str, archive: AsyncIterable[bytes]) -> None:
    """Unpack an archive at a path; the caller keeps a container that does not run from starting meanwhile."""
    async with _copying(deps, record, "in", path) as copying:
        await tasks.together("copy", copying.feed(archive), copying.outcome())


class _Copying:
    """A process that copies."""

    def __init__(self, process: processes.Process, complaints: int) -> None:
        self._process = process
        self._complaints = complaints
        pipe = process.stdout or process.stdin
        assert pipe is not None  # noqa: S101 - one is a pipe
        self._pipe = pipe
        os.set_blocking(pipe.fileno(), False)

    async def pieces(self, first: bytes) -> AsyncIterator[bytes]:
        """Yield what it writes. Raises what it ends with."""
        piece = first
        while piece:
            yield piece
            piece = await self.read()
        await self.outcome()

    async def read(self) -> bytes:
        """Return the next bytes, none at the end."""
        while True:
            await processes.readable(self._pipe.fileno())
            with contextlib.suppress(BlockingIOError):
                return os.read(self._pipe.fileno(), _CHUNK)

    async def feed(self, archive: AsyncIterable[bytes]) -> None:
        """Send all of an archive, or as much of it as is read."""
        async for piece in archive:
            try:
                await processes.write(self._pipe.fileno(), piece)
            except BrokenPipeError:
                break
        self._pipe.close()

    async def outcome(self) -> None:
        """Wait for its end, however much is still to be sent to it. Raises what it has failed with."""
        code = await processes.reaped(self._process)
        if code:
            raise _failure(code, os.pread(self._complaints, _COMPLAINT, 0))

    async def end(self) -> None:
        """Kill it where it still runs, and let go of everything.

        Raises ``errors.Unavailable`` where it hangs and may still write.
        """
        try:
            hanging = await processes.end(self._process)
        finally:
            self._pipe.close()
        if hanging is not None and self._process.stdin is not None:
            raise errors.Unavailable(hanging.message, hint=hanging.hint, reason=Reason.HOST_FAILURE)


@contextlib.asynccontextmanager
async def _copying(deps: Deps, record: table.ContainerRecord, action: str, path: str) -> AsyncIterator[_Copying]:
    with (
        _tree(deps, record, writable=action == "in") as (tree, descriptors),
        processes.memory_file("copying") as complaints,
    ):
        request = {"action": action, "path": path, "what": f"container {record.name}", **tree}
        command = isolation.python(copy_process.__name__, json.dumps(request))
        stdin, stdout = (processes.PIPE, processes.DISCARD) if action == "in" else (processes.DISCARD, processes.PIPE)
        process = processes.spawn(
            command, processes.Streams(stdin, stdout, complaints), env=isolation.LOCALE, pass_fds=descriptors
        )
        copying = _Copying(process, complaints)
        try:
            yield copying
        finally:
            await copying.end()


@contextlib.contextmanager
def _tree(
    deps: Deps, record: table.ContainerRecord, *, writable: bool
) -> Iterator[tuple[dict[str, Any], tuple[int, ...]]]:
    """Return how the process gets at a container's tree, with the descriptors that it needs for that."""
    if record.run is None:
        yield {"root": None, "pid": None, "mount": _mount(deps, record, writable=writable)}, ()
        return
    root = _root(record, record.run)
    try:
        yield {"root": root, "pid": record.run.pid, "mount": None}, (root,)
    finally:
        os.close(root)


def _root(record: table.ContainerRecord, run: table.Run) -> int:
    """Open the root that a container's first process has. Raises ``errors.Conflict`` where that has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        descriptor = os.open(f"/proc/{run.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        if liveness.alive(run.pid, run.pid_started):
            return descriptor
        os.close(descriptor)
    raise errors.Conflict(f"container {record.name} has just ended", hint="try again", reason=Reason.NOT_RUNNING)


def _mount(deps: Deps, record: table.ContainerRecord, *, writable: bool) -> dict[str, Any]:
    """Return what the tree of a container is mounted from. The target is hidden by that for the process alone."""
    return {
        "target": str(deps.where.leases),
        "layers": list(record.lower_dirs),
        "own": str(deps.where.containers / record.id),
        "writable": writable,
        "mounts": [
            {
                "source": str(deps.volume(mount.source)) if mount.type == "volume" else "",
                "path": mount.path,
                "read_only": mount.read_only,
            }
            for mount in record.spec.mounts
        ],
    }


def _failure(code: int, complaints: bytes) -> Exception:
    try:
        outcome: dict[str, Any] = json.loads(complaints)
    except ValueError:
        outcome = {}
    match outcome:
        case {"kind": str(kind), "message": str(message), "hint": str(hint), "reason": str(reason)} if kind in _KINDS:
            return _KINDS[kind](message, hint=hint, reason=Reason(reason))
        case {"errno": int(number), "message": str(message)}:
            return OSError(number, message)
        case _:
            last = complaints.decode(errors="replace").strip().rpartition("\n")[2]
            message = f"the process that copies has ended with {code}{last and f': {last}'}"
            return errors.Unavailable(message, reason=Reason.HOST_FAILURE)
