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

    def is_held(self, key: Hashable) -> bool:
        """Return whether somebody holds or awaits the key's lock."""
        return key in self._locks

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
        descriptor = _locked(self._path)
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor
        return self

    def is_intact(self) -> bool:
        """Return whether the lock is held and its file is the one at its path: nobody else can take it."""
        return self._descriptor is not None and is_at(self._descriptor, self._path)

    def holder(self) -> int | None:
        """Return the process that holds the lock, without touching the lock; ``None`` where nobody is known to.

        Trying to take it would for a moment keep out an agent that begins just then.
        """
        try:
            pid = int(self._path.read_text())
        except (OSError, ValueError):
            return None
        return pid if pid in _holders(self._path) else None

    def release(self) -> None:
        """Let go; releasing what is not held does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class DirectoryLock:
    """An exclusive lock on a directory itself: it holds also where somebody removes files from it."""

    def __init__(self, path: pathlib.Path) -> None:
        """Name the directory; nothing is opened yet."""
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> Self:
        """Take the lock. Raises ``LockedElsewhere`` at once where another process has it."""
        descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise LockedElsewhere(
                f"{self._path} is in use by process {self.holder() or 'unknown'}", hint=_WAY_OUT
            ) from error
        self._descriptor = descriptor
        return self

    def is_intact(self) -> bool:
        """Return whether the lock is held and its directory is the one at its path."""
        return self._descriptor is not None and is_at(self._descriptor, self._path)

    def holder(self) -> int | None:
        """Return the process that holds the lock, without touching the lock; ``None`` where nobody is known to."""
        return min(_holders(self._path), default=None)

    def release(self) -> None:
        """Let go; releasing what is not held does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_at(descriptor: int, path: pathlib.Path) -> bool:
    """Return whether an open file is what lies at a path: it may have been removed or replaced since it was opened."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


_WAY_OUT = "stop that agent, or use another --root and --run-dir"


def _locked(path: pathlib.Path) -> int:
    """Open and lock the file at a path: another one where it is removed meanwhile."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise LockedElsewhere(f"{path} is locked by process {holder}", hint=_WAY_OUT) from error
        if is_at(descriptor, path):
            return descriptor
        os.close(descriptor)


def _holders(path: pathlib.Path) -> set[int]:
    """Return the processes that hold an exclusive lock on what lies at a path, as the kernel lists them."""
    try:
        target = path.stat()
        lines = pathlib.Path("/proc/locks").read_text().splitlines()
    except OSError:
        return set()
    # 1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF; one that waits has "->" in front
    held = [words for words in map(str.split, lines) if words[1:4] == ["FLOCK", "ADVISORY", "WRITE"]]
    inode = str(target.st_ino)
    candidates = {int(words[4]) for words in held if words[5].rpartition(":")[2] == inode and words[4] != "0"}
    return {pid for pid in candidates if _has_open(pid, target)}


def _has_open(pid: int, target: os.stat_result) -> bool:
    """Return whether a process has a file open: on another file system another one may have its inode's number.

    The device that the kernel lists is not always what ``stat`` tells (btrfs). True where it cannot be known.
    """
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - names are enough
            with contextlib.suppress(OSError):
                if os.path.samestat(os.stat(f"/proc/{pid}/fd/{name}"), target):  # noqa: PTH116 - follows /proc's link
                    return True
    except PermissionError:
        return True
    except OSError:
        return False
    return False
