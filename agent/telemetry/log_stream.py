"""A log stream that never blocks the agent: its reader may stop reading, or go away.

A thread writes what is queued here. stderr itself stays as it is: it may be a terminal or a pipe that others share, and
would stop blocking for them too.
"""

import collections
import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TextIO, cast

_MOST = 1 << 20
"""Bytes that are queued for a reader that is behind; more is dropped, and counted."""
_TIMEOUT = 1.0
"""Seconds that the agent waits at its end for the queue to be read."""


class LogStream(io.TextIOBase):
    """Text that a thread writes to a descriptor, in the order in which it came."""

    def __init__(self, descriptor: int, encoding: str, on_dropped: Callable[[int], None]) -> None:
        """Start the thread. ``on_dropped`` is called with the number of dropped texts once the queue has room again."""
        self._descriptor = descriptor
        self._encoding = encoding
        self._on_dropped = on_dropped
        self._texts: collections.deque[bytes] = collections.deque()
        self._size = 0
        self._dropped = 0
        self._dropped_in_all = 0
        self._is_closing = False
        self._is_abandoned = False
        """Whether the reader has gone for good (EPIPE, EIO)."""
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def writable(self) -> bool:
        """Return true: the stream can be written to."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, text: str) -> int:
        """Queue a text; drop it where the queue is full. Never blocks, never fails."""
        data = text.encode(self._encoding, errors="backslashreplace")
        with self._changed:
            if not self._is_abandoned:
                if self._size + len(data) > _MOST:
                    self._dropped += 1
                    self._dropped_in_all += 1
                else:
                    self._texts.append(data)
                    self._size += len(data)
                    self._changed.notify_all()
        return len(text)

    def dropped(self) -> int:
        """Return how many texts were dropped so far, reported to ``on_dropped`` or not."""
        return self._dropped_in_all

    def finish(self) -> None:
        """Wait until everything is written, for a second at most; later texts may be lost."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_abandoned or not self._size, _TIMEOUT)
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(_TIMEOUT if self._is_abandoned or not self._size else 0)

    def _write_all(self) -> None:
        while (data := self._next()) is not None:
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:  # EPIPE of a reader that is gone, EIO of a terminal that was closed
                self._give_up()
                return
            self._drop_first()

    def _next(self) -> bytes | None:
        with self._changed:
            self._changed.wait_for(lambda: self._texts or self._is_closing)
            return self._texts[0] if self._texts else None

    def _drop_first(self) -> None:
        with self._changed:
            self._size -= len(self._texts.popleft())
            dropped, self._dropped = (0, self._dropped) if self._texts else (self._dropped, 0)
            self._changed.notify_all()
        if dropped:
            self._on_dropped(dropped)

    def _give_up(self) -> None:
        with self._changed:
            self._is_abandoned = True
            self._texts.clear()
            self._size = 0
            self._changed.notify_all()


@contextlib.contextmanager
def as_stderr(on_dropped: Callable[[int], None]) -> Iterator[LogStream]:
    """Replace ``sys.stderr`` by such a stream within the context."""
    before = sys.stderr
    before.flush()
    stream = LogStream(before.fileno(), before.encoding, on_dropped)
    sys.stderr = cast("TextIO", stream)
    try:
        yield stream
    finally:
        stream.finish()
        sys.stderr = before
