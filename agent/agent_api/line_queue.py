"""Lines that wait to be sent: bounded, as whoever reads them may be slower than what makes them."""

import asyncio
import collections
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

MOST = 4 * 1024 * 1024
"""Bytes that wait at most; output beyond them is left out, and counted."""
_OUTPUT = "output"
"""The event of lines that may be left out."""


class LineQueue:
    """Takes documents at once, and gives them out as lines of JSON."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._waiting: collections.deque[bytes] = collections.deque()
        self._size = 0
        self._omitted = 0
        self._changed = asyncio.Event()
        self._is_closed = False

    def put(self, document: Mapping[str, Any]) -> None:
        """Let a document wait."""
        line = json.dumps(document).encode() + b"\n"
        if document.get("event") == _OUTPUT:
            if self._size + len(line) > MOST:
                self._omitted += 1
                return
            if self._omitted:
                text = f"\n[{self._omitted} parts of the output were left out: they came faster than they were read]\n"
                self._omitted = 0
                self.put({**document, "text": text})
        self._waiting.append(line)
        self._size += len(line)
        self._changed.set()

    def close(self) -> None:
        """Let iterating end once all that waits is given out."""
        self._is_closed = True
        self._changed.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give out what waits, several lines at once where they are many."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._size = 0
            if data:
                yield data
            elif self._is_closed:
                return
            if self._is_closed:
                self._changed.set()
