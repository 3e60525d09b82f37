"""A container's log as an engine gives it: frames of one stream each (Engine API, "Attach", stream format)."""

import struct
from collections.abc import AsyncIterator, Iterator

from agent.drivers.docker import connection
from agent.kit import timestamps
from agent.runtime import api

_HEADER = struct.Struct(">BxxxL")
_STREAMS = {0: "stdout", 1: "stdout", 2: "stderr"}
_EARLIER = 0.001
"""Seconds by which more is asked for than is given: times lose some nanoseconds on their way."""


async def read(engine: connection.Connection, identity: str, request: api.LogRequest) -> AsyncIterator[api.LogLine]:
    """Give lines in the order they were written; following ends with the container."""
    if request.tail == 0 and not request.follow:
        return
    params = {"stdout": "true", "stderr": "true", "timestamps": "true", "follow": str(request.follow).lower()}
    if request.tail is not None:
        params["tail"] = str(request.tail)
    if request.since is not None:
        params["since"] = f"{max(request.since - _EARLIER, 0.0):.9f}"
    frames = Frames()
    path = f"containers/{identity}/logs"
    async with engine.streamed(path, "log", params=params) as answer:
        async for chunk in answer.content.iter_any():
            for line in frames.lines(chunk):
                if request.since is None or line.time >= request.since:
                    yield line
    for line in frames.unended():
        yield line


class Frames:
    """Puts frames and lines together; both may come in pieces."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._rest = b""
        self._open: dict[str, tuple[float, bytes]] = {}
        """Time and text so far of a line that has not ended, by stream; a character may be cut in two."""

    def lines(self, chunk: bytes) -> Iterator[api.LogLine]:
        """Give the lines that are whole now."""
        self._rest += chunk
        while len(self._rest) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._rest)
            if len(self._rest) < _HEADER.size + length:
                return
            payload = self._rest[_HEADER.size : _HEADER.size + length]
            self._rest = self._rest[_HEADER.size + length :]
            yield from self._parts(_STREAMS.get(kind, "stdout"), payload)

    def _parts(self, stream: str, payload: bytes) -> Iterator[api.LogLine]:
        """Take a payload apart: each piece of a line begins with its time; one without a line end goes on."""
        *whole, rest = payload.split(b"\n")
        for piece in whole:
            begun, text = self._piece(stream, piece)
            yield api.LogLine(begun, stream, text.decode(errors="replace"))
        if rest:
            self._open[stream] = self._piece(stream, rest)

    def _piece(self, stream: str, piece: bytes) -> tuple[float, bytes]:
        time, _, text = piece.partition(b" ")
        begun, so_far = self._open.pop(stream, (timestamps.seconds(time.decode(errors="replace")) or 0.0, b""))
        return begun, so_far + text

    def unended(self) -> Iterator[api.LogLine]:
        """Give what a program has written without ending its line, when no more comes."""
        for stream, (begun, text) in self._open.items():
            yield api.LogLine(begun, stream, text.decode(errors="replace"))
        self._open.clear()
