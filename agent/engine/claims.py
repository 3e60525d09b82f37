"""One instance, one root, one run directory: each is locked, and its stamp says which other one it goes with.

Both directories decide together what is whose: runs that the records of the root do not know are left-overs of a crash,
and are taken away. Another root with a run directory that somebody lives in would so end everything in there. State of
earlier releases has no stamps and gets them; what runs in its run directory says by its cgroup whose it is.
"""

import asyncio
import contextlib
import dataclasses
import json
import os
from collections.abc import AsyncIterator
from typing import Self

from agent import errors
from agent.engine import layout, stamps
from agent.kit import atomicfile, locks, reserve, state_format, tasks

_INTERVAL = 5.0
"""Seconds between two looks whether both directories are still the ones that are locked."""
_FOR_REMOVING = 2
"""Pieces of the reserve that a start on a full disk leaves to those who free it."""


class ClaimLost(errors.TrimtabError):
    """Somebody has removed or replaced what this process had locked."""


class Claim:
    """The right to change an instance: this process alone has it, until it ends."""

    def __init__(self, where: layout.Layout) -> None:
        """Nothing is locked yet."""
        self._where = where
        self._file = locks.FileLock(where.lock)
        self._directories = [locks.DirectoryLock(path) for path in (where.root, where.run) if path.is_dir()]

    def acquire(self) -> Self:
        """Lock and stamp both directories. Raises ``LockedElsewhere`` and what ``stamps.check`` raises."""
        try:
            self._file.acquire()
            for lock in self._directories:
                lock.acquire()
            stamps.check(self._where)
        except BaseException:
            self.release()
            raise
        _stamp(self._where)
        return self

    async def watch(self) -> None:
        """Look now and then whether the claim still holds. Raises ``ClaimLost``.

        A lock file that was removed is made again: the locked directories have kept everybody else out meanwhile. So is
        what was given up of the reserve.
        """
        space = reserve.Reserve(self._where.reserve)
        while True:
            await asyncio.to_thread(space.restore)
            await asyncio.sleep(_INTERVAL)
            if not all(lock.is_intact() for lock in self._directories):
                raise self._lost("was removed or replaced")
            if not self._file.is_intact():
                self._file.release()
                try:
                    self._file.acquire()
                except (locks.LockedElsewhere, OSError) as error:
                    raise self._lost(f"is not ours alone any more: {error}") from error

    def release(self) -> None:
        """Let go of everything."""
        self._file.release()
        for lock in self._directories:
            lock.release()

    def _lost(self, what: str) -> ClaimLost:
        return ClaimLost(
            f"{self._where.root} or {self._where.run} {what} while this agent ran",
            hint="start it again; containers keep running, and what it finds then is what it goes on with",
        )


@contextlib.asynccontextmanager
async def held(where: layout.Layout, *, needs_run: bool = True) -> AsyncIterator[None]:
    """Hold an instance for as long as the context lasts. ``needs_run``: without a run directory nothing can be done.

    Raises ``kit.locks.LockedElsewhere``, ``stamps.ForeignDirectory``, and ``ClaimLost`` in the middle of the work,
    which is cancelled then: another process may be at work on the same containers by now.
    """
    reserve.Reserve(where.reserve).spend(leave=_FOR_REMOVING)
    _make(where, needs_run=needs_run)
    claim, owner = Claim(where).acquire(), asyncio.current_task()
    failures: list[BaseException] = []

    def on_failure(_: str, error: BaseException) -> None:
        failures.append(error)
        if owner is not None:
            owner.cancel()

    try:
        async with tasks.Crew(on_failure) as crew:
            crew.start(claim.watch(), name="claim on the instance")
            yield
    except asyncio.CancelledError:
        if failures and owner is not None:
            owner.uncancel()
            raise failures[0] from None
        raise
    finally:
        claim.release()


def holder(where: layout.Layout) -> int | None:
    """Return the process that may change the instance, ``None`` where there is none."""
    return locks.FileLock(where.lock).holder() or locks.DirectoryLock(where.root).holder()


def _stamp(where: layout.Layout) -> None:
    stamp = dataclasses.asdict(stamps.Stamp(str(where.root), str(where.run)))
    for directory in (where.root, where.run):
        release = state_format.latest(state_format.newest(directory))
        fields = {"version": state_format.FORMAT, "release": release, **stamp}
        if directory.is_dir() and stamps.fields_of(directory) != fields:
            with contextlib.suppress(OSError):  # a full disk: the locks hold, and the next start stamps
                atomicfile.write(directory / stamps.NAME, json.dumps(fields).encode() + b"\n", durable=False)


def _make(where: layout.Layout, *, needs_run: bool) -> None:
    where.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        where.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(where.run, os.W_OK | os.X_OK):
            raise PermissionError(f"{where.run} cannot be written to")
    except OSError:
        if needs_run:
            raise
