"""Reading all manifests below a path: sorted, each real directory once, nothing hidden, every obstacle told.

What cannot be read becomes a file with a ``problem``, never a gap: a gap would mean "no longer declared".
"""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator

from agent.sources import api, files

_MAXIMUM_DEPTH = 40
"""Levels of directories; deeper trees are mistakes (a source of ``/``, a bind mount of itself)."""
_MAXIMUM_FILES = 50_000
_MAXIMUM_TOTAL = 512 * 1024 * 1024
"""Bytes of all manifests together: what the agent may take of a host's memory for reading."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A file or directory that was found, before it is read."""

    path: pathlib.Path
    """Absolute."""
    relative: str
    """From the top of the tree; empty for the top itself."""
    problem: str = ""


StandIn = Callable[[Entry], tuple[api.SourceFile, ...] | None]
"""Answers for a file that must not be read now (somebody is writing to it) with what stands for it: itself as it was
before, or nothing where it was not there before. ``None``: read it."""


def read(top: pathlib.Path, shown: str, stand_in: StandIn) -> tuple[api.SourceFile, ...]:
    """Read a directory's manifests, or the one file that ``top`` is; ``shown`` is ``top`` as people typed it.

    Raises ``SourceUnavailable`` where ``top`` is not there, cannot be read, or is far too large.
    """
    found: list[api.SourceFile] = []
    total = 0
    for entry in find(top, shown):
        if len(found) >= _MAXIMUM_FILES or total > _MAXIMUM_TOTAL:
            raise api.SourceUnavailable(
                f"{shown}: more than {_MAXIMUM_FILES} manifests or {_MAXIMUM_TOTAL // 2**20} MiB",
                hint="give a directory that holds manifests only",
            )
        standing = stand_in(entry)
        for file in _read(entry, shown) if standing is None else standing:
            found.append(file)
            total += len(file.data)
    return tuple(sorted(found, key=lambda file: file.path))


def find(top: pathlib.Path, shown: str) -> Iterator[Entry]:
    """Give what is to be read below ``top``. Raises ``SourceUnavailable`` where ``top`` cannot be looked into."""
    try:
        if top.is_file():
            yield Entry(top, "")
            return
        found = top.stat()
        os.listdir(top)  # noqa: PTH208 - only whether it can be listed
    except OSError as error:
        raise api.SourceUnavailable(
            f"{shown} cannot be read: {(error.strerror or str(error)).lower()}", hint="what runs is left as it is"
        ) from error
    yield from _walk(top, "", {(found.st_dev, found.st_ino)}, 0)


def revision(found: Iterable[api.SourceFile], shown: str) -> str:
    """Name the content of a tree: a hash over paths and bytes, the same wherever the tree lies."""
    total = hashlib.sha256()
    for file in found:
        for part in (file.path.removeprefix(shown).encode(errors="surrogateescape"), file.problem.encode(), file.data):
            total.update(b"%d:" % len(part))
            total.update(part)
    return f"dir:sha256:{total.hexdigest()[:12]}"


def shown_path(entry: Entry, shown: str) -> str:
    """Give an entry's path as people see it."""
    return os.path.join(shown, entry.relative) if entry.relative else shown  # noqa: PTH118 - keeps what was typed


def _read(entry: Entry, shown: str) -> tuple[api.SourceFile, ...]:
    path, directory = shown_path(entry, shown), str(entry.path.parent)
    if entry.problem:
        return (api.SourceFile(path, directory, b"", entry.problem),)
    try:
        data, problem = files.read(entry.path)
    except FileNotFoundError:  # deleted since it was listed: as if it had never been there
        return ()
    return (api.SourceFile(path, directory, data, problem),)


def _walk(directory: pathlib.Path, relative: str, seen: set[tuple[int, int]], depth: int) -> Iterator[Entry]:
    try:
        with os.scandir(directory) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except OSError as error:
        yield Entry(directory, relative, f"cannot be listed: {(error.strerror or str(error)).lower()}")
        return
    for entry in entries:
        if files.is_ignored(entry.name):
            continue
        inner = f"{relative}/{entry.name}" if relative else entry.name
        path = directory / entry.name
        if _is_directory(entry):
            yield from _descend(path, inner, seen, depth)
        elif files.is_manifest(entry.name):
            yield Entry(path, inner)


def _descend(path: pathlib.Path, relative: str, seen: set[tuple[int, int]], depth: int) -> Iterator[Entry]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    identity = (found.st_dev, found.st_ino)
    if identity in seen:  # a symlink back up, or a second way to the same directory
        return
    if depth >= _MAXIMUM_DEPTH:
        yield Entry(path, relative, f"lies deeper than {_MAXIMUM_DEPTH} directories")
        return
    seen.add(identity)
    yield from _walk(path, relative, seen, depth + 1)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
