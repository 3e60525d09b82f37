"""A container's log, as conmon writes it: ``2026-01-02T03:04:05.678901234+00:00 stdout F text``, one line each.

``F`` ends a line, ``P`` is a part of one. Rotation is ours: the file is renamed and conmon told to begin a new one.
"""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import os
import pathlib
from collections.abc import AsyncIterator, Callable, Iterator

_POLL = 0.1
"""Seconds between two looks at a log that is followed."""
_REOPEN = b"2 0 0\n"
"""What conmon's control fifo takes as "open your log anew"."""
_FIELDS = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A line that a container wrote."""

    time: float
    stream: str
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """Which lines."""

    follow: bool = False
    tail: int | None = None
    since: float | None = None


async def read(path: pathlib.Path, query: Query, running: Callable[[], bool]) -> AsyncIterator[Entry]:
    """Give lines in the order they were written; following ends when the container has and everything is told."""
    parts = _Parts()
    kept = [entry for entry in parts.entries(_all_lines(path)) if query.since is None or entry.time >= query.since]
    for entry in kept if query.tail is None else kept[max(len(kept) - query.tail, 0) :]:
        yield entry
    if query.follow:
        async for entry in _followed(path, parts, running):
            yield entry


def rotate(log: pathlib.Path, control: pathlib.Path, limit: int, files: int) -> bool:
    """Begin a new log file where the present one is over ``limit`` bytes, keeping ``files`` in all; True where done.

    A crash in between loses nothing: conmon goes on writing to the renamed file until it is told.
    """
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size < limit:
            return False
        for number in range(files - 1, 0, -1):
            older = _numbered(log, number)
            if older.exists():
                older.rename(_numbered(log, number + 1))
        log.rename(_numbered(log, 1))
        _numbered(log, files).unlink(missing_ok=True)
        descriptor = os.open(control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(descriptor, _REOPEN)
        finally:
            os.close(descriptor)
        return True
    return False


class _Parts:
    """Puts lines together that conmon wrote in parts."""

    def __init__(self) -> None:
        self._waiting: dict[str, str] = {}

    def entries(self, lines: Iterator[str]) -> Iterator[Entry]:
        for line in lines:
            entry = self._entry(line)
            if entry is not None:
                yield entry

    def _entry(self, line: str) -> Entry | None:
        fields = line.split(" ", _FIELDS)
        if len(fields) <= _FIELDS - 1:
            return None
        time, stream, tag, text = (*fields, "")[:4]
        text = self._waiting.pop(stream, "") + text
        if tag == "P":
            self._waiting[stream] = text
            return None
        return Entry(_seconds(time), stream, text)


async def _followed(path: pathlib.Path, parts: _Parts, running: Callable[[], bool]) -> AsyncIterator[Entry]:
    """Go on at the end of the file, over rotations, until the container has ended and its last line is told."""
    tail = _Tail(path)
    try:
        while True:
            ended = not running()
            for entry in parts.entries(tail.lines()):
                yield entry
            if ended:
                return
            await asyncio.sleep(_POLL)
    finally:
        tail.close()


class _Tail:
    """The end of a file that may be renamed while it is read."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._rest = b""
        self._open(at_end=True)

    def lines(self) -> Iterator[str]:
        """Give the whole lines that came since the last time; an old file is read to its end before the new one."""
        yield from self._new_lines()
        if self._descriptor is None or self._replaced():
            yield from self._new_lines()
            self.close()
            self._open(at_end=False)
            yield from self._new_lines()

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self, *, at_end: bool) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            if at_end:
                os.lseek(self._descriptor, 0, os.SEEK_END)

    def _replaced(self) -> bool:
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        return self._descriptor is not None and not os.path.samestat(now, os.fstat(self._descriptor))

    def _new_lines(self) -> Iterator[str]:
        while self._descriptor is not None and (chunk := os.read(self._descriptor, 65536)):
            *whole, self._rest = (self._rest + chunk).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)


def _all_lines(path: pathlib.Path) -> Iterator[str]:
    """Read rotated files, the oldest first, and then the present one."""
    numbers = sorted((int(old.suffix[1:]) for old in path.parent.glob(f"{path.name}.*")), reverse=True)
    for file in (*(_numbered(path, number) for number in numbers), path):
        with contextlib.suppress(FileNotFoundError), file.open(errors="replace", newline="\n") as lines:
            yield from (line.rstrip("\n") for line in lines)


def _numbered(path: pathlib.Path, number: int) -> pathlib.Path:
    return path.with_name(f"{path.name}.{number}")


def _seconds(text: str) -> float:
    """Read RFC 3339 with nanoseconds; Python takes microseconds."""
    head, dot, tail = text.partition(".")
    digits = "".join(character for character in tail[:9] if character.isdigit())
    zone = tail.lstrip("0123456789")
    try:
        whole = dt.datetime.fromisoformat(head + (zone if dot else "")).timestamp()
    except ValueError:
        return 0.0
    return whole + (int(digits) / 10 ** len(digits) if digits else 0.0)
