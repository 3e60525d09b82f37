"""A container's log, as conmon writes it: ``2026-01-02T03:04:05.678901234+00:00 stdout F text``, one line each.

``F`` ends a line, ``P`` is a part of one. Rotation is ours: the file is renamed and conmon told to begin a new one.
"""

import asyncio
import collections
import contextlib
import dataclasses
import itertools
import os
import pathlib
from collections.abc import AsyncIterator, Callable, Iterator

from agent.kit import timestamps

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
    """Give lines in the order they were written; following ends when the container has and everything is told.

    What is there is read through the very descriptor that is followed afterwards, so no line falls between the two.
    """
    parts, tail = _Parts(), _Tail(path)
    try:
        there = parts.entries(itertools.chain(_older_lines(path, tail), tail.lines()))
        wanted = (entry for entry in there if query.since is None or entry.time >= query.since)
        for entry in wanted if query.tail is None else collections.deque(wanted, maxlen=query.tail):
            yield entry
        while query.follow:
            ended = not running()
            for entry in parts.entries(tail.lines()):
                yield entry
            if ended:
                return
            await asyncio.sleep(_POLL)
    finally:
        tail.close()


def rotate(log: pathlib.Path, control: pathlib.Path, limit: int, files: int) -> bool:
    """Begin a new log file where the present one is over ``limit`` bytes, keeping ``files`` in all; True where done.

    A crash in between loses nothing: conmon goes on writing to the renamed file until it is told, and it is told again
    as long as there is no new one. Raises ``OSError`` where nobody listens at ``control``.
    """
    if log.exists():
        if log.stat().st_size < limit:
            return False
        for number in range(files - 1, 0, -1):
            older = _numbered(log, number)
            if older.exists():
                older.rename(_numbered(log, number + 1))
        log.rename(_numbered(log, 1))
        _numbered(log, files).unlink(missing_ok=True)
    elif not _numbered(log, 1).exists():
        return False
    descriptor = os.open(control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.write(descriptor, _REOPEN)
    finally:
        os.close(descriptor)
    return True


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
        return Entry(timestamps.seconds(time) or 0.0, stream, text)


class _Tail:
    """The end of a file that may be renamed while it is read."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._rest = b""
        self._open()

    def lines(self) -> Iterator[str]:
        """Give the whole lines that came since the last time; an old file is read to its end before the new one."""
        yield from self._new_lines()
        if self._descriptor is None or not self.holds(self._path):
            yield from self._new_lines()
            self.close()
            self._open()
            yield from self._new_lines()

    def holds(self, path: pathlib.Path) -> bool:
        """Tell whether a path is the file that is being read; where there is no such path, nothing else is."""
        try:
            there = path.stat()
        except FileNotFoundError:
            return True
        return self._descriptor is not None and os.path.samestat(there, os.fstat(self._descriptor))

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)

    def _new_lines(self) -> Iterator[str]:
        while self._descriptor is not None and (chunk := os.read(self._descriptor, 65536)):
            *whole, self._rest = (self._rest + chunk).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)


def _older_lines(path: pathlib.Path, tail: _Tail) -> Iterator[str]:
    """Read rotated files, the oldest first; not one that was rotated just after ``tail`` had opened it.

    All are opened before the first is read: a rotation in the middle would give them other names.
    """
    suffixes = [old.suffix[1:] for old in path.parent.glob(f"{path.name}.*")]
    numbers = sorted((int(suffix) for suffix in suffixes if suffix.isdecimal()), reverse=True)  # conmon makes a .tmp
    with contextlib.ExitStack() as stack:
        opened = []
        for file in (_numbered(path, number) for number in numbers):
            if not tail.holds(file):
                with contextlib.suppress(FileNotFoundError):
                    opened.append(stack.enter_context(file.open(errors="replace", newline="\n")))
        for lines in opened:
            yield from (line.rstrip("\n") for line in lines)


def _numbered(path: pathlib.Path, number: int) -> pathlib.Path:
    return path.with_name(f"{path.name}.{number}")
