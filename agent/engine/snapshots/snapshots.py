"""Unpacked layers on disk, by chain id: what lies below a layer is part of its name, so sharing is always right."""

import asyncio
import contextlib
import functools
import os
import pathlib
import secrets
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent import futures

from agent import errors
from agent.distribution.content import store
from agent.distribution.layers import streams
from agent.engine import layout, records
from agent.engine.kernel import api
from agent.engine.layers import growing_file, implied, unpack, worker
from agent.kit import failpoint, frozen, notices, tasks, trees
from agent.reasons import Reason

SCHEMA = """
CREATE TABLE IF NOT EXISTS snapshots (
    chain_id TEXT PRIMARY KEY,
    directory TEXT NOT NULL UNIQUE
);
"""

_UNPACK = failpoint.register("layers.unpack")
_COMMIT = failpoint.register("snapshots.commit")

AT_ONCE = 3
"""Layers of one registry at a time, as Docker: more gain little on one connection's bandwidth and cost memory."""
_THREADS = 64 * AT_ONCE
"""Of which there are as many as have ever been needed at once: a registry that gives slowly must not hold the last."""
_TEMPORARY = "tmp-"
_LIMITS = streams.Limits()


@frozen.value
class Unpacked:
    """A layer that is unpacked, and nobody's yet."""

    temporary: pathlib.Path
    name: str

    @property
    def depends_on_lower(self) -> bool:
        """Return whether it has directories that take after the layers below (``inherit``)."""
        return implied.has_folders(self.temporary)


class Snapshots:
    """All unpacked layers of an instance."""

    def __init__(
        self,
        where: layout.Layout,
        database: records.Database,
        kernel: api.Kernel,
        register: notices.Register,
        limits: streams.Limits = _LIMITS,
    ) -> None:
        """Nothing is read or made yet."""
        self._root = where.snapshots
        self._database = database
        self._kernel = kernel
        self._register = register
        self._limits = limits
        self._threads = futures.ThreadPoolExecutor(_THREADS, "layers")  # they wait for registries: no one else's
        self._elsewhere = threading.Semaphore(max(1, len(os.sched_getaffinity(0)) // 2))

    def prepare(self) -> None:
        """Let layers lie apart on the disk.

        ext4 looks for places of new files next to their directory's, and walks past all that were freed in the last
        minutes: an image that replaces another one would take twice as long to unpack.
        """
        self._kernel.spread(str(self._root))

    def find(self, chain_id: str) -> pathlib.Path | None:
        """Return a layer's directory, or ``None`` where it is not unpacked, or somebody has removed it."""
        name = self._name(chain_id)
        path = self._root / name / "fs"
        return path if name and path.is_dir() else None

    def present(self) -> frozenset[str]:
        """Return the chain ids of all layers that are unpacked, and are there: one look at each."""
        rows = self._database.query("SELECT chain_id, directory FROM snapshots")
        present = (row["chain_id"] for row in rows if os.path.isdir(f"{self._root}/{row['directory']}/fs"))  # noqa: PTH112 - hundreds at each look: a third of the time
        return frozenset(present)

    @contextlib.asynccontextmanager
    async def unpacked(self, diff_id: str, source: growing_file.GrowingFile, packed: int) -> AsyncIterator["Unpacked"]:
        """Unpack a layer of ``packed`` bytes, read from a source in other threads; ``keep`` makes a snapshot of it.

        Raises ``errors.InvalidArgument`` for hostile or damaged content, ``errors.Unavailable`` for a full disk, and
        what the source raises. Left without ``keep``, nothing of it stays.
        """
        name = secrets.token_hex(4)
        temporary = self._root / f"{_TEMPORARY}{name}"
        try:
            unpacking = functools.partial(self._unpack, source, packed, diff_id, temporary)
            await tasks.in_thread(unpacking, pool=self._threads, give_up=source.abandon)
            yield Unpacked(temporary, name)
        finally:
            await self._register.attempt(f"layer {temporary.name}", functools.partial(remove, temporary))

    async def inherit(self, unpacked: "Unpacked", below: Sequence[str]) -> None:
        """Let directories that a layer only implies be as they are below it; ``below``: chain ids, the lowest first.

        Raises ``errors.NotFound`` where a layer below is not there, ``errors.Unavailable``.
        """
        layers = [self.find(chain_id) for chain_id in reversed(below)]
        lower = [path for path in layers if path is not None]
        if len(lower) != len(layers):
            raise errors.NotFound("a layer below another one is not unpacked", reason=Reason.CONTENT_MISSING)
        with store.translated_writes():
            temporary = unpacked.temporary
            await asyncio.to_thread(implied.inherit, temporary, temporary / "fs", lower)

    def keep(self, chain_id: str, unpacked: "Unpacked") -> None:
        """Make a snapshot of a layer that is on the disk for good, unless there is one by now.

        Raises ``errors.Unavailable`` where something is in its place that cannot be removed.
        """
        if self.find(chain_id) is not None:
            return
        name = self._name(chain_id) or unpacked.name  # containers know where the layers of their image were
        with store.translated_writes():
            trees.remove(self._root / name)
        _UNPACK.hit()
        unpacked.temporary.rename(self._root / name)
        _COMMIT.hit()
        self._database.execute("INSERT OR IGNORE INTO snapshots (chain_id, directory) VALUES (?, ?)", (chain_id, name))

    def adopt(self, chain_id: str, directory: pathlib.Path) -> None:
        """Make a snapshot of a directory among the others with a layer in ``fs``, which is on the disk for good.

        Where a layer of this chain id was recorded and is gone, it comes to lie there. Raises ``errors.Unavailable``.
        """
        name = self._name(chain_id)
        if name:
            with store.translated_writes():
                trees.remove(self._root / name)
                directory.rename(self._root / name)
            return
        self._database.execute("INSERT INTO snapshots (chain_id, directory) VALUES (?, ?)", (chain_id, directory.name))

    def _name(self, chain_id: str) -> str:
        """Return the name of a layer's directory; empty where none is recorded."""
        row = self._database.first("SELECT directory FROM snapshots WHERE chain_id = ?", (chain_id,))
        return str(row["directory"]) if row else ""

    def collect(self, in_use: frozenset[str] = frozenset()) -> None:
        """Remove directories that no record knows: left-overs of a crash. For who is the only one at work.

        ``in_use``: directories that containers stand on; they stay even where a damage has taken their records.
        """
        for name in self.strangers():
            if name not in in_use:
                trees.remove(self._root / name)

    def strangers(self) -> list[str]:
        """Name directories that no record knows."""
        recorded = {row["directory"] for row in self._database.query("SELECT directory FROM snapshots")}
        return sorted(entry.name for entry in self._root.iterdir() if entry.name not in recorded)

    def _unpack(self, source: growing_file.GrowingFile, packed: int, diff_id: str, temporary: pathlib.Path) -> None:
        target = temporary / "fs"
        try:
            target.mkdir(mode=0o755, parents=True)
            target.chmod(0o755)
            if packed >= worker.PROCESS_THRESHOLD and self._elsewhere.acquire(blocking=False):
                try:
                    computed = worker.unpacked(source, packed, target, self._limits)
                finally:
                    self._elsewhere.release()
            else:
                computed = unpack.unpacked(self._kernel, source, packed, target, self._limits)
        except OSError as error:
            raise store.disk_failure(error) from error
        if computed != diff_id:
            raise errors.InvalidArgument(
                f"a layer unpacks to {computed} where the image config says {diff_id}", reason=Reason.DIGEST_MISMATCH
            )


def unneeded(database: records.Database, kept: frozenset[str]) -> list[tuple[str, str]]:
    """Return (chain id, directory's name) of every layer that is not one of these chain ids."""
    rows = database.query("SELECT chain_id, directory FROM snapshots")
    return [(row["chain_id"], row["directory"]) for row in rows if row["chain_id"] not in kept]


def condemn(database: records.Database, kept: frozenset[str]) -> list[str]:
    """Forget every layer that is not one of these chain ids, and name the directories that are left to ``remove``."""
    condemned = unneeded(database, kept)
    for chain_id, _ in condemned:
        database.execute("DELETE FROM snapshots WHERE chain_id = ?", (chain_id,))
    return [directory for _, directory in condemned]


async def remove(directory: pathlib.Path) -> None:
    """Remove a directory that no record knows, in another thread. Raises ``OSError``."""
    await asyncio.to_thread(trees.remove, directory)
