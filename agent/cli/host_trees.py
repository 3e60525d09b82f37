"""Trees of this host as tar archives: packed for a container, and unpacked from one, whose archive nobody trusts."""

import contextlib
import os
import pathlib
import stat
import sys
import tarfile
from collections.abc import AsyncGenerator, AsyncIterator

from agent import errors
from agent.cli import terminal
from agent.kit import frozen, processes, tasks

_CHUNK = 64 * 1024
CONTENTS = "."
"""What a folder is called of which only what is in it is meant, as ``FOLDER/.``."""


@frozen.value
class Target:
    """Where a copy goes."""

    folder: pathlib.Path
    name: str = ""
    """What it is called there; none: as it is, ``CONTENTS``: what is in it goes into the folder."""
    is_folder: bool = False
    """Whether it cannot be but a folder: ``NEW/`` was typed."""


@frozen.value
class Source:
    """What is copied."""

    path: pathlib.Path
    name: str
    """What it is called in the archive; ``CONTENTS``: only what is in it is meant."""

    @property
    def is_folder(self) -> bool:
        """Return whether it is a folder, and no link to one."""
        return self.path.is_dir() and not self.path.is_symlink()


async def unpack(pieces: AsyncIterator[bytes], target: Target) -> None:
    """Unpack an archive in a folder, its only top entry under a name if there is one; nothing leads out of there.

    Devices are left out, with a note. Raises ``errors.TrimtabError``.
    """
    from agent.engine.containers import tree_reader, tree_writer
    from agent.engine.kernel import linux

    class HostTree(tree_reader.Tree):
        """A folder of this host, with its paths as they are."""

        def at(self, path: str) -> str:
            return f"{target.folder}{'' if path == '/' else path}"

    adaptation = _Adaptation(target)

    def work() -> None:
        with os.fdopen(reader, "rb") as archive:
            root = os.open(target.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                tree = HostTree(linux.LinuxKernel(), root, "")
                tree_writer.read_archive(tree, "/", archive, adaptation.adapt)
            finally:
                os.close(root)

    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        await tasks.together("copy", _fed(pieces, writer), tasks.in_thread(work))
    except errors.Conflict as error:  # the folder's, and of no object
        raise errors.TrimtabError(error.message, hint="choose another TARGET") from error
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise errors.TrimtabError(f"the copy is no whole archive: {error}") from error
    except OSError as error:
        raise errors.TrimtabError(f"{target.folder} cannot be written: {error.strerror}") from error
    adaptation.report()


class _Adaptation:
    """Changes entries to what they may be on this host."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._count = 0
        self._devices: dict[str, None] = {}
        """Their names; in order."""

    def adapt(self, entry: tarfile.TarInfo) -> bool:
        """Change an entry; return False for one that is left out. Raises ``errors.TrimtabError``."""
        if entry.ischr() or entry.isblk() or (entry.islnk() and entry.linkname in self._devices):
            self._devices[entry.name] = None
            return False
        if self._target.is_folder and not self._count and not entry.isdir():
            raise _no_folder(self._target.folder / self._target.name)
        self._count += 1
        entry.uid, entry.gid = os.geteuid(), os.getegid()
        entry.mode &= 0o777  # whatever a container has made: nothing of the host gets more rights by it
        if self._target.name:
            entry.name = _renamed(entry.name, self._target.name)
            entry.linkname = _renamed(entry.linkname, self._target.name) if entry.islnk() else entry.linkname
        return True

    def report(self) -> None:
        """Print a note on what was left out. Raises ``errors.TrimtabError`` where that is all."""
        if not self._devices:
            return
        first = next(iter(self._devices))
        if not self._count:
            raise errors.TrimtabError(f"{first} is a device: it is not copied")
        more = f" and {len(self._devices) - 1} more" if len(self._devices) > 1 else ""
        terminal.note(f"left out, for they are devices: {terminal.printable(first)}{more}")


def _renamed(path: str, name: str) -> str:
    _, slash, below = path.partition("/")
    return f"{name}{slash}{below}"


def _no_folder(folder: pathlib.Path) -> errors.TrimtabError:
    return errors.TrimtabError(f"there is no folder {folder}", hint=f"mkdir -p {folder}")


async def _fed(pieces: AsyncIterator[bytes], writer: int) -> None:
    """Write pieces to a pipe until they or their reader end, and close it."""
    os.set_blocking(writer, False)
    try:
        async for piece in pieces:
            try:
                await processes.write(writer, piece)
            except BrokenPipeError:
                break  # the reader tells why
    finally:
        os.close(writer)


def target(text: str) -> Target:
    """Return where a copy goes that is to be at a path; a link leads to where it leads. Raises ``TrimtabError``."""
    path = pathlib.Path(text)
    if path.is_dir():
        return Target(path)
    if path.is_symlink():
        path = pathlib.Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise _no_folder(path.parent)
    return Target(path.parent, path.name, is_folder=text.endswith("/"))


def source(text: str) -> Source:
    """Return what is at a path: a link itself, and with ``/`` behind it where it leads. Raises ``TrimtabError``."""
    if not os.path.lexists(text):
        raise errors.TrimtabError(f"there is no file {text}")
    is_followed = text.endswith(("/", "/.")) or text == "."
    path = pathlib.Path(os.path.realpath(text)) if is_followed else pathlib.Path(text).absolute()
    name = pathlib.Path(os.path.normpath(pathlib.Path(text).absolute())).name
    kind = stat.S_IFMT(path.lstat().st_mode)
    if kind in {stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK}:
        raise errors.TrimtabError(f"{text} is a {'socket' if kind == stat.S_IFSOCK else 'device'}: it is not copied")
    return Source(path, CONTENTS if text == "." or text.endswith("/.") or not name else name)


async def packed(origin: Source, name: str) -> AsyncGenerator[bytes, None]:
    """Yield an archive of a file or folder under a name, root's. Raises ``errors.TrimtabError``.

    Sockets in a folder are left out, and so are devices.
    """
    import asyncio

    def owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if entry.ischr() or entry.isblk():
            return None
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry

    def pack() -> None:
        with (
            contextlib.suppress(BrokenPipeError),
            os.fdopen(writer, "wb") as out,
            tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            archive.add(origin.path, name, filter=owned_by_root)

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
        raise errors.TrimtabError(
            f"{error.filename or origin.path} cannot be read: {error.strerror or error}"
        ) from error
    finally:
        await asyncio.wait([packing])


async def standard_input() -> AsyncIterator[bytes]:
    """Yield what comes in. Raises ``errors.TrimtabError``."""
    descriptor, is_empty = sys.stdin.fileno(), True
    while True:
        with contextlib.suppress(PermissionError):  # what cannot be polled (a file, /dev/null) never blocks either
            await processes.readable(descriptor)
        try:
            piece = os.read(descriptor, _CHUNK)
        except OSError as error:
            raise errors.TrimtabError(f"standard input cannot be read: {error.strerror}") from error
        if not piece:
            break
        is_empty = False
        yield piece
    if is_empty:  # Docker takes nothing for an archive: whoever was to write one has failed
        raise errors.TrimtabError("nothing came on standard input, and that is no tar archive")
