"""Takes away content that nothing leads to, and images that nobody uses where the disk fills.

It looks at records and leases anew each time, through a connection of its own, and decides while no lease is given and
no record written: so it may run in a thread, and in another process than the one that pulls and runs containers. What
is decided is renamed and unrecorded first, and removed afterwards: a crash in between leaves what the next start finds.
"""

import asyncio
import contextlib
import dataclasses
import os
import pathlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from agent.engine import errors, layout, records
from agent.engine.content import leases, store
from agent.engine.images import collection, documents, index, sources, verified
from agent.engine.snapshots import snapshots
from agent.kit import clock, failpoint, tasks
from agent.oci import digest, image_config, manifest

SCHEMA = """
CREATE TABLE IF NOT EXISTS image_uses (
    config TEXT PRIMARY KEY,
    fetched REAL NOT NULL,
    used REAL NOT NULL
) WITHOUT ROWID;
"""
T = TypeVar("T")

_INTERVAL = 300.0
"""Seconds between two looks at the disk, as kubelet's."""

_CONDEMN = failpoint.register("images.condemn")
_COLLECT = failpoint.register("images.collect")

Held = Callable[[records.Database], Mapping[str, tuple[str, ...]]]
"""Gives the images (ids) that containers were made from, each with the diff ids of its layers."""


@dataclasses.dataclass(frozen=True, slots=True)
class Collected:
    """Images that were removed because the disk was filling."""

    references: tuple[str, ...]
    time: float


@dataclasses.dataclass(frozen=True, slots=True)
class Holdings:
    """What is in the store."""

    ids: frozenset[str]
    """Of images that have a name."""
    prunable: tuple[pathlib.Path, ...]
    """Files and directories that pruning would remove."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rooms:
    """What this stands on."""

    where: layout.Layout
    content: store.ContentStore
    leases: leases.Leases
    open: Callable[[], records.Database]
    """Opens the records once more."""
    held: Held
    clock: clock.Clock


@dataclasses.dataclass(frozen=True, slots=True)
class _Needed:
    """What images and containers lead to."""

    blobs: frozenset[str]
    chains: frozenset[str]
    configs: frozenset[str]


class Collector:
    """Collects an instance's images."""

    def __init__(self, rooms: Rooms, thresholds: collection.Thresholds) -> None:
        """Nothing is read yet."""
        self._rooms = rooms
        self._thresholds = thresholds
        self._one_at_a_time = asyncio.Lock()
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Have a look at the disk soon: something has come, or could not come."""
        self._woken.set()

    async def run(self, collected: Callable[[Collected], None]) -> None:
        """Look at the disk again and again until cancelled, and tell of images that were removed."""
        while True:
            with contextlib.suppress(errors.Unavailable, OSError):  # a disk without any room: it is tried again
                removed = await self.relieve()
                if removed:
                    collected(Collected(removed, self._rooms.clock.now()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_INTERVAL):
                    await self._woken.wait()
            self._woken.clear()

    async def sweep(self) -> None:
        """Remove the content that no image, container or lease leads to. Raises ``errors.Unavailable``."""
        await self._apart(lambda database, _: self._sweep(database))

    async def relieve(self) -> tuple[str, ...]:
        """Sweep, and where the disk is too full remove images that nobody uses; give their names."""
        return await self._apart(self._relieve)

    async def prune(self) -> tuple[str, ...]:
        """Remove all images that nobody uses, however new, and what broken pulls have left; give the images' names."""
        return await self._apart(self._prune)

    def prunable(self) -> tuple[str, ...]:
        """Name the images that ``prune`` would remove."""
        with self._opened() as database:
            return tuple(sorted(name for one in self._unused(database) for name in one.references))

    def holdings(self) -> Holdings:
        """Say what there is, and which files ``prune`` would remove."""
        content, now = self._rooms.content, self._rooms.clock.now()
        with self._opened() as database, self._rooms.leases.looked_at(now, kept=0.0) as leased:
            needed = self._needed(database, frozenset(one.id for one in self._unused(database)))
            ids = frozenset(row["config"] for row in database.query("SELECT config FROM images"))
            layers = snapshots.unneeded(database, needed.chains | leased.resources)
            gone = () if leased.everything else content.digests() - needed.blobs - leased.resources
            partials = content.partials(leased.resources)
        return Holdings(
            ids,
            (
                *(content.path(blob) for blob in sorted(gone)),
                *(self._rooms.where.snapshots / directory for _, directory in layers),
                *partials,
            ),
        )

    def leftovers(self) -> tuple[str, ...]:
        """Name content that neither an image nor a lease leads to, and what is half written. For the leak check."""
        with self._opened() as database, self._rooms.leases.looked_at(self._rooms.clock.now()) as leased:
            needed = self._needed(database)
        found = self._rooms.content.digests() - needed.blobs - leased.resources
        return (
            *(f"blob {blob}" for blob in sorted(found)),
            *(f"ingest {name}" for name in self._rooms.content.unfinished()),
        )

    def space(self) -> collection.Space:
        """Look at the disk that the images are on. Raises ``OSError``."""
        told = os.statvfs(self._rooms.where.root)
        return collection.Space(told.f_blocks * told.f_frsize, told.f_bavail * told.f_frsize)

    async def _apart(self, work: Callable[[records.Database, threading.Event], T]) -> T:
        """Run something in a thread, with a connection of its own, and an event that tells it to come to its end."""
        given_up = threading.Event()

        def working() -> T:
            with self._opened() as database:
                return work(database, given_up)

        async with self._one_at_a_time:
            return await tasks.in_thread(working, give_up=given_up.set)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[records.Database]:
        with contextlib.closing(self._rooms.open()) as database:
            yield database

    def _relieve(self, database: records.Database, given_up: threading.Event) -> tuple[str, ...]:
        self._note_uses(database)
        self._sweep(database)
        aim = collection.wanted(self.space(), self._thresholds)
        if not aim:
            return ()
        in_use, now = frozenset(self._rooms.held(database)), self._rooms.clock.now()
        due = collection.due(_kept(database), in_use, now, self._thresholds.minimum_age)
        enough = (one for one in due if self.space().available < aim)
        return self._remove(database, enough, given_up)

    def _prune(self, database: records.Database, given_up: threading.Event) -> tuple[str, ...]:
        removed = self._remove(database, self._unused(database), given_up)
        self._sweep(database, kept=0.0)
        return removed

    def _unused(self, database: records.Database) -> tuple[collection.Kept, ...]:
        self._note_uses(database)
        return collection.unused(_kept(database), frozenset(self._rooms.held(database)))

    def _note_uses(self, database: records.Database) -> None:
        """Note that the images of containers are used now; of which nothing is known has come now."""
        now, in_use = self._rooms.clock.now(), self._rooms.held(database)
        with database.transaction():
            for row in database.query("SELECT DISTINCT config FROM images"):
                note_arrival(database, row["config"], now, again=False)
                if row["config"] in in_use:
                    database.execute("UPDATE image_uses SET used = ? WHERE config = ?", (now, row["config"]))

    def _remove(
        self, database: records.Database, images: Iterable[collection.Kept], given_up: threading.Event
    ) -> tuple[str, ...]:
        """Remove images one by one, unless somebody has become their owner meanwhile."""
        removed: list[str] = []
        for image in images:
            if given_up.is_set():
                break
            with database.transaction():
                for name in image.references:
                    statement = "DELETE FROM images WHERE reference = ? AND config = ? AND labels = '[]'"
                    removed += [name] * database.execute(statement, (name, image.id))
            self._sweep(database)
        return tuple(sorted(removed))

    def _sweep(self, database: records.Database, kept: float = leases.KEPT) -> None:
        content = self._rooms.content
        now = self._rooms.clock.now()
        with self._rooms.leases.looked_at(now, kept, end=True) as leased:
            if leased.everything:
                return
            with database.transaction():
                self._forget_damaged(database)
                needed = self._needed(database)
                gone = content.digests() - needed.blobs - leased.resources
                layers = snapshots.condemn(database, needed.chains | leased.resources)
                left = [content.condemn(blob) for blob in sorted(gone)]
                self._forget(database, gone, needed.configs | leased.resources)
                content.forget_partials(leased.resources, now - kept)
                _CONDEMN.hit()
        _COLLECT.hit()
        for file in left:
            file.unlink()
        for name in layers:
            snapshots.discard(self._rooms.where.snapshots / name)

    def _forget(self, database: records.Database, gone: Iterable[str], kept: frozenset[str]) -> None:
        """Forget what was known of what is not there any more."""
        for blob in gone:
            sources.Sources(database).forget(blob)
        verified.Verified(database).retain(kept)
        database.execute("DELETE FROM origins WHERE reference NOT IN (SELECT reference FROM images)")
        database.execute("DELETE FROM image_uses WHERE config NOT IN (SELECT config FROM images)")
        index.write(database, self._rooms.content)

    def _forget_damaged(self, database: records.Database) -> None:
        """Drop references whose manifest or config cannot be read any more: they are missing, and fetched again."""
        for row in database.query("SELECT reference, manifest, config FROM images"):
            try:
                self._layers(row)
            except errors.EngineError:
                database.execute("DELETE FROM images WHERE reference = ?", (row["reference"],))

    def _document(self, wanted: str) -> bytes:
        """Read a document as it came. Raises ``errors.EngineError``, also for one that is another by now."""
        data = self._rooms.content.read(wanted)
        if not digest.matches(wanted, data):
            raise errors.Refused(f"{wanted} is damaged", reason="DigestMismatch")
        return data

    def _is_sound(self, wanted: str) -> bool:
        """Tell whether a document is there as it came; one that is not would be taken for it at the next pull."""
        with contextlib.suppress(errors.EngineError):
            return bool(self._document(wanted))
        return False

    def _layers(self, row: records.Row) -> tuple[manifest.Manifest, tuple[str, ...]]:
        """Give an image's manifest, and the diff ids of its layers. Raises ``errors.EngineError``."""
        parsed = documents.image(self._document(row["manifest"]))
        with documents.told(row["reference"]):
            return parsed, image_config.parse(self._document(row["config"])).diff_ids

    def _needed(self, database: records.Database, without: frozenset[str] = frozenset()) -> _Needed:
        """Give what images and containers lead to; some images may be thought away."""
        held = self._rooms.held(database)
        blobs: set[str] = set()
        configs = {config for config in held if self._is_sound(config)}
        chains = {chain_id for diff_ids in held.values() for chain_id in image_config.chain_ids(diff_ids)}
        for row in database.query("SELECT reference, manifest, config FROM images"):
            if row["config"] in without:
                continue
            with contextlib.suppress(errors.EngineError):  # a damaged one leads to nothing any more
                parsed, diff_ids = self._layers(row)
                blobs |= {row["manifest"], *(layer.digest for layer in parsed.layers)}
                configs.add(row["config"])
                chains.update(image_config.chain_ids(diff_ids))
        return _Needed(frozenset(blobs | configs), frozenset(chains), frozenset(configs))


def note_arrival(database: records.Database, image: str, now: float, *, again: bool) -> None:
    """Note when an image has come; ``again``: also where it was there already."""
    statement = "INSERT OR REPLACE" if again else "INSERT OR IGNORE"
    database.execute(f"{statement} INTO image_uses (config, fetched, used) VALUES (?, ?, ?)", (image, now, now))


def _kept(database: records.Database) -> list[collection.Kept]:
    rows = database.query(
        "SELECT config, group_concat(reference, char(10)) AS names, max(labels != '[]') AS owned, fetched, used"
        " FROM images JOIN image_uses USING (config) GROUP BY config"
    )
    return [
        collection.Kept(
            row["config"], tuple(sorted(row["names"].split("\n"))), bool(row["owned"]), row["fetched"], row["used"]
        )
        for row in rows
    ]
