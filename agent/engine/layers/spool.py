"""A file that is read while it is written, as far as it has come.

Whoever writes never waits for whoever reads, however much slower that is: what lies between them lies in the file.
"""

import contextlib
import os
import pathlib
import threading
from collections.abc import Iterator

from agent.engine import errors


class Spool:
    """A reader (``streams.Reader``) of a file that grows; for one reading thread, or a process that it tells."""

    def __init__(self, file: int) -> None:
        """Take the reader's own open descriptor of the file; nothing of it may be read yet."""
        self.file = file
        self._there = 0
        self._at = 0
        self._ended = False
        self._failure: BaseException | None = None
        self._changed = threading.Condition()

    def grown(self, there: int) -> None:
        """Say how many bytes may be read by now."""
        with self._changed:
            self._there = there
            self._changed.notify_all()

    def end(self, failure: BaseException | None = None) -> None:
        """Say that nothing follows, or why what is there is of no use any more; the first word counts."""
        with self._changed:
            if not self._ended:
                self._ended, self._failure = True, failure
            self._changed.notify_all()

    def give_up(self) -> None:
        """Say that nobody waits any more for what is made of it, also where the file has come to its end."""
        with self._changed:
            self._ended = True
            self._failure = self._failure or errors.Unavailable("a layer was given up while it was read")
            self._changed.notify_all()

    @contextlib.contextmanager
    def fed(self) -> Iterator[None]:
        """Say at the end of the block that nothing follows, or what has gone wrong in it."""
        try:
            yield
        except errors.EngineError as error:
            self.end(error)
            raise
        except BaseException:
            self.end(errors.Unavailable("what was to arrive was given up"))
            raise
        self.end()

    def reached(self, beyond: int) -> int:
        """Wait until more than so many bytes may be read, and say how many; no more than that: there is no more.

        Raises what the writer has failed with, and ``errors.Unavailable`` once it is given up.
        """
        with self._changed:
            while self._there <= beyond and not self._ended:
                self._changed.wait()
            if self._failure is not None:
                raise self._failure
            return self._there

    def read(self, size: int, /) -> bytes:
        """Give the next bytes, none at the end. Raises as ``reached``, and ``OSError``."""
        there = self.reached(self._at)
        given = os.pread(self.file, min(size, there - self._at), self._at)
        self._at += len(given)
        return given


@contextlib.contextmanager
def following(path: pathlib.Path) -> Iterator[Spool]:
    """Follow a file that is being written. Raises ``OSError``."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield Spool(file)
    finally:
        os.close(file)


@contextlib.contextmanager
def whole(path: pathlib.Path) -> Iterator[Spool]:
    """Take a file that is there as one that has come to its end. Raises ``OSError``."""
    with following(path) as spool:
        spool.grown(os.fstat(spool.file).st_size)
        spool.end()
        yield spool
