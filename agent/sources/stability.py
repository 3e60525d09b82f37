"""Decision when a file's content is accepted, so that half of a manifest is never taken for the whole. Pure.

Readings and times come in as values, accepted files come out. A changed content is accepted once nobody has the file
open for writing and it has rested for a while; how long depends on who can know. Until then the file stands for its
previous content. Absence is accepted at once: what follows from it is decided where it is known what would be removed
(``converge.acceptance``).
"""

import dataclasses
from collections.abc import Iterable, Mapping

from agent.kit import frozen
from agent.kit.writers import Writer
from agent.sources.api import SourceFile

Signature = tuple[int, int, int, int, int]
"""Device, inode, size, time of the last write and of the last change (both in nanoseconds)."""


@frozen.value
class FileReading:
    """One reading of a file."""

    file: SourceFile
    signature: Signature | None = None
    """The file's identity while it was read; ``None`` where there is nothing to compare (an obstacle, no file)."""
    torn: bool = False
    """The file was changed, or replaced by another, while it was read."""
    writer: Writer = Writer.NONE
    """Who had it open for writing after it was read."""
    age: float = 0.0
    """Seconds since it was last changed, as the host's clock and the file system's have it."""
    generation: int = 0
    """Tells the file from others that had its inode before, where the file system says so."""


@frozen.value
class RestPeriods:
    """How long a changed file has to rest until it is accepted, in seconds."""

    quiet: float = 0.03
    """Where the kernel vouches that nobody has it open for writing."""
    beginning: float = 0.3
    """Where the content is empty, or only the beginning of the previous one: it looks like a file that somebody
    writes anew, step by step."""
    late: float = 1.0
    """Where nobody can know: network file systems show sizes and contents late."""
    unfinished: float = 60.0
    """Where somebody has it open for writing, or it never rests: it must not be hidden for ever."""


@frozen.value
class Settled:
    """The accepted files after a reading of all files."""

    files: tuple[SourceFile, ...]
    """Sorted by path."""
    unsettled: tuple[str, ...]
    """Paths of files that are answered for by what they were before, or not at all; sorted."""
    next_reading_at: float | None
    """The earliest moment, on ``take``'s clock, at which one of these may have settled; ``None`` without any."""
    changed_in_place: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Seconds since each file that was written anew, and not replaced by another one, was last seen to change, by path.
    Somebody may be doing it step by step, and close it in between."""


@dataclasses.dataclass(slots=True)
class _Candidate:
    """A content that is not accepted yet."""

    reading: FileReading
    since: float
    """When this content was first read."""
    began: float
    """When the file was first read as changing."""


@dataclasses.dataclass(slots=True)
class _AcceptedFile:
    file: SourceFile
    last_present_at: float
    """When the file last existed."""
    signature: Signature | None = None
    """The file's identity when it was last read; ``None`` where it never could be."""
    generation: int = 0
    changed_in_place_at: float | None = None
    """When this very file was last seen to hold something else; ``None``: it never was."""


class FileStability:
    """The accepted contents of one source's files, kept from reading to reading."""

    def __init__(self, periods: RestPeriods) -> None:
        """Start without files."""
        self._periods = periods
        self._accepted: dict[str, _AcceptedFile] = {}
        self._candidates: dict[str, _Candidate] = {}

    def accepted(self, path: str) -> bytes | None:
        """Return the accepted content of a path; ``None`` where there is none."""
        accepted = self._accepted.get(path)
        return None if accepted is None else accepted.file.data

    def take(self, readings: Iterable[FileReading], now: float) -> Settled:
        """Take in a reading of all existing files, and return what is accepted. ``now`` never goes back."""
        files: list[SourceFile] = []
        waits: dict[str, float] = {}
        paths: set[str] = set()
        for reading in readings:
            path = reading.file.path
            paths.add(path)
            earliest = self._consider(reading, now)
            if earliest is not None:
                waits[path] = max(earliest, now + self._periods.quiet)
            if (accepted := self._accepted.get(path)) is not None:
                accepted.last_present_at = now
                files.append(accepted.file)
        self._forget(paths, now)
        files.sort(key=lambda file: file.path)
        changed = {
            path: now - at
            for path in paths & self._accepted.keys()
            if (at := self._accepted[path].changed_in_place_at) is not None
        }
        return Settled(tuple(files), tuple(sorted(waits)), min(waits.values(), default=None), changed)

    def _consider(self, reading: FileReading, now: float) -> float | None:
        """Accept a reading if it may be; otherwise return the earliest moment at which it may."""
        path = reading.file.path
        accepted = self._accepted.get(path)
        if reading.signature is None or (
            accepted is not None and not reading.torn and _same(accepted.file, reading.file)
        ):
            self._settle(reading, now)
            return None
        candidate = self._candidates.get(path)
        if candidate is None:
            candidate = self._candidates[path] = _Candidate(reading, now, now)
        elif reading.torn or candidate.reading.torn or not _unchanged(candidate.reading, reading):
            candidate.reading, candidate.since = reading, now
        if reading.torn:
            return now + self._periods.quiet
        needed = self._needed(reading, accepted)
        rested = now - candidate.since
        if reading.writer is Writer.NONE:
            rested = max(rested, reading.age)
        if rested >= needed or now - candidate.began >= self._periods.unfinished:
            self._settle(reading, now)
            return None
        return now + needed - rested

    def _needed(self, reading: FileReading, accepted: _AcceptedFile | None) -> float:
        if reading.writer is Writer.OPEN:
            return self._periods.unfinished
        before = b"" if accepted is None else accepted.file.data
        is_beginning = _is_beginning(reading.file.data, before)
        if reading.writer is Writer.UNKNOWN:
            return self._periods.late
        return self._periods.beginning if is_beginning or not reading.file.data.strip() else self._periods.quiet

    def _settle(self, reading: FileReading, now: float) -> None:
        self._candidates.pop(reading.file.path, None)
        before = self._accepted.get(reading.file.path)
        changed_at = _changed_in_place_at(before, reading, now)
        identity = reading.signature, reading.generation
        if reading.signature is None and before is not None:  # an obstacle: it may be the same file afterwards
            identity = before.signature, before.generation
        self._accepted[reading.file.path] = _AcceptedFile(reading.file, now, *identity, changed_at)

    def _forget(self, paths: set[str], now: float) -> None:
        """Drop files that have been absent for a while; a file that is only being replaced returns before."""
        for path in self._candidates.keys() - paths:
            del self._candidates[path]
        for path in self._accepted.keys() - paths:
            if now - self._accepted[path].last_present_at > self._periods.late:
                del self._accepted[path]


def _changed_in_place_at(before: _AcceptedFile | None, reading: FileReading, now: float) -> float | None:
    """Return when the file that an accepted reading is of was changed in place. One that replaces another is whole.

    What it holds does not tell: the first step of whoever writes it anew need not be the beginning of the old one.
    """
    if before is None or before.signature is None:
        return None
    if reading.signature in {None, before.signature}:
        return before.changed_in_place_at
    if _inode(before.signature, before.generation) != _inode(reading.signature, reading.generation):
        return None
    if before.changed_in_place_at is None and _same(before.file, reading.file):  # chmod, touch
        return None
    return now


def _inode(signature: Signature | None, generation: int) -> tuple[int, ...]:
    return (*(signature or ())[:2], generation)


def _is_beginning(data: bytes, whole: bytes) -> bool:
    return len(data) < len(whole) and whole.startswith(data)


def _same(accepted: SourceFile, file: SourceFile) -> bool:
    return (accepted.data, accepted.problem) == (file.data, file.problem)


def _unchanged(before: FileReading, reading: FileReading) -> bool:
    return before.signature == reading.signature and before.file.data == reading.file.data
