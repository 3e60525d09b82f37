"""The files of an image archive: a directory or a tar, compressed or not; read in any order, by the names in it.

An archive is untrusted: names in it are only compared, and links in it lead only to files in it.
"""

import contextlib
import io
import os
import pathlib
import posixpath
from collections.abc import Iterator
from typing import IO, Protocol

from agent import errors
from agent.distribution.content import store
from agent.distribution.layers import entries, streams
from agent.kit import frozen
from agent.reasons import Reason

_CHUNK = 1024 * 1024
_MOST_FILES = 50_000
_MOST_LINKS = 16
"""Links in a row: ``docker save`` once linked a layer that it had written before, which may have been a link itself."""


class Files(Protocol):
    """The files of an archive, by the names in it."""

    def open(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Open a file. Raises ``errors.InvalidArgument`` where there is none."""

    def has(self, name: str) -> bool:
        """Return whether there is such a file."""


@contextlib.contextmanager
def opened(path: pathlib.Path, content: store.ContentStore) -> Iterator[Files]:
    """Open an archive. Raises ``errors.InvalidArgument`` where it is none, ``entries.Unsound``, ``OSError``."""
    if path.is_dir():
        yield _Folder(path)
        return
    if path.exists() and not path.is_file():
        raise errors.InvalidArgument(f"{path} is neither a file nor a directory", reason=Reason.ARCHIVE_DAMAGED)
    with path.open("rb") as file, _seekable(file, content) as plain:
        yield _Tar(plain)


@contextlib.contextmanager
def _seekable(file: IO[bytes], content: store.ContentStore) -> Iterator[IO[bytes]]:
    """Yield a file as it is, or unpacked into an unnamed one where it is compressed: members are read out of order."""
    compressed = streams.is_compressed(file.read(streams.HEAD))
    file.seek(0)
    if not compressed:
        yield file
        return
    size = os.fstat(file.fileno()).st_size
    bounded = streams.Bounded(streams.decompressed(file), size, streams.Limits())
    with content.scratch() as unpacked:
        while chunk := bounded.read(_CHUNK):
            unpacked.write(chunk)
        unpacked.seek(0)
        yield unpacked


class _Folder:
    """An OCI layout as a directory. Links in it are followed no further than to files inside."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path.resolve()

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        path = self._find(name)
        if path is None:
            raise _no_file(name)
        with path.open("rb") as file:
            yield file

    def has(self, name: str) -> bool:
        return self._find(name) is not None

    def _find(self, name: str) -> pathlib.Path | None:
        try:
            path = (self._path / name).resolve()
            return path if path.is_relative_to(self._path) and path.is_file() else None
        except (OSError, ValueError, RuntimeError):  # too long, a NUL byte, no file name at all, a loop of links
            return None


@frozen.value
class _Member:
    """Where a file of an archive is."""

    at: int
    size: int
    link: str
    """The name of another file in the archive; empty for a file."""


class _Tar:
    """A tar archive; links in it are resolved by name, inside of it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._members: dict[str, _Member] = {}
        self._end = file.seek(0, io.SEEK_END)
        file.seek(0)
        for count, entry in enumerate(entries.Entries(file, self._skip)):
            if count >= _MOST_FILES:
                raise entries.Unsound(f"it has more than {_MOST_FILES} files")
            name = _inside(entry.name)
            match entry.kind:
                case entries.Kind.FILE:
                    self._members[name] = _Member(file.tell(), entry.size, "")
                case entries.Kind.SYMLINK:
                    folder = "" if entry.link.startswith("/") else posixpath.dirname(name)
                    self._members[name] = _Member(0, 0, _inside(posixpath.join(folder, entry.link)))
                case entries.Kind.HARDLINK:
                    self._members[name] = _Member(0, 0, _inside(entry.link))
                case entries.Kind.DIRECTORY | entries.Kind.FIFO | entries.Kind.CHARACTER | entries.Kind.BLOCK:
                    pass  # there is nothing in them to read

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        member = self._find(name)
        if member is None:
            raise _no_file(name)
        self._file.seek(member.at)
        yield io.BufferedReader(_Section(self._file, member.size), _CHUNK)

    def has(self, name: str) -> bool:
        return self._find(name) is not None

    def _find(self, name: str) -> _Member | None:
        """Return a file, following links in the archive to others in it; ``None`` where they lead to none."""
        member = self._members.get(_inside(name))
        for _ in range(_MOST_LINKS):
            if member is None or not member.link:
                return member
            member = self._members.get(member.link)
        return None

    def _skip(self, size: int) -> None:
        if self._file.tell() + size > self._end:
            raise entries.Unsound("it ends in the middle of a file")
        self._file.seek(size, io.SEEK_CUR)


class _Section(io.RawIOBase):
    """A limited number of bytes of a file from its current position."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._remaining = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk = self._file.read(min(len(buffer), self._remaining))
        buffer[: len(chunk)] = chunk
        self._remaining -= len(chunk)
        return len(chunk)


def _no_file(name: str) -> errors.InvalidArgument:
    return errors.InvalidArgument(f"the archive has no file {name[:100]!r}", reason=Reason.ARCHIVE_DAMAGED)


def _inside(name: str) -> str:
    """Return a name as it counts: relative to the archive's top, out of which nothing leads."""
    return posixpath.normpath(f"/{name}").lstrip("/")
