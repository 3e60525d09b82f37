"""A container's tree, resolved from its root and never out of it, and read into a tar archive.

Whatever runs in there may change the tree meanwhile: every step is taken from an open directory, no link is followed
but those of the path itself, and nothing is opened before it is known to be a file.
"""

import errno
import io
import os
import posixpath
import stat
import tarfile
from collections.abc import Iterator
from typing import IO

from agent import errors
from agent.engine.kernel import api
from agent.engine.layers import tar_entries
from agent.kit import frozen
from agent.reasons import Reason

_MOST_LINKS = 40
"""Links in a row, as many as the kernel follows."""
_DEEPEST = 1000
"""Directories in each other, one open descriptor each."""
_BUFFER = 64 * 1024


@frozen.value
class Tree:
    """A container's tree, or another one that nobody is to be led out of."""

    kernel: api.Kernel
    root: int
    """Its open root."""
    what: str
    """Whose it is, for messages: ``container web``."""
    made_up: frozenset[int] = frozenset()
    """Device numbers of file systems that are no part of it: what they hold is not read, nor written."""

    def open(self, path: str, flags: int) -> int:
        """Open what is at a path. Raises ``errors.NotFound`` and ``errors.InvalidArgument``."""
        try:
            descriptor = self.kernel.open_in_root(self.root, path, flags | os.O_PATH)
        except OSError as error:
            raise self.failure(error, path) from error
        if os.fstat(descriptor).st_dev in self.made_up:
            os.close(descriptor)
            raise self.absent(path)
        return descriptor

    def at(self, path: str) -> str:
        """Return what a path of it is called in messages."""
        return f"{path} in {self.what}"

    def absent(self, path: str) -> errors.NotFound:
        """Return the error for a path that is not there."""
        return errors.NotFound(f"there is no {self.at(path)}", reason=Reason.PATH_NOT_FOUND)

    def failure(self, error: OSError, path: str) -> Exception:
        """Return what it means that a path cannot be opened."""
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            return self.absent(path)
        if error.errno in {errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL}:
            return errors.InvalidArgument(f"{self.at(path)}: {error.strerror}")
        return error


def write_archive(tree: Tree, path: str, out: IO[bytes]) -> None:
    """Write an archive of what is at a path. Raises ``errors.NotFound``, ``errors.InvalidArgument``, ``OSError``."""
    path = _followed(tree, path)
    handle = tree.open(path, 0)
    try:
        _write(tree, path, handle, out)
    finally:
        os.close(handle)


def _write(tree: Tree, path: str, handle: int, out: IO[bytes]) -> None:
    status = os.fstat(handle)
    name = posixpath.basename(posixpath.normpath(path)) or "."
    if stat.S_IFMT(status.st_mode) not in tar_entries.TYPES:
        raise errors.InvalidArgument(f"{tree.at(path)} is a socket")
    with tarfile.open(
        fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape", bufsize=_BUFFER
    ) as archive:
        writer = _Writer(tree, archive)
        if stat.S_ISDIR(status.st_mode):
            writer.add_directory(os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=handle), name)
        else:
            writer.add_opened(handle, name)
    out.flush()


def _followed(tree: Tree, path: str) -> str:
    """Return a path whose last part is no link, unless it is exchanged meanwhile; ``/`` and ``/.`` at its end stay."""
    bare = path
    while bare.endswith(("/", "/.")):
        bare = bare.removesuffix(".").rstrip("/")
    end = path.removeprefix(bare)
    for _ in range(_MOST_LINKS):
        descriptor = tree.open(bare or "/", os.O_NOFOLLOW)
        try:
            if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
                return bare + end
            bare = posixpath.join(posixpath.dirname(bare), os.readlink("", dir_fd=descriptor)).rstrip("/")
        finally:
            os.close(descriptor)
    raise errors.InvalidArgument(f"{tree.at(path)}: too many links")


_Folder = tuple[int, str, Iterator[str]]
"""An open directory, its name in the archive, and those of its entries that are still to be added."""


class _Writer:
    """Writes entries into an archive."""

    def __init__(self, tree: Tree, archive: tarfile.TarFile) -> None:
        self._tree = tree
        self._archive = archive
        self._links: dict[tuple[int, int], str] = {}
        """Names in the archive of files that have more than one, by device and inode."""

    def add_directory(self, top: int, name: str) -> None:
        """Add an open directory with all that is below it."""
        stack: list[_Folder] = []
        try:
            self._add_below(top, name, stack)
        finally:
            for folder, _, _ in stack:
                os.close(folder)

    def _add_below(self, top: int, name: str, stack: list[_Folder]) -> None:
        stack.append((top, name, _names(top)))
        self._archive.addfile(tar_entries.described(name, os.fstat(top)))
        while stack:
            folder, prefix, names = stack[-1]
            child = next(names, None)
            if child is None:
                os.close(folder)
                stack.pop()
                continue
            opened = self._add(folder, child, f"{prefix}/{child}")
            if opened is None:
                continue
            stack.append((opened, f"{prefix}/{child}", _names(opened)))
            if len(stack) > _DEEPEST:
                message = f"{self._tree.what} has more than {_DEEPEST} directories in each other"
                raise errors.InvalidArgument(message)

    def _add(self, folder: int, child: str, name: str) -> int | None:
        """Add an entry of an open directory, as ``add_opened``; one that has just been removed is none."""
        try:
            handle = os.open(child, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except FileNotFoundError:
            return None
        try:
            return self.add_opened(handle, name)
        finally:
            os.close(handle)

    def add_opened(self, handle: int, name: str) -> int | None:
        """Add what is open by its path; return it opened to be read where it is a directory that has to be."""
        status = os.fstat(handle)
        kind = stat.S_IFMT(status.st_mode)
        if kind not in tar_entries.TYPES:
            return None
        entry = tar_entries.described(name, status)
        if kind == stat.S_IFLNK:
            entry.linkname = os.readlink("", dir_fd=handle)
        if kind == stat.S_IFDIR:
            self._archive.addfile(entry)
            is_read = status.st_dev not in self._tree.made_up
            return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=handle) if is_read else None
        if status.st_nlink > 1:
            first = self._links.setdefault((status.st_dev, status.st_ino), name)
            if first != name:
                entry.type, entry.linkname = tarfile.LNKTYPE, first
        if entry.isreg() and status.st_dev not in self._tree.made_up:
            self._add_file(entry, handle, status.st_size)
        else:
            self._archive.addfile(entry)
        return None

    def _add_file(self, entry: tarfile.TarInfo, handle: int, size: int) -> None:
        entry.size = size
        descriptor = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as content:
            self._archive.addfile(entry, _Padded(content))


class _Padded(io.RawIOBase):
    """A file with as many zeros behind it as it has shrunk by since it was looked at."""

    def __init__(self, content: io.FileIO) -> None:
        self._content = content

    def read(self, size: int = -1, /) -> bytes:
        data = self._content.read(size) or b""
        while len(data) < size:
            more = self._content.read(size - len(data))
            data += more or bytes(size - len(data))
        return data


def _names(folder: int) -> Iterator[str]:
    return iter(sorted(os.listdir(folder)))
