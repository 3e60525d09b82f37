"""``cp``: files out of a container, or into it, beside a running agent."""

import contextlib
import dataclasses
import functools
import os
import pathlib
import re
import sys
import tarfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Annotated

import typer

from agent import errors, settings
from agent.cli import options
from agent.kit import files, processes, tasks
from agent.reasons import Reason
from agent.runtime import api

_CHUNK = 64 * 1024
_PATH_OF = re.compile(r"([^/.:][^/:]*):(.*)")
"""``NAME:PATH``; a file of this host that is called so is typed as ``./NAME:PATH``."""
_ARCHIVE = "-"
_NO_DIRECTORY = frozenset({Reason.PATH_NOT_FOUND, Reason.NOT_A_DIRECTORY})


@dataclasses.dataclass(frozen=True, slots=True)
class _Location:
    """A path in a container."""

    container: str
    path: str


@options.with_settings()
def copy(
    chosen: settings.Settings,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="NAME:PATH in a container, a file or folder, or -.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The other one of these.")],
) -> None:
    """Copy files and folders: NAME:PATH FILE out of a container, FILE NAME:PATH into it; - is a tar archive.

    What is copied goes into TARGET where that is a folder, else it is called TARGET. Links of the container lead to
    where they lead in it, and never out of it; those below PATH are copied as links. What goes in is root's there, and
    what comes out is the caller's. Volumes are reached too; into a stopped native container, only while no agent runs.
    """
    import asyncio

    ends = _location(source), _location(target)
    match ends:
        case _Location() as origin, None:
            folder, name = _folder(target)
            asyncio.run(_in_runtime(chosen, lambda runtime: _out(runtime, origin, folder, name)))
        case None, _Location() as destination:
            path = _source(source)
            asyncio.run(_in_runtime(chosen, lambda runtime: _into(runtime, path, destination)))
        case _:
            raise typer.BadParameter("one of both is NAME:PATH, the other a file, a folder or -")


def _location(text: str) -> _Location | None:
    """Return what is in a container. Raises ``typer.BadParameter`` for a path that is not absolute."""
    parts = _PATH_OF.fullmatch(text)
    if parts is None:
        return None
    if not parts[2].startswith("/"):
        raise typer.BadParameter(f"{text!r}: the path in a container begins with /")
    return _Location(parts[1], parts[2])


def _folder(target: str) -> tuple[pathlib.Path | None, str]:
    """Return the folder that a copy goes into, and what it is called there if not as it is; ``None``: an archive."""
    if target == _ARCHIVE:
        if sys.stdout.isatty():
            raise errors.TrimtabError("an archive is not written to a terminal", hint="redirect it: - > FILE.tar")
        return None, ""
    path = pathlib.Path(target)
    folder, name = (path, "") if path.is_dir() else (path.parent, path.name)
    if not folder.is_dir():
        raise errors.TrimtabError(f"there is no folder {folder}", hint=f"mkdir -p {folder}")
    return folder, name


def _source(source: str) -> pathlib.Path | None:
    """Return what is copied, absolute; ``None``: an archive."""
    if source == _ARCHIVE:
        return None
    if not os.path.lexists(source):
        raise errors.TrimtabError(f"there is no file {source}")
    return pathlib.Path(source).absolute()


async def _in_runtime(chosen: settings.Settings, work: Callable[[api.Runtime], Awaitable[None]]) -> None:
    """Do it beside whoever keeps the instance; what only that process may do is done here where there is none."""
    from agent import app
    from agent.engine import claims, layout

    try:
        async with app.open_runtime(chosen, exclusive=False) as runtime:
            await work(runtime)
    except errors.Conflict as error:
        is_kept = claims.holder(layout.of(chosen.root, chosen.run)) is not None
        if error.reason is not Reason.NOT_RUNNING or is_kept:
            raise
    else:
        return
    async with app.open_runtime(chosen, exclusive=True) as runtime:
        await work(runtime)


async def _out(runtime: api.Runtime, origin: _Location, folder: pathlib.Path | None, name: str) -> None:
    async with runtime.containers.copy_out(origin.container, origin.path) as pieces:
        if folder is not None:
            await _unpacked(pieces, folder, name)
            return
        with contextlib.suppress(BrokenPipeError):
            async for piece in pieces:
                await tasks.in_thread(functools.partial(files.write_all, sys.stdout.fileno(), piece))


async def _unpacked(pieces: AsyncIterator[bytes], folder: pathlib.Path, name: str) -> None:
    """Unpack an archive in a folder, its only top entry under a name if there is one; nothing leads out of there."""
    from agent.engine.containers import tree_reader, tree_writer
    from agent.engine.kernel import linux

    def adapt(entry: tarfile.TarInfo) -> None:
        entry.uid, entry.gid = os.geteuid(), os.getegid()
        entry.mode &= 0o777  # whatever a container has made: nothing of the host gets more rights by it
        if name:
            entry.name = _renamed(entry.name, name)
            entry.linkname = _renamed(entry.linkname, name) if entry.islnk() else entry.linkname

    def unpack() -> None:
        with os.fdopen(reader, "rb") as source:
            root = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                tree = tree_reader.Tree(linux.LinuxKernel(), root, str(folder))
                tree_writer.read_archive(tree, "/", source, adapt)
            finally:
                os.close(root)

    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        await tasks.together("copy", _fed(pieces, writer), tasks.in_thread(unpack))
    except tarfile.TarError as error:
        raise errors.TrimtabError(f"the copy is no whole archive: {error}") from error
    except OSError as error:
        raise errors.TrimtabError(f"{folder} cannot be written: {error.strerror}") from error


async def _fed(pieces: AsyncIterator[bytes], writer: int) -> None:
    """Write pieces to a pipe until they or their reader end, and close it."""
    os.set_blocking(writer, False)
    try:
        async for piece in pieces:
            view = memoryview(piece)
            while view:
                try:
                    view = view[os.write(writer, view) :]
                except BlockingIOError:
                    await processes.writable(writer)
    except BrokenPipeError:
        pass  # the reader tells why
    finally:
        os.close(writer)


def _renamed(path: str, name: str) -> str:
    _, slash, below = path.partition("/")
    return f"{name}{slash}{below}"


async def _into(runtime: api.Runtime, path: pathlib.Path | None, destination: _Location) -> None:
    copy_in = runtime.containers.copy_in
    if path is None:
        await copy_in(destination.container, destination.path, _standard_input())
        return
    folder, _, name = destination.path.rpartition("/")
    try:
        async with contextlib.aclosing(_packed(path, path.name)) as pieces:
            await copy_in(destination.container, destination.path, pieces)
    except errors.Failure as error:
        if error.reason not in _NO_DIRECTORY or not name:
            raise
        async with contextlib.aclosing(_packed(path, name)) as pieces:
            await copy_in(destination.container, folder or "/", pieces)


async def _standard_input() -> AsyncIterator[bytes]:
    while piece := await tasks.in_thread(lambda: os.read(sys.stdin.fileno(), _CHUNK)):
        yield piece


async def _packed(path: pathlib.Path, name: str) -> AsyncGenerator[bytes, None]:
    """Yield an archive of a file or folder of this host under a name, root's. Raises ``errors.TrimtabError``."""
    import asyncio

    def owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry

    def pack() -> None:
        with (
            contextlib.suppress(BrokenPipeError),
            os.fdopen(writer, "wb") as out,
            tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            archive.add(path, name, filter=owned_by_root)

    reader, writer = os.pipe2(os.O_CLOEXEC)
    packing = asyncio.get_running_loop().run_in_executor(None, pack)
    try:
        with contextlib.closing(os.fdopen(reader, "rb", buffering=0)) as pipe:
            await processes.readable(reader)
            while piece := pipe.read(_CHUNK):
                yield piece
                await processes.readable(reader)
        await packing
    except OSError as error:
        raise errors.TrimtabError(f"{error.filename or path} cannot be read: {error.strerror}") from error
    finally:
        await asyncio.wait([packing])
