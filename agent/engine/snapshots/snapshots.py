"""Unpacked layers on disk, by chain id: what lies below a layer is part of its name, so sharing is always right."""

import asyncio
import contextlib
import dataclasses
import functools
import os
import pathlib
import secrets
import threading
from collections.abc import AsyncIterator
from concurrent import futures

from agent.engine import errors, layout, records
from agent.engine.content import store
from agent.engine.kernel import api
from agent.engine.layers import spool, streams, unpack, worker
from agent.kit import failpoint, tasks, trees

SCHEMA = """
CREATE TABLE IF NOT EXISTS snapshots (
    chain_id TEXT PRIMARY KEY,
    directory TEXT NOT NULL UNIQUE
);
"""

_UNPACK = failpoint.register("layers.unpack")
_COMMIT = failpoint.register("snapshots.commit")

AT_ONCE = 3
"""Layers at a time, as Docker: more gain little on one connection's bandwidth and cost memory."""
_TEMPORARY = "tmp-"
_LIMITS = streams.Limits()


@dataclasses.dataclass(frozen=True, slots=True)
class Unpacked:
    """A layer that is unpacked, and nobody's yet."""

    temporary: pathlib.Path
    name: str


class Snapshots:
    """All unpacked layers of an instance."""

    def __init__(
        self,
        where: layout.Layout,
        database: records.Database,
        kernel: api.Kernel,
        limits: streams.Limits = _LIMITS,
    ) -> None:
        """Nothing is read or made yet."""
        self._root = where.snapshots
        self._database = database
        self._kernel = kernel
        self._limits = limits
        self._threads = futures.ThreadPoolExecutor(AT_ONCE, "layers")  # they wait for registries: no one else's threads
        self._elsewhere = threading.Semaphore(max(1, len(os.sched_getaffinity(0)) // 2))

    def prepare(self) -> None:
        """Let layers lie apart on the disk.

        ext4 looks for places of new files next to their directory's, and walks past all that were freed in the last
        minutes: an image that replaces another one would take twice as long to unpack.
        """
        self._kernel.spread(str(self._root))

    def find(self, chain_id: str) -> pathlib.Path | None:
        """Give a layer's directory, or ``None`` where it is not unpacked."""
        row = self._database.first("SELECT directory FROM snapshots WHERE chain_id = ?", (chain_id,))
        return self._root / row["directory"] / "fs" if row else None

    @contextlib.asynccontextmanager
    async def unpacked(self, diff_id: str, source: spool.Spool, packed: int) -> AsyncIterator["Unpacked"]:
        """Unpack a layer of ``packed`` bytes, read from a source in other threads; ``keep`` makes a snapshot of it.

        Raises ``errors.Refused`` for hostile or damaged content, ``errors.Unavailable`` for a full disk, and what the
        source raises. Left without ``keep``, nothing of it stays.
        """
        name = secrets.token_hex(4)
        temporary = self._root / f"{_TEMPORARY}{name}"
        try:
            unpacking = functools.partial(self._unpack, source, packed, diff_id, temporary)
            await tasks.in_thread(unpacking, pool=self._threads, give_up=source.give_up)
            yield Unpacked(temporary, name)
        finally:
            await asyncio.to_thread(discard, temporary)

    def keep(self, chain_id: str, made: "Unpacked") -> None:
        """Make a snapshot of a layer that is on the disk for good, unless there is one by now."""
        if self.find(chain_id) is not None:
            return
        _UNPACK.hit()
        made.temporary.rename(self._root / made.name)
        _COMMIT.hit()
        self._database.execute("INSERT INTO snapshots (chain_id, directory) VALUES (?, ?)", (chain_id, made.name))

    def collect(self) -> None:
        """Remove directories that no record knows: left-overs of a crash. For who is the only one at work."""
        for name in self.strangers():
            trees.remove(self._root / name)

    def strangers(self) -> list[str]:
        """Name directories that no record knows."""
        known = {row["directory"] for row in self._database.query("SELECT directory FROM snapshots")}
        return sorted(entry.name for entry in self._root.iterdir() if entry.name not in known)

    def _unpack(self, source: spool.Spool, packed: int, diff_id: str, temporary: pathlib.Path) -> None:
        target = temporary / "fs"
        try:
            target.mkdir(mode=0o755, parents=True)
            target.chmod(0o755)
            if packed >= worker.WORTH_IT and self._elsewhere.acquire(blocking=False):
                try:
                    found = worker.unpacked(source, packed, target, self._limits)
                finally:
                    self._elsewhere.release()
            else:
                found = unpack.unpacked(self._kernel, source, packed, target, self._limits)
        except OSError as error:
            raise store.disk_failure(error) from error
        if found != diff_id:
            raise errors.Refused(
                f"a layer unpacks to {found} where the image config says {diff_id}", reason="DigestMismatch"
            )


def unneeded(database: records.Database, kept: frozenset[str]) -> list[tuple[str, str]]:
    """Give (chain id, directory's name) of every layer that is not one of these chain ids."""
    rows = database.query("SELECT chain_id, directory FROM snapshots")
    return [(row["chain_id"], row["directory"]) for row in rows if row["chain_id"] not in kept]


def condemn(database: records.Database, kept: frozenset[str]) -> list[str]:
    """Forget every layer that is not one of these chain ids, and name the directories that are left to ``discard``."""
    gone = unneeded(database, kept)
    for chain_id, _ in gone:
        database.execute("DELETE FROM snapshots WHERE chain_id = ?", (chain_id,))
    return [directory for _, directory in gone]


def discard(directory: pathlib.Path) -> None:
    """Remove a directory that no record knows; what cannot be removed now is found by the next ``collect``."""
    with contextlib.suppress(OSError):
        trees.remove(directory)
