"""The files of a container's log: conmon's present one and those that were rotated, ``.1`` being the newest of these.

Rotation is ours: the file is renamed and conmon told to begin a new one. It writes to the renamed file until it has.
"""

import contextlib
import os
import pathlib
import time
from collections.abc import Iterator
from typing import Self

from agent.engine.containers import log_format

_REOPEN = b"2 0 0\n"
"""What conmon's control fifo takes as "open your log anew"."""
_CHUNK = 1 << 20
_LAST_CHUNK = 1 << 16
"""Bytes that are read first from the end of a log: some lines of it are most of what people ask for."""


def is_due(log: pathlib.Path, limit: int) -> bool:
    """Return whether ``rotate`` may have something to do: one call of the kernel, for a thousand logs at each round."""
    try:
        return os.stat(log).st_size >= limit  # noqa: PTH116 - half the time
    except OSError:
        return True


def rotate(log: pathlib.Path, control: pathlib.Path, limit: int, files: int) -> bool:
    """Begin a new log file where the present one is over ``limit`` bytes, keeping ``files`` in all; True where done.

    A crash in between loses nothing: conmon goes on writing to the renamed file until it is told, and it is told again
    as long as there is no new one; so is it where somebody has removed the file, to which it would write on unseen.
    Raises ``OSError`` where nobody listens at ``control``.
    """
    if log.exists():
        if log.stat().st_size < limit:
            return False
        for number in range(files - 1, 0, -1):
            older = _numbered(log, number)
            if older.exists():
                older.rename(_numbered(log, number + 1))
        log.rename(_numbered(log, 1))
        _numbered(log, files).unlink(missing_ok=True)
    elif not log.parent.is_dir():  # conmon ends where it cannot make the new file
        return False
    descriptor = os.open(control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.write(descriptor, _REOPEN)
    finally:
        os.close(descriptor)
    return True


def begin_run(log: pathlib.Path) -> None:
    """Separate what a container's next run writes from what it has written so far; conmon must not have it open."""
    if not log.exists() and not _numbered(log, 1).exists():
        return
    with contextlib.suppress(OSError):  # a full disk: two lines in one are no reason not to run
        descriptor = os.open(log, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            is_torn = size and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, (b"\n" if is_torn else b"") + log_format.begin_line(time.time()))
        finally:
            os.close(descriptor)


class LogFile:
    """One file of a log, open for reading under whatever name it has later."""

    def __init__(self, descriptor: int) -> None:
        """Own an open file, read from its beginning."""
        self._descriptor = descriptor
        self._offset = 0
        status = os.fstat(descriptor)
        self.identity = (status.st_dev, status.st_ino)
        self.modified = status.st_mtime
        """When it was written to last, as of its opening; seconds since the epoch."""
        self._torn: list[bytes] = []
        """Pieces of a line whose end has not been read."""

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def seek(self, offset: int) -> None:
        """Read on from an offset: the beginning of a line."""
        self._offset = offset

    def batches(self) -> Iterator[list[bytes]]:
        """Return the whole lines that have not been read, some at a time."""
        if os.fstat(self._descriptor).st_size < self._offset:  # somebody has emptied it
            self._offset = 0
            self._torn.clear()
        while chunk := os.pread(self._descriptor, _CHUNK, self._offset):
            self._offset += len(chunk)
            lines = chunk.split(b"\n")
            self._torn.append(lines[0])
            if len(lines) > 1:
                lines[0] = b"".join(self._torn)
                self._torn = [lines.pop()]
                yield lines

    def torn(self) -> bytes:
        """Return the piece of a line that is left at the end: conmon was killed, or the disk was full."""
        return b"".join(self._torn)

    def blocks_from_end(self) -> Iterator[tuple[int, bytes]]:
        """Return (offset, whole lines) from the end of the file to its beginning."""
        end, size = os.fstat(self._descriptor).st_size, _LAST_CHUNK
        while end > 0:
            begin = max(end - size, 0)
            block = os.pread(self._descriptor, end - begin, begin)
            cut = block.find(b"\n") + 1 if begin else 0
            if begin and cut in {0, len(block)}:  # all of one line: that needs a larger block
                size *= 2
                continue
            yield begin + cut, block[cut:]
            end, size = begin + cut, _CHUNK


class LogFiles:
    """The files of a log that have not been read to their end, the oldest first; followed over rotations."""

    def __init__(self, log: pathlib.Path) -> None:
        """Open what is there."""
        self._log = log
        self._files = _opened(log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._drop(len(self._files))

    def skip_until(self, moment: float) -> None:
        """Leave out the files that were written to last before a time, but one: a line may have been begun in it."""
        older = sum(file.modified < moment for file in self._files)
        self._drop(max(min(older, len(self._files)) - 1, 0))

    def skip_to_last(self, entries: int) -> None:
        """Leave out what is not needed to read the last so many entries."""
        search = log_format.TailSearch(entries)
        first, begin = max(len(self._files) - 1, 0), 0
        for index, offset, block in self._blocks_from_end():
            if search.may_be_needed(block):
                lines = block.removesuffix(b"\n").split(b"\n")
                needed = [search.is_needed(line) for line in reversed(lines)]  # all of them: each is counted
                if any(needed):
                    first, begin = index, offset
            if search.done:
                break
        self._drop(first)
        if self._files:
            self._files[0].seek(begin)

    def batches(self) -> Iterator[list[bytes]]:
        """Return the whole lines that came since the last time; an old file is read to its end before the next one."""
        if not self._files:
            self._open_newer()
        while self._files:
            yield from self._files[0].batches()
            if len(self._files) == 1:
                self._open_newer()
            if len(self._files) == 1:
                return
            yield from self._files[0].batches()  # conmon wrote here until the newer one was there
            if torn := self._files[0].torn():
                yield [torn]
            self._drop(1)

    def torn(self) -> list[bytes]:
        """Return the piece of a line that the newest file ends with, if it does."""
        torn = self._files[-1].torn() if self._files else b""
        return [torn] if torn else []

    def _blocks_from_end(self) -> Iterator[tuple[int, int, bytes]]:
        for index in range(len(self._files) - 1, -1, -1):
            for offset, block in self._files[index].blocks_from_end():
                yield index, offset, block

    def _open_newer(self) -> None:
        """Open the files that are newer than the newest open one."""
        open_files = {file.identity for file in self._files}
        if open_files and _identity(self._log) in open_files:
            return
        present = _opened(self._log)
        newest_open = max((index for index, file in enumerate(present) if file.identity in open_files), default=-1)
        for file in present[: newest_open + 1]:
            file.close()
        self._files += present[newest_open + 1 :]

    def _drop(self, count: int) -> None:
        for file in self._files[:count]:
            file.close()
        del self._files[:count]


def _identity(path: pathlib.Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _opened(log: pathlib.Path) -> list[LogFile]:
    """Open a log's files, the oldest first.

    The newest is opened first: a rotation meanwhile moves files to where they are still looked for, and what is met
    twice is taken once. Names that are no numbers are conmon's (``.tmp``).
    """
    suffixes = [file.suffix[1:] for file in log.parent.glob(f"{log.name}.*")]
    oldest = max((int(suffix) for suffix in suffixes if suffix.isascii() and suffix.isdecimal()), default=0)
    files: dict[tuple[int, int], LogFile] = {}
    for path in (log, *(_numbered(log, number) for number in range(1, oldest + 2))):
        with contextlib.suppress(FileNotFoundError):
            file = LogFile(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            if file.identity in files:
                file.close()
            else:
                files[file.identity] = file
    return list(reversed(files.values()))


def _numbered(path: pathlib.Path, number: int) -> pathlib.Path:
    return path.with_name(f"{path.name}.{number}")
