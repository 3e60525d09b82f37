"""Trees of files that are copied from, and what of them a path or a pattern of COPY and ADD names.

A tree answers questions about single paths, relative to its top and without links in their folders; everything here is
pure but for those answers.
"""

import posixpath
import re
import stat
from collections.abc import Iterator
from typing import Protocol

from agent.dockerfile import ignore
from agent.kit import frozen

_MOST_LINKS = 255
"""Links in a path."""
_WILDCARDS = re.compile(r"(?<!\\)[*?\[]")


@frozen.value
class Status:
    """What a path is."""

    mode: int
    """Type and permissions, as in ``st_mode``."""
    uid: int
    gid: int
    size: int
    modified: int
    """Nanoseconds since the epoch."""
    identity: tuple[int, int] | None = None
    """Device and inode of a file that has more than one name."""
    device: tuple[int, int] = (0, 0)
    """Major and minor number of a device node."""

    @property
    def is_folder(self) -> bool:
        """Return whether it is a directory."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        """Return whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)


class Tree(Protocol):
    """Files by their paths; the top is the empty path."""

    def status(self, path: str) -> Status | None:
        """Return what a path is; ``None`` where there is nothing, or nothing that may be seen."""

    def names(self, path: str) -> list[str]:
        """Return the sorted names in a directory."""

    def link(self, path: str) -> str:
        """Return where a symbolic link leads."""


class TooManyLinks(Exception):
    """The links of a path lead in a circle."""


def resolve(tree: Tree, path: str, *, follows_last: bool = True) -> str:
    """Return a path without links: each is followed as if the tree's top were ``/``. Raises ``TooManyLinks``.

    What is not there stays as it is written.
    """
    waiting = [part for part in reversed(path.split("/")) if part not in {"", "."}]
    done: list[str] = []
    links = 0
    while waiting:
        part = waiting.pop()
        if part == "..":
            del done[-1:]
            continue
        here = "/".join((*done, part))
        status = tree.status(here)
        if status is None or not status.is_link or (not waiting and not follows_last):
            done.append(part)
            continue
        links += 1
        if links > _MOST_LINKS:
            raise TooManyLinks(path)
        target = tree.link(here)
        if target.startswith("/"):
            done.clear()
        waiting += [part for part in reversed(target.split("/")) if part not in {"", "."}]
    return "/".join(done)


def has_wildcards(pattern: str) -> bool:
    """Return whether a source is a pattern."""
    return _WILDCARDS.search(pattern) is not None


def matching(tree: Tree, pattern: str) -> list[str]:
    """Return the paths that a pattern matches, links in them not followed: ``*`` and ``?`` do not match ``/``.

    Raises ``ignore.BadPattern``, ``TooManyLinks``.
    """
    parts = [part for part in posixpath.normpath(f"/{pattern}").split("/") if part]
    fixed = next((count for count, part in enumerate(parts) if has_wildcards(part)), len(parts))
    top = resolve(tree, "/".join(_plain(part) for part in parts[:fixed]))
    expressions = [_component(part) for part in parts[fixed:]]
    return sorted(_matches(tree, top, expressions))


def _matches(tree: Tree, folder: str, expressions: list[re.Pattern[str]]) -> Iterator[str]:
    if not expressions:
        yield folder
        return
    status = tree.status(folder)
    if status is None or not status.is_folder:
        return
    for name in tree.names(folder):
        if expressions[0].fullmatch(name):
            yield from _matches(tree, posixpath.join(folder, name), expressions[1:])


def _component(part: str) -> re.Pattern[str]:
    """Return one component of a pattern; ``**`` is two stars here, as in Go's ``filepath.Match``."""
    return ignore.of([(0, re.sub(r"\*{2,}", "*", part))]).patterns[0].expression


def _plain(part: str) -> str:
    return re.sub(r"\\(.)", r"\1", part)


@frozen.value
class Entry:
    """Something below what is copied."""

    path: str
    """In its tree."""
    relative: str
    """To what is copied; empty: that itself."""
    status: Status


def below(tree: Tree, top: str, excluded: ignore.Ignore) -> Iterator[Entry]:
    """Yield what is at a path without links, and all below it, folders first; without what is excluded below it."""
    status = tree.status(top)
    if status is None:
        return
    waiting = [Entry(top, "", status)]
    while waiting:
        entry = waiting.pop()
        is_out = bool(entry.relative and excluded.patterns) and excluded.leaves_out(entry.relative)
        if not is_out:
            yield entry
        if not entry.status.is_folder or (is_out and not excluded.may_bring_back):
            continue
        inner = []
        for name in tree.names(entry.path):
            path = posixpath.join(entry.path, name)
            if (own := tree.status(path)) is not None:
                inner.append(Entry(path, posixpath.join(entry.relative, name), own))
        waiting += reversed(inner)
