"""A file that is read while it is written, as far as it has come.

The writer never waits for the reader, however slow that is: the file itself is the buffer.
"""

import contextlib
import os
import pathlib
import threading
from collections.abc import Iterator

from agent import errors


class GrowingFile:
    """A reader (``streams.Reader``) of a file that grows; for one reading thread, or a process that it tells."""

    def __init__(self, file: int) -> None:
        """Take the reader's own open descriptor of the file; nothing of it may be read yet."""
        self.file = file
        self._size = 0
        self._at = 0
        self._ended = False
        self._failure: BaseException | None = None
        self._changed = threading.Condition()

    def set_size(self, size: int) -> None:
        """Set how many bytes may be read by now."""
        with self._changed:
            self._size = size
            self._changed.notify_all()

    def end(self, failure: BaseException | None = None) -> None:
        """End the file, with the failure that ended it if there was one; only the first call counts."""
        with self._changed:
            if not self._ended:
                self._ended, self._failure = True, failure
            self._changed.notify_all()

    def abandon(self) -> None:
        """Abandon the reading: its reader fails from now on, also where the file was complete."""
        with self._changed:
            self._ended = True
            self._failure = self._failure or errors.Unavailable("a layer was given up while it was read")
            self._changed.notify_all()

    @contextlib.contextmanager
    def feeding(self) -> Iterator[None]:
        """End the file when the block ends, with the block's failure if it has one."""
        try:
            yield
        except errors.Failure as error:
            self.end(error)
            raise
        except BaseException:
            self.end(errors.Unavailable("what was to arrive was given up"))
            raise
        self.end()

    def wait_beyond(self, beyond: int) -> int:
        """Wait until more than ``beyond`` bytes may be read, and return how many; ``beyond`` itself at the end.

        Raises the writer's failure, and ``errors.Unavailable`` once the reading is abandoned.
        """
        with self._changed:
            while self._size <= beyond and not self._ended:
                self._changed.wait()
            if self._failure is not None:
                raise self._failure
            return self._size

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, none at the end. Raises as ``wait_beyond``, and ``OSError``."""
        end = self.wait_beyond(self._at)
        chunk = os.pread(self.file, min(size, end - self._at), self._at)
        self._at += len(chunk)
        return chunk


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[GrowingFile]:
    """Follow a file that is being written. Raises ``OSError``."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield GrowingFile(file)
    finally:
        os.close(file)


@contextlib.contextmanager
def complete(path: pathlib.Path) -> Iterator[GrowingFile]:
    """Yield a complete file as one that has ended. Raises ``OSError``."""
    with opened(path) as reader:
        reader.set_size(os.fstat(reader.file).st_size)
        reader.end()
        yield reader
