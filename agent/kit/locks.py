"""Locks by key inside of a program, and one by file between programs."""

import asyncio
import contextlib
import fcntl
import os
import pathlib
from collections.abc import AsyncIterator, Hashable
from typing import Self

from agent import errors


class KeyedLocks:
    """A lock for each key, there only while somebody holds or awaits it."""

    def __init__(self) -> None:
        """Start with none."""
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @contextlib.asynccontextmanager
    async def hold(self, key: Hashable) -> AsyncIterator[None]:
        """Hold the key's lock; waiters get it in the order they came."""
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(key)
            if users > 1:
                self._locks[key] = (lock, users - 1)


class LockedElsewhere(errors.TrimtabError):
    """Another process holds the file's lock."""


class FileLock:
    """An exclusive lock on a file (flock), gone with the process that holds it. The file tells the holder's pid."""

    def __init__(self, path: pathlib.Path) -> None:
        """Name the file; nothing is opened yet."""
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> Self:
        """Take the lock. Raises ``LockedElsewhere`` at once where another process has it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise LockedElsewhere(
                f"{self._path} is locked by process {holder}",
                hint="stop that agent, or use another --root and --run-dir",
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor
        return self

    def holder(self) -> int | None:
        """Give the process that holds the lock, without touching the lock; ``None`` where nobody is known to.

        Trying to take it would for a moment keep out an agent that begins just then.
        """
        try:
            written, inode = self._path.read_text().strip(), self._path.stat().st_ino
            held = pathlib.Path("/proc/locks").read_text().splitlines()
        except OSError:
            return None
        for words in (line.split() for line in held):  # 1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF
            if words[1] == "FLOCK" and words[4] == written and words[5].rpartition(":")[2] == str(inode):
                return int(written)
        return None

    def release(self) -> None:
        """Let go; releasing what is not held does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
