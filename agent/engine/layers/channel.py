"""A bounded buffer of bytes between two threads.

Either side may break off: the other one fails at its next call.
"""

import collections
import contextlib
import threading
from collections.abc import Iterator
from typing import Self

from agent import errors
from agent.distribution.layers import streams

_CAPACITY = 4 * 1024 * 1024
"""Buffered bytes: enough that a short pause of one side does not stop the other."""
_CHUNK = 512 * 1024


class Channel:
    """A reader (``streams.Reader``) of what another thread writes."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        """Buffer up to ``capacity`` bytes; a single chunk may be more."""
        self._capacity = capacity
        self._chunks: collections.deque[bytes] = collections.deque()
        self._size = 0
        self._unread = memoryview(b"")
        self._ended = False
        self._failure: BaseException | None = None
        self._is_abandoned = False
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.abandon()

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, none at the end. Raises the writer's failure."""
        if not self._unread:
            chunk = self._next()
            if len(chunk) <= size:
                return chunk
            self._unread = memoryview(chunk)
        piece, self._unread = self._unread[:size], self._unread[size:]
        return bytes(piece)

    def drain(self) -> None:
        """Read and discard everything to the end. Raises what the writer has failed with."""
        while self.read(_CHUNK):
            pass

    def put(self, chunk: bytes) -> None:
        """Write a chunk, waiting for space. Raises ``errors.Unavailable`` once the reader is gone."""
        with self._changed:
            while self._size >= self._capacity and not self._is_abandoned:
                self._changed.wait()
            self._add(chunk)

    def end(self, failure: BaseException | None = None) -> None:
        """End the stream, with the failure that ended it if there was one."""
        with self._changed:
            if not self._ended:
                self._ended, self._failure = True, failure
            self._changed.notify_all()

    def abandon(self) -> None:
        """Stop reading: the writer's next ``put`` fails."""
        with self._changed:
            self._is_abandoned = True
            self._chunks.clear()
            self._size = 0
            self._changed.notify_all()

    def _add(self, chunk: bytes) -> None:
        if self._is_abandoned:
            raise errors.Unavailable("nobody takes what arrives any more")
        if chunk:
            self._chunks.append(chunk)
            self._size += len(chunk)
            self._changed.notify_all()

    def _next(self) -> bytes:
        with self._changed:
            while not self._chunks:
                if self._is_abandoned:
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
    """Read a source ahead in another thread. The end of the block waits until that thread has left the source.

    A source that blocks the thread has to be ended by its writer.
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
        channel.abandon()
        thread.join()
