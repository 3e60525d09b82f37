"""Leases: content that may not be collected though no image needs it, since a pull or a reader uses it.

A lease is a file that is locked for as long as its holder lives, in whatever process that is; it lists blobs and layers
(chain ids). Content of a broken pull stays on lease for a day, so that the next attempt need not fetch it again.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import pathlib
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator

from agent.engine import layout
from agent.kit import frozen

KEPT = 24 * 3600.0
"""Seconds that content of a broken attempt is kept."""
_AHEAD = 3600.0
"""Seconds that a lease's end may lie in the future; beyond that the clock was set back."""
_LOCK_INTERVAL = 0.005
"""Seconds between two attempts to take the lock."""
_EVERYTHING = "*"
_PULL, _READ = "pull-", "read-"


@frozen.value
class Leased:
    """Resources of all leases together."""

    resources: frozenset[str]
    """Digests of blobs and chain ids of layers."""
    everything: bool
    """A lease holds everything: nothing may be collected now."""


class Lease:
    """A lease that is held."""

    def __init__(self, leases: "Leases", descriptor: int) -> None:
        """Take a locked file."""
        self._leases = leases
        self._descriptor = descriptor

    async def add(self, resources: Iterable[str]) -> None:
        """Add resources to the lease; what is stored now stays until its end."""
        async with self._leases.entered():
            _write(self._descriptor, resources)


class Leases:
    """All leases of an instance. Only one process at a time takes or lists them."""

    def __init__(self, where: layout.Layout) -> None:
        """Store the arguments; nothing is read or created yet."""
        self._root = where.leases

    @contextlib.asynccontextmanager
    async def pulling(self, name: str, resources: Iterable[str]) -> AsyncIterator[Lease]:
        """Hold what a pull fetches, in place of what an earlier attempt for the name held.

        Ending by a failure leaves the lease there for a day.
        """
        async with self._held(self._of_pull(name), resources) as lease:
            yield lease
        self.forget(name)

    def forget(self, name: str) -> bool:
        """Drop what is kept for a next attempt to pull a name; True where there was something."""
        try:
            self._of_pull(name).unlink()
        except FileNotFoundError:
            return False
        return True

    @contextlib.asynccontextmanager
    async def reading(self, resources: Iterable[str]) -> AsyncIterator[Lease]:
        """Hold resources while they are read or sent."""
        path = self._root / f"{_READ}{secrets.token_hex(16)}"
        try:
            async with self._held(path, resources) as lease:
                yield lease
        finally:
            path.unlink(missing_ok=True)

    @contextlib.asynccontextmanager
    async def everything(self) -> AsyncIterator[None]:
        """Hold everything, present and future: for the import of an archive with unknown content."""
        async with self.reading([_EVERYTHING]):
            yield

    @contextlib.contextmanager
    def all_held(self, now: float, kept: float = KEPT, *, end: bool = False) -> Iterator[Leased]:
        """Yield what is on lease; until the block ends nobody gets a lease. Blocks: for threads.

        Leases of dead processes do not count, except pulls for ``kept`` seconds after their end; ``end`` removes those
        that do not count.
        """
        with self._door() as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            held: set[str] = set()
            for path in sorted(self._root.iterdir()):
                resources = _read(path, (now - kept, now + _AHEAD))
                if resources is not None:
                    held |= resources
                elif end:
                    path.unlink(missing_ok=True)
            yield Leased(frozenset(held - {_EVERYTHING}), _EVERYTHING in held)

    @contextlib.asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        """Lock the leases for a moment, waiting without blocking the event loop."""
        with self._door() as descriptor:
            while not _locked(descriptor):  # noqa: ASYNC110 - it may be another process
                await asyncio.sleep(_LOCK_INTERVAL)
            yield

    @contextlib.contextmanager
    def _door(self) -> Iterator[int]:
        """Yield a descriptor of the directory, whose lock is the door to the leases."""
        self._root.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _of_pull(self, name: str) -> pathlib.Path:
        return self._root / f"{_PULL}{hashlib.sha256(name.encode()).hexdigest()[:32]}"

    @contextlib.asynccontextmanager
    async def _held(self, path: pathlib.Path, resources: Iterable[str]) -> AsyncIterator[Lease]:
        async with self.entered():
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            _write(descriptor, resources)
        try:
            yield Lease(self, descriptor)
        finally:
            os.utime(descriptor)
            os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(descriptor: int, resources: Iterable[str]) -> None:
    os.write(descriptor, "".join(f"{resource}\n" for resource in resources).encode())


def _read(path: pathlib.Path, kept: tuple[float, float]) -> frozenset[str] | None:
    """Return what a lease holds; ``None`` where it has ended and no pull may go on from there."""
    try:
        file = path.open()
    except FileNotFoundError:  # it has just ended
        return None
    with file:
        ended = os.fstat(file.fileno()).st_mtime
        over = not path.name.startswith(_PULL) or not kept[0] <= ended <= kept[1]
        if _locked(file.fileno()) and over:
            return None
        return frozenset(file.read().split())
