"""What may not be collected though no image leads to it: a pull brings it in, or somebody is reading it.

A lease is a file that is locked for as long as its holder lives, in whatever process that is; it lists blobs and layers
(chain ids). What a broken pull has brought in stays on lease for a day: the next attempt need not fetch it again.
"""

import asyncio
import contextlib
import dataclasses
import fcntl
import hashlib
import os
import pathlib
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator

from agent.engine import layout

KEPT = 24 * 3600.0
"""Seconds that what a broken attempt has brought in is kept."""
_AGAIN = 0.005
"""Seconds between two attempts to get in."""
_EVERYTHING = "*"
_PULL, _READ = "pull-", "read-"


@dataclasses.dataclass(frozen=True, slots=True)
class Leased:
    """What all leases say together."""

    resources: frozenset[str]
    """Digests of blobs and chain ids of layers."""
    everything: bool
    """Nothing at all may be collected now."""


class Lease:
    """A lease that is held."""

    def __init__(self, leases: "Leases", descriptor: int) -> None:
        """Take a file that is locked."""
        self._leases = leases
        self._descriptor = descriptor

    async def add(self, resources: Iterable[str]) -> None:
        """Hold these as well, from now on; what is there now will be there until the end."""
        async with self._leases.entered():
            _write(self._descriptor, resources)


class Leases:
    """All leases of an instance. They are given and looked at by one at a time, among all processes."""

    def __init__(self, where: layout.Layout) -> None:
        """Nothing is read or made yet."""
        self._root = where.leases

    @contextlib.asynccontextmanager
    async def pulling(self, name: str, resources: Iterable[str]) -> AsyncIterator[Lease]:
        """Hold what a pull brings in; what an earlier attempt for that name held is held no longer.

        Ending by a failure leaves the lease there for a day.
        """
        async with self._held(self._of_pull(name), resources) as lease:
            yield lease
        self.forget(name)

    def forget(self, name: str) -> None:
        """Keep nothing for a next attempt to pull a name."""
        self._of_pull(name).unlink(missing_ok=True)

    @contextlib.asynccontextmanager
    async def reading(self, resources: Iterable[str]) -> AsyncIterator[Lease]:
        """Hold what is read or sent."""
        path = self._root / f"{_READ}{secrets.token_hex(16)}"
        try:
            async with self._held(path, resources) as lease:
                yield lease
        finally:
            path.unlink(missing_ok=True)

    @contextlib.asynccontextmanager
    async def everything(self) -> AsyncIterator[None]:
        """Hold all that is there and all that comes: an archive is read, and nobody knows yet what is in it."""
        async with self.reading([_EVERYTHING]):
            yield

    @contextlib.contextmanager
    def looked_at(self, now: float, kept: float = KEPT, *, end: bool = False) -> Iterator[Leased]:
        """Give what is on lease; until the block ends nobody gets a lease. Waits for others: for threads.

        What the dead have held counts no more, but for pulls until they have been over for ``kept`` seconds; ``end``
        takes such leases away.
        """
        with self._door() as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            found: set[str] = set()
            for path in sorted(self._root.iterdir()):
                resources = _read(path, now - kept)
                if resources is not None:
                    found |= resources
                elif end:
                    path.unlink(missing_ok=True)
            yield Leased(frozenset(found - {_EVERYTHING}), _EVERYTHING in found)

    @contextlib.asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        """Keep all others out for a moment; nobody but the caller waits while another process does."""
        with self._door() as descriptor:
            while not _locked(descriptor):  # noqa: ASYNC110 - it may be another process
                await asyncio.sleep(_AGAIN)
            yield

    @contextlib.contextmanager
    def _door(self) -> Iterator[int]:
        """Open what is locked by whoever is inside."""
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
    os.write(descriptor, "".join(f"{one}\n" for one in resources).encode())


def _read(path: pathlib.Path, older_than: float) -> frozenset[str] | None:
    """Give what a lease holds; ``None`` where nobody holds it any more, unless a pull may go on from there."""
    try:
        file = path.open()
    except FileNotFoundError:  # it has just ended
        return None
    with file:
        over = not path.name.startswith(_PULL) or os.fstat(file.fileno()).st_mtime < older_than
        if _locked(file.fileno()) and over:
            return None
        return frozenset(file.read().split())
