"""Reading all manifests below a path: sorted, each real directory once, nothing hidden, every obstacle reported.

What cannot be read becomes a file with a ``problem``, never a gap: a gap would mean "no longer declared".
"""

import dataclasses
import hashlib
import os
import pathlib
import time
from collections.abc import Callable, Iterable, Iterator

from agent.kit import frozen, writers
from agent.sources import api, files, stability
from agent.sources import limits as source_limits


@frozen.value
class Entry:
    """A file or directory of the tree, before it is read."""

    path: pathlib.Path
    """Absolute."""
    relative: str
    """From the top of the tree; empty for the top itself."""
    problem: str = ""


class Reader:
    """Reads the files of one tree, again at each snapshot. For one thread at a time."""

    def __init__(
        self,
        top: pathlib.Path,
        shown: str,
        accepted: Callable[[str], bytes | None],
        limits: source_limits.Limits = source_limits.DEFAULT,
    ) -> None:
        """``shown`` is ``top`` as people typed it; ``accepted`` returns a path's accepted content."""
        self._top = top
        self._shown = shown
        self._accepted = accepted
        self._limits = limits
        self._writers = writers.Writers()
        self._directories: set[pathlib.Path] = set()

    def read(self, has_open_writer: Callable[[pathlib.Path], bool]) -> list[stability.FileReading]:
        """Read a directory's manifests, or the one file that ``top`` is.

        ``has_open_writer`` answers where the kernel does not. Raises ``SourceUnavailable`` where ``top`` is not there,
        cannot be read, or is far too large.
        """
        readings: list[stability.FileReading] = []
        total = 0
        began = time.time()
        if len(self._directories) > self._limits.files:
            self._directories.clear()
        for entry in find(self._top, self._shown, self._limits.depth):
            if len(readings) >= self._limits.files or total > self._limits.total:
                most = f"{self._limits.files} manifests or {source_limits.megabytes(self._limits.total)}"
                raise api.SourceUnavailable(
                    f"{self._shown}: more than {most}",
                    hint="give a directory that holds manifests only, or raise source.files and source.total",
                )
            self._directories.add(entry.path.parent)
            reading = self._read(entry, began)
            if reading is None:
                continue
            if reading.writer is writers.Writer.UNKNOWN and has_open_writer(entry.path):
                reading = dataclasses.replace(reading, writer=writers.Writer.OPEN)
            readings.append(reading)
            total += len(reading.file.data)
        return readings

    def layout(self) -> str:
        """Return a fingerprint of the directories that hold manifests, or have held some.

        It changes whenever something was created, renamed or removed in one of them, even if that was undone.
        """
        total = hashlib.sha256()
        for directory in sorted(self._directories):
            try:
                status = directory.stat()
                state = f"{status.st_dev}-{status.st_ino}-{status.st_mtime_ns}"
            except OSError:
                state = "gone"
            total.update(os.fsencode(directory) + f"\0{state}\0".encode())
        return total.hexdigest()

    def _read(self, entry: Entry, began: float) -> stability.FileReading | None:
        path, directory = shown_path(entry, self._shown), str(entry.path.parent)
        if entry.problem:
            return stability.FileReading(api.SourceFile(path, directory, b"", entry.problem))
        try:
            reading = files.read(entry.path, self._writers, self._accepted(path), began)
        except OSError:  # removed since it was listed: as if it had never been there
            return None
        file = api.SourceFile(path, directory, reading.data, reading.problem)
        return stability.FileReading(
            file, reading.signature, reading.torn, reading.writer, reading.age, reading.generation
        )


def find(top: pathlib.Path, shown: str, depth: int) -> Iterator[Entry]:
    """Yield the files to be read below ``top``, at most ``depth`` levels of directories deep.

    Raises ``SourceUnavailable`` where ``top`` cannot be looked into.
    """
    try:
        if top.is_file():
            yield Entry(top, "")
            return
        visited = _Visited({_identity(top.stat())}, _above(top))
        listing = _list(top)
    except OSError as error:
        raise api.SourceUnavailable(
            f"{shown} cannot be read: {(error.strerror or str(error)).lower()}", hint="what runs is left as it is"
        ) from error
    yield from _walk(listing, "", visited, depth)


def revision(source_files: Iterable[api.SourceFile], shown: str) -> str:
    """Return the revision of a tree: a hash over paths and bytes, the same wherever the tree lies."""
    total = hashlib.sha256()
    for file in source_files:
        for part in (file.path.removeprefix(shown).encode(errors="surrogateescape"), file.problem.encode(), file.data):
            total.update(b"%d:" % len(part))
            total.update(part)
    return f"dir:sha256:{total.hexdigest()[:12]}"


def shown_path(entry: Entry, shown: str) -> str:
    """Return an entry's path as the user typed the source."""
    return os.path.join(shown, entry.relative) if entry.relative else shown  # noqa: PTH118 - keeps what was typed


@frozen.value
class _Visited:
    """Directories by device and inode."""

    entered: set[tuple[int, int]]
    """Those that were entered."""
    above: frozenset[tuple[int, int]]
    """Those that the source itself lies in: following a link to one would read the whole host."""


def _above(top: pathlib.Path) -> frozenset[tuple[int, int]]:
    real = top.resolve()
    return frozenset(_identity(parent.stat()) for parent in real.parents)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _list(directory: pathlib.Path) -> list[os.DirEntry[str]]:
    with os.scandir(directory) as listing:
        return sorted(listing, key=lambda entry: entry.name)


def _walk(listing: Iterable[os.DirEntry[str]], relative: str, visited: _Visited, depth: int) -> Iterator[Entry]:
    for entry in listing:
        if files.is_ignored(entry.name):
            continue
        inner = f"{relative}/{entry.name}" if relative else entry.name
        path = pathlib.Path(entry.path)
        try:
            is_directory = _is_directory(entry)
        except OSError as error:
            yield from _obstacle(path, inner, error)
            continue
        if is_directory:
            yield from _descend(path, inner, visited, depth)
        elif files.is_manifest(entry.name):
            yield Entry(path, inner)


def _descend(path: pathlib.Path, relative: str, visited: _Visited, depth: int) -> Iterator[Entry]:
    try:
        identity = _identity(path.stat())
        if identity in visited.above:
            yield Entry(path, relative, "this symlink leads to a directory that the source lies in: it is not followed")
            return
        if identity in visited.entered:  # a symlink back up, or a second way to the same directory
            return
        if depth <= 0:
            yield Entry(path, relative, "lies deeper than directories may (source.depth)")
            return
        listing = _list(path)
    except OSError as error:
        yield from _obstacle(path, relative, error)
        return
    visited.entered.add(identity)
    yield from _walk(listing, relative, visited, depth - 1)


def _obstacle(path: pathlib.Path, relative: str, error: OSError) -> Iterator[Entry]:
    """Yield what cannot be looked at with the reason, unless it was removed since it was listed."""
    if problem := files.obstacle(path, error):
        yield Entry(path, relative, problem)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a directory, or a link to one. Raises ``OSError`` where that cannot be known."""
    if entry.is_dir():
        return True
    if entry.is_symlink():
        entry.stat()  # a link to nothing could be to a directory, and is_dir says no
    return False
