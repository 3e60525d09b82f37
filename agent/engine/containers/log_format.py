"""The lines of a log as conmon writes them: ``2026-01-02T03:04:05.678901234+00:00 stdout F text``.

The tag ``F`` (full) ends a line, ``P`` (partial) is a part of one: conmon reads 8 KiB at a time, so a part may end
within a character, and the last line of a program that ends without a line end stays a part. ``B`` is our own tag: it
is written before a run begins, so that its first line does not continue the last one of the run before.
"""

import datetime as dt
from collections.abc import Iterable, Iterator

from agent.kit import frozen, timestamps

PARTIAL, BEGIN = b"P", b"B"
_STREAMS = (b"stdout", b"stderr")
_BEGIN_MARK = b" stdout B \n"
_FIELDS = 3
"""Blanks before the text."""
_MINUTE, _SECOND, _POINT, _ZONE = 17, 19, 20, 29
"""Where a stamp of conmon's has its seconds, their point, their fraction, and its zone."""


@frozen.value
class Entry:
    """A line that a container wrote."""

    time: float
    """When its first part was written, in seconds since the epoch; 0 where that cannot be read."""
    stream: str
    data: bytes
    """Its bytes as they were written, without the line end."""


class Assembler:
    """Puts lines together that conmon wrote in parts, in time linear in what it is given."""

    def __init__(self) -> None:
        """Nothing has been read yet."""
        self._parts: dict[bytes, tuple[bytes, list[bytes]]] = {}
        self._clock = _Clock()

    def entries(self, lines: Iterable[bytes]) -> Iterator[Entry]:
        """Return the entries that end within some more lines of the log; what is no line of conmon's is passed over."""
        for line in lines:
            fields = line.split(b" ", _FIELDS)
            if len(fields) < _FIELDS:
                continue
            stamp, stream, tag = fields[:_FIELDS]
            text = fields[_FIELDS] if len(fields) > _FIELDS else b""
            if tag == PARTIAL:
                self._parts.setdefault(stream, (stamp, []))[1].append(text)
            elif tag == BEGIN:
                yield from self.unended()
            elif stream in self._parts:
                begun, parts = self._parts.pop(stream)
                yield self._entry(begun, stream, b"".join((*parts, text)))
            else:
                yield self._entry(stamp, stream, text)

    def unended(self) -> Iterator[Entry]:
        """Return what has been written without a line end, when nothing can follow it."""
        for stream, (stamp, parts) in self._parts.items():
            yield self._entry(stamp, stream, b"".join(parts))
        self._parts.clear()

    def _entry(self, stamp: bytes, stream: bytes, text: bytes) -> Entry:
        return Entry(self._clock.seconds(stamp), "stderr" if stream == b"stderr" else "stdout", text)


def begin_line(now: float) -> bytes:
    """Return the line that is written before a run begins."""
    stamp = dt.datetime.fromtimestamp(now, dt.UTC).isoformat(timespec="microseconds")
    return stamp.encode() + _BEGIN_MARK


class TailSearch:
    """Finds, reading a log's lines from its end backwards, which of them hold the last so many entries.

    An entry is needed from its first part on. Where that is is known once the line before it of the same stream has
    been seen, and that there is no unended one once the last line of each stream has: far away for a quiet stream.
    """

    def __init__(self, entries: int) -> None:
        """``entries``: how many are looked for."""
        self._missing = entries
        self._unseen = set(_STREAMS)
        """Streams of which no line of the run has been seen."""
        self._open: set[bytes] = set()
        """Streams whose earliest needed entry may begin still further back."""

    @property
    def done(self) -> bool:
        """Whether all that is needed has been seen."""
        return not (self._missing or self._open or self._unseen)

    def is_needed(self, line: bytes) -> bool:
        """Take the line before those that have been taken; return whether it may hold a part of what is looked for."""
        fields = line.split(b" ", _FIELDS)
        if len(fields) < _FIELDS:
            return False
        _, stream, tag = fields[:_FIELDS]
        if tag == BEGIN:
            self._open.clear()
            self._unseen = set(_STREAMS) if self._missing else set()
            return False
        unended = tag == PARTIAL and stream in self._unseen
        self._unseen.discard(stream)
        if unended or (tag != PARTIAL and self._missing):
            self._missing = max(self._missing - 1, 0)
            self._open.add(stream)
        elif tag != PARTIAL:
            self._open.discard(stream)
        return bool(self._missing) or stream in self._open

    def may_be_needed(self, block: bytes) -> bool:
        """Return whether some lines may tell what is still to be found, without taking them apart."""
        marks = [b" %b " % stream for stream in self._open | self._unseen]
        return bool(self._missing) or any(mark in block for mark in marks) or _BEGIN_MARK in block


class _Clock:
    """Reads stamps. Those of one minute share all but their seconds, and reading these is cheap."""

    def __init__(self) -> None:
        self._minute = b""
        self._begun = 0.0

    def seconds(self, stamp: bytes) -> float:
        """Return a stamp as seconds since the epoch; 0 where it is none."""
        second, fraction = stamp[_MINUTE:_SECOND], stamp[_POINT:_ZONE]
        if not (second.isdigit() and fraction.isdigit() and stamp[_SECOND:_POINT] == b"."):
            return timestamps.seconds(stamp.decode(errors="replace")) or 0.0
        minute = stamp[:_MINUTE] + b"00" + stamp[_ZONE:]
        if minute != self._minute:
            begun = timestamps.seconds(minute.decode(errors="replace"))
            if begun is None:
                return 0.0
            self._minute, self._begun = minute, begun
        return self._begun + float(stamp[_MINUTE:_ZONE])
