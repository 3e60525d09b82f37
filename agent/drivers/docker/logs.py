"""A container's log as an engine gives it: frames of one stream each (Engine API, "Attach", stream format)."""

import codecs
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


class Frames:
    """Puts frames and lines together; both may come in pieces."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._rest = b""
        self._open: dict[str, tuple[float, str]] = {}
        """Time and text so far of a line that has not ended, by stream."""

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
        for piece in payload.splitlines(keepends=True):
            time, _, text = codecs.decode(piece, "utf-8", "replace").partition(" ")
            begun, so_far = self._open.pop(stream, (timestamps.seconds(time) or 0.0, ""))
            if text.endswith("\n"):
                yield api.LogLine(begun, stream, so_far + text.removesuffix("\n"))
            else:
                self._open[stream] = (begun, so_far + text)
