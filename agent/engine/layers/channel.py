"""Bytes from the thread that gets them to the thread that uses them, never more on the way than there is room for.

Either side may break off: the other one is told at its next step.
"""

import collections
import contextlib
import threading
from collections.abc import Iterator
from typing import Self

from agent.engine import errors
from agent.engine.layers import streams

_ROOM = 4 * 1024 * 1024
"""Bytes on the way: enough that neither side waits for a moment's pause of the other."""
_CHUNK = 512 * 1024


class Channel:
    """A reader (``streams.Reader``) of what another thread writes."""

    def __init__(self, room: int = _ROOM) -> None:
        """Let up to ``room`` bytes be on the way; a single chunk may be more."""
        self._room = room
        self._chunks: collections.deque[bytes] = collections.deque()
        self._size = 0
        self._rest = memoryview(b"")
        self._ended = False
        self._failure: BaseException | None = None
        self._left = False
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def read(self, size: int, /) -> bytes:
        """Give the next bytes, none at the end. Raises what the writer has failed with."""
        if not self._rest:
            chunk = self._next()
            if len(chunk) <= size:
                return chunk
            self._rest = memoryview(chunk)
        given, self._rest = self._rest[:size], self._rest[size:]
        return bytes(given)

    def drain(self) -> None:
        """Read on to the end, where nobody wants to know what comes. Raises what the writer has failed with."""
        while self.read(_CHUNK):
            pass

    def put(self, chunk: bytes) -> None:
        """Write. Raises ``errors.Unavailable`` once nobody reads any more."""
        with self._changed:
            while self._size >= self._room and not self._left:
                self._changed.wait()
            self._add(chunk)

    def end(self, failure: BaseException | None = None) -> None:
        """Say that nothing follows, or why."""
        with self._changed:
            if not self._ended:
                self._ended, self._failure = True, failure
            self._changed.notify_all()

    def leave(self) -> None:
        """Say that nobody reads any more."""
        with self._changed:
            self._left = True
            self._chunks.clear()
            self._size = 0
            self._changed.notify_all()

    def _add(self, chunk: bytes) -> None:
        if self._left:
            raise errors.Unavailable("nobody takes what arrives any more")
        if chunk:
            self._chunks.append(chunk)
            self._size += len(chunk)
            self._changed.notify_all()

    def _next(self) -> bytes:
        with self._changed:
            while not self._chunks:
                if self._left:
                    raise errors.Unavailable("a layer was given up while it was read")
                if self._ended:
                    if self._failure is not None:
                        raise self._failure
                    return b""
                self._changed.wait()
            chunk = self._chunks.popleft()
            self._size -= len(chunk)
            self._changed.notify_all()
            return chunk


@contextlib.contextmanager
def ahead(source: streams.Reader) -> Iterator[Channel]:
    """Let another thread read a source, ahead of this one. Leaving waits until it has let go of the source.

    What blocks that thread (a channel that nobody feeds) has to be ended by whoever feeds it.
    """
    channel = Channel()

    def run() -> None:
        try:
            while chunk := source.read(_CHUNK):
                channel.put(chunk)
        except BaseException as failure:  # noqa: BLE001 - it is the reader's: raised by its next read
            channel.end(failure)
        else:
            channel.end()

    thread = threading.Thread(target=run, name="read-ahead")
    thread.start()
    try:
        yield channel
    finally:
        channel.leave()
        thread.join()
