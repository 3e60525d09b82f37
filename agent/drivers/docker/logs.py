"""A container's log as an engine gives it: frames of one stream each (Engine API, "Attach", stream format)."""

import struct
from collections.abc import AsyncIterator, Iterator

from agent.drivers.docker import connection
from agent.kit import timestamps
from agent.runtime import streams

_HEADER = struct.Struct(">BxxxL")
_STREAMS = {0: "stdout", 1: "stdout", 2: "stderr"}
_SINCE_MARGIN = 0.001
"""Seconds by which ``since`` is moved back: engines round times by some nanoseconds."""


async def read(
    engine: connection.Connection, identity: str, request: streams.LogRequest
) -> AsyncIterator[streams.LogLine]:
    """Yield lines in the order in which they ended; following ends with the container."""
    if request.tail == 0 and not request.follow:
        return
    params = {"stdout": "true", "stderr": "true", "timestamps": "true", "follow": str(request.follow).lower()}
    if request.tail is not None:
        params["tail"] = str(request.tail)
    if request.since is not None:
        params["since"] = f"{max(request.since - _SINCE_MARGIN, 0.0):.9f}"
    frames = Frames()
    path = f"containers/{identity}/logs"
    async with engine.stream_response(path, "log", params=params) as answer:
        async for chunk in answer.content.iter_any():
            for line in frames.lines(chunk):
                if request.since is None or line.time >= request.since:
                    yield line
    for line in frames.unended():
        if request.since is None or line.time >= request.since:
            yield line


class Frames:
    """Assembles frames and lines, which both may arrive in pieces, in linear time."""

    def __init__(self) -> None:
        """Begin with nothing received."""
        self._received = bytearray()
        self._open: dict[str, tuple[float, list[bytes]]] = {}
        """Time and text so far of a line that has not ended, by stream; a piece may end within a character."""

    def lines(self, chunk: bytes) -> Iterator[streams.LogLine]:
        """Yield the lines that a chunk completes."""
        self._received += chunk
        offset = 0
        try:
            while len(self._received) >= offset + _HEADER.size:
                kind, length = _HEADER.unpack_from(self._received, offset)
                begin, end = offset + _HEADER.size, offset + _HEADER.size + length
                if len(self._received) < end:
                    break
                payload, offset = bytes(memoryview(self._received)[begin:end]), end
                yield from self._lines_of(_STREAMS.get(kind, "stdout"), payload)
        finally:
            del self._received[:offset]

    def _lines_of(self, stream: str, payload: bytes) -> Iterator[streams.LogLine]:
        """Split a payload: each piece of a line begins with its time; one without a line end continues."""
        *whole, unended = payload.split(b"\n")
        for piece in whole:
            begun, parts = self._with_piece(stream, piece)
            yield streams.LogLine(begun, stream, b"".join(parts))
        if unended:
            self._open[stream] = self._with_piece(stream, unended)

    def _with_piece(self, stream: str, piece: bytes) -> tuple[float, list[bytes]]:
        """Return time and pieces of the line that a piece belongs to, which is not open any more."""
        stamp, _, text = piece.partition(b" ")
        line = self._open.pop(stream, None)
        if line is None:
            return timestamps.seconds(stamp.decode(errors="replace")) or 0.0, [text]
        line[1].append(text)
        return line

    def unended(self) -> Iterator[streams.LogLine]:
        """Yield the last lines without a line end, when the stream is over."""
        for stream, (begun, parts) in self._open.items():
            yield streams.LogLine(begun, stream, b"".join(parts))
        self._open.clear()
