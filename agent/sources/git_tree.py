"""The files of a git commit, as a value: which of them are manifests, with links followed inside the tree. Pure.

Links are followed as the directory source follows them, and each real directory is read once. A link that leads out of
the tree, round in a circle, or to nothing, and a submodule become problems, whatever their names are: what they stand
for is not known, and must not be taken for "no longer declared".
"""

import enum
import os
import re
from collections.abc import Iterable, Iterator, Mapping

from agent.kit import frozen
from agent.sources import files

_TREE, _LINK, _SUBMODULE = "040000", "120000", "160000"
_LONGEST_TARGET = 4096
_MOST_LINKS = 40
"""Links that may follow one another, as in Linux."""


_ESCAPED = re.compile(r"[*?\[\]\\ \n]")
"""What means something in git's patterns (gitignore(5))."""


_LINE = re.compile(rb"([0-7]{6}) [a-z]+ ([0-9a-f]{40,64}) +(-|[0-9]{1,18})\t(.+)", re.DOTALL)
_NO_NAMES = frozenset({b"", b".", b".."})
_HEADER = re.compile(rb"([0-9a-f]{40,64}) [a-z]+ ([0-9]{1,18})\n")


class BadListing(ValueError):
    """Output of git that is no listing of a tree."""


@frozen.value
class Entry:
    """A name in the tree."""

    mode: str
    object_id: str
    size: int
    """Bytes of a file or a link; 0 for others."""
    path: str

    @property
    def is_file(self) -> bool:
        """Return whether it is a regular file."""
        return self.mode not in {_TREE, _LINK, _SUBMODULE}


class Obstacle(enum.Enum):
    """Why a path leads to nothing that can be read."""

    MISSING = files.DANGLING
    OUTSIDE = "this symlink leaves the repository: it is not read"
    CIRCLE = "this symlink leads round in a circle"
    SUBMODULE = "this is a submodule: it is not fetched, and nothing in it is read"
    TOO_DEEP = "lies deeper than directories may (source.depth)"


@frozen.value
class ManifestEntry:
    """A manifest to be read, or the problem that prevents it."""

    path: str
    """In the repository, as its name has it and not as its links do."""
    entry: Entry | None
    problem: str = ""


_ROOT = Entry(_TREE, "", 0, "")


def parse_listing(printed: bytes) -> list[Entry]:
    """Read what ``git ls-tree -r -t -l -z`` prints. Raises ``BadListing``."""
    entries = []
    for line in filter(None, printed.split(b"\0")):
        match = _LINE.fullmatch(line)
        if match is None or not _NO_NAMES.isdisjoint(match[4].split(b"/")):
            raise BadListing(f"{line[:80]!r} is no line of a listing")
        mode, object_id, size, path = match.groups()
        entries.append(Entry(mode.decode(), object_id.decode(), 0 if size == b"-" else int(size), os.fsdecode(path)))
    return entries


def links(entries: Iterable[Entry]) -> list[Entry]:
    """Select the links whose targets have to be known."""
    return [entry for entry in entries if entry.mode == _LINK and entry.size <= _LONGEST_TARGET]


def checkout_size(entries: Iterable[Entry]) -> int:
    """Return how many bytes the files take on a disk."""
    return sum(entry.size for entry in entries)


class GitTree:
    """All names of a commit."""

    def __init__(self, entries: Iterable[Entry], targets: Mapping[str, bytes]) -> None:
        """``targets``: what each link's object holds."""
        self._entries = {entry.path: entry for entry in entries}
        self._targets = {object_id: os.fsdecode(target) for object_id, target in targets.items()}
        self._children: dict[str, list[str]] = {}
        for path in self._entries:
            parent, _, name = path.rpartition("/")
            self._children.setdefault(parent, []).append(name)

    def resolve(self, path: str) -> Entry | Obstacle:
        """Follow a path, through links, to what it names."""
        real: list[Entry] = []
        pending, followed = path.split("/")[::-1], 0
        while pending:
            part = pending.pop()
            current = real[-1] if real else _ROOT
            if part in {"", "."}:
                continue
            if current.mode != _TREE:
                return Obstacle.SUBMODULE if current.mode == _SUBMODULE else Obstacle.MISSING
            if part == "..":
                if not real:
                    return Obstacle.OUTSIDE
                real.pop()
                continue
            entry = self._entries.get(_join(current.path, part))
            if entry is not None and entry.mode == _LINK:
                followed += 1
                target = self._target(entry, followed)
                if isinstance(target, Obstacle):
                    return target
                pending += target[::-1]
            elif entry is not None:
                real.append(entry)
            else:
                return Obstacle.MISSING
        return real[-1] if real else _ROOT

    def _target(self, link: Entry, followed: int) -> list[str] | Obstacle:
        target = self._targets.get(link.object_id, "")
        if followed > _MOST_LINKS:
            return Obstacle.CIRCLE
        if target.startswith("/"):
            return Obstacle.OUTSIDE
        return target.split("/") if target else Obstacle.MISSING

    def manifests(self, subpath: str, depth: int) -> Iterator[ManifestEntry]:
        """Yield the manifests at a path, sorted within each directory. A path that is no directory is one by itself.

        A path that does not exist yields nothing. ``depth``: levels of directories at most.
        """
        start = self.resolve(subpath)
        if start is Obstacle.MISSING:
            return
        if isinstance(start, Obstacle):
            yield ManifestEntry(subpath, None, start.value)
        elif start.mode == _SUBMODULE:
            yield ManifestEntry(subpath, None, Obstacle.SUBMODULE.value)
        elif start.mode == _TREE:
            yield from self._walk(subpath, start.path, {start.path}, depth)
        else:
            yield ManifestEntry(subpath, start)

    def _child(self, path: str) -> Entry | Obstacle:
        """Return the entry of a path in a real directory; for a link what it resolves to, or the obstacle."""
        entry = self._entries[path]
        return self.resolve(path) if entry.mode == _LINK else entry

    def _walk(self, shown: str, real: str, visited: set[str], depth: int) -> Iterator[ManifestEntry]:
        for name in sorted(self._children.get(real, ())):
            if files.is_ignored(name):
                continue
            path = _join(shown, name)
            entry = self._child(_join(real, name))
            if isinstance(entry, Obstacle):
                yield ManifestEntry(path, None, entry.value)
            elif entry.mode == _SUBMODULE:
                yield ManifestEntry(path, None, Obstacle.SUBMODULE.value)
            elif entry.mode != _TREE:
                if files.is_manifest(name):
                    yield ManifestEntry(path, entry)
            elif entry.path not in visited:
                if depth <= 0:
                    yield ManifestEntry(path, None, Obstacle.TOO_DEEP.value)
                    continue
                visited.add(entry.path)
                yield from self._walk(path, entry.path, visited, depth - 1)


def sparse_patterns(entries: list[Entry], targets: Mapping[str, bytes]) -> bytes:
    """Return patterns (``core.sparseCheckout``) by which git puts no link on disk that leads out of the tree."""
    tree = GitTree(entries, targets)
    leaving = [entry for entry in entries if entry.mode == _LINK and tree.resolve(entry.path) is Obstacle.OUTSIDE]
    lines = ["/*", *(f"!/{_ESCAPED.sub(_escape, entry.path)}" for entry in leaving)]
    return os.fsencode("".join(f"{line}\n" for line in lines))


def _escape(match: re.Match[str]) -> str:
    """Escape a letter of a pattern. A line's end cannot be: any letter will do in its place."""
    return "?" if match[0] == "\n" else "\\" + match[0]


def parse_objects(printed: bytes) -> dict[str, bytes]:
    """Read what ``git cat-file --batch`` prints: the content of each object by its name. Raises ``BadListing``."""
    objects: dict[str, bytes] = {}
    position = 0
    while position < len(printed):
        match = _HEADER.match(printed, position)
        if match is None:
            raise BadListing(f"{printed[position : position + 80]!r} is no object")
        name, start, size = match[1].decode(), match.end(), int(match[2])
        if start + size >= len(printed):
            raise BadListing(f"object {name} is cut short")
        objects[name] = printed[start : start + size]
        position = start + size + 1
    return objects


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name
