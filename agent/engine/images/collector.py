"""Garbage collection: removes unneeded content, and unused images where the disk fills.

Each collection reads records and leases anew, through a connection of its own, and decides while no lease is taken and
no record written: so it may run in a thread, and in another process than the one that pulls and runs containers.
Content is unrecorded and renamed first, and removed afterwards: a crash in between leaves what the next start removes.
"""

import asyncio
import contextlib
import functools
import pathlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

from agent import errors
from agent.distribution.content import store
from agent.engine import layout, records
from agent.engine.images import collection, index, inspection, leases, sources, verified
from agent.engine.snapshots import snapshots
from agent.kit import clock, disk_space, failpoint, frozen, notices, reserve, tasks, trees
from agent.oci import image_config

SCHEMA = """
CREATE TABLE IF NOT EXISTS image_uses (
    config TEXT PRIMARY KEY,
    fetched REAL NOT NULL,
    used REAL NOT NULL
) WITHOUT ROWID;
"""
T = TypeVar("T")
UNUSED = "images that nobody uses"
"""The subject of the notice that a collection has failed."""

_INTERVAL = 300.0
"""Seconds between two checks of the disk, as kubelet's."""

_CONDEMN = failpoint.register("images.condemn")
_COLLECT = failpoint.register("images.collect")

Held = Callable[[records.Database], Mapping[str, tuple[str, ...]]]
"""Returns the images (ids) of containers, each with the diff ids of its layers."""


class Cache(Protocol):
    """What keeps content though no image needs it, for as long as there is room."""

    def needed(self, database: records.Database) -> tuple[frozenset[str], frozenset[str]]:
        """Return the digests of blobs and the chain ids of layers that are kept."""

    def trim(self, database: records.Database, now: float, *, entirely: bool) -> None:
        """Forget what is too old or too much; or everything."""

    def tidy(self, now: float, *, entirely: bool) -> None:
        """Remove what it keeps beside content, where that is too old; or all that nobody uses just now."""


@frozen.value
class Collected:
    """Images that were removed because the disk was filling."""

    references: tuple[str, ...]
    time: float


@frozen.value
class Holdings:
    """Contents of the image store."""

    ids: frozenset[str]
    """Of images that have a name."""
    prunable: tuple[pathlib.Path, ...]
    """Files and directories that pruning would remove."""


@frozen.value(kw_only=True)
class Deps:
    """Collaborators of the collector."""

    where: layout.Layout
    content: store.ContentStore
    leases: leases.Leases
    open: Callable[[], records.Database]
    """Opens another connection to the records."""
    documents: inspection.Documents
    held: Held
    cache: Cache
    clock: clock.Clock
    register: notices.Register


@frozen.value
class _Needed:
    """What images and containers lead to."""

    blobs: frozenset[str]
    chains: frozenset[str]
    configs: frozenset[str]


class Collector:
    """Collects an instance's images."""

    def __init__(self, deps: Deps, thresholds: collection.Thresholds) -> None:
        """Store the arguments; nothing is read yet."""
        self._deps = deps
        self._thresholds = thresholds
        self._one_at_a_time = asyncio.Lock()
        self._woken = asyncio.Event()
        self._leftovers: dict[pathlib.Path, OSError] = {}
        """Unrecorded files that could not be removed, until they are registered for retries."""

    def wake(self) -> None:
        """Request a look at the disk soon: content was added, or could not be."""
        self._woken.set()

    async def run(self, collected: Callable[[Collected], None]) -> None:
        """Check the disk periodically until cancelled; ``collected`` is called with images that were removed."""
        while True:
            try:
                removed = await self.free_space()
            except (errors.Unavailable, OSError) as error:  # a full disk: it is tried again
                self._deps.register.failed(UNUSED, error, self.sweep)
            else:
                self._deps.register.settled(UNUSED)
                if removed:
                    collected(Collected(removed, self._deps.clock.now()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_INTERVAL):
                    await self._woken.wait()
            self._woken.clear()

    async def sweep(self) -> None:
        """Remove the content that no image, container or lease leads to. Raises ``errors.Unavailable``."""
        await self._in_thread(lambda database, _: self._sweep(database))

    async def free_space(self) -> tuple[str, ...]:
        """Sweep, and above the high threshold remove unused images; return their names."""
        return await self._in_thread(self._free_space)

    def spend_reserve(self) -> None:
        """Release a piece of the disk reserve where the disk is full, so that a removal can be recorded."""
        reserve.Reserve(self._deps.where.reserve).spend()

    async def prune(self) -> tuple[str, ...]:
        """Remove all unused images, however new, and what broken pulls have left; return the images' names."""
        self.spend_reserve()
        return await self._in_thread(self._prune)

    def prunable(self) -> tuple[str, ...]:
        """Return the names of the images that ``prune`` would remove."""
        with self._opened() as database:
            return tuple(sorted(name for image in self._unused(database) for name in image.references))

    def holdings(self) -> Holdings:
        """Return the ids of stored images, and the files that ``prune`` would remove."""
        content, now = self._deps.content, self._deps.clock.now()
        with self._opened() as database, self._deps.leases.all_held(now, kept=0.0) as leased:
            unused = frozenset(image.id for image in self._unused(database))
            needed = self._needed(database, unused, with_cache=False)
            ids = frozenset(row["config"] for row in database.query("SELECT config FROM images"))
            layers = snapshots.unneeded(database, needed.chains | leased.resources)
            unneeded = () if leased.everything else content.digests() - needed.blobs - leased.resources
            partials = content.partials(leased.resources)
        return Holdings(
            ids,
            (
                *(content.path(blob) for blob in sorted(unneeded)),
                *(self._deps.where.snapshots / directory for _, directory in layers),
                *partials,
            ),
        )

    def leftovers(self) -> tuple[str, ...]:
        """Return content that neither an image nor a lease needs, and unfinished writes. For the leak check."""
        with self._opened() as database, self._deps.leases.all_held(self._deps.clock.now()) as leased:
            needed = self._needed(database)
        unneeded = self._deps.content.digests() - needed.blobs - leased.resources
        return (
            *(f"blob {blob}" for blob in sorted(unneeded)),
            *(f"ingest {name}" for name in self._deps.content.unfinished()),
        )

    def space(self) -> disk_space.DiskSpace:
        """Return size and free space of the images' disk. Raises ``OSError``."""
        return disk_space.of(self._deps.where.root)

    async def _in_thread(self, work: Callable[[records.Database, threading.Event], T]) -> T:
        """Run work in a thread, with its own database connection and an event that asks it to stop."""
        given_up = threading.Event()

        def working() -> T:
            with self._opened() as database:
                return work(database, given_up)

        async with self._one_at_a_time:
            try:
                return await tasks.in_thread(working, give_up=given_up.set)
            finally:
                while self._leftovers:
                    path, error = self._leftovers.popitem()
                    self._deps.register.failed(f"content {path.name}", error, functools.partial(_removed, path))

    @contextlib.contextmanager
    def _opened(self) -> Iterator[records.Database]:
        with contextlib.closing(self._deps.open()) as database:
            yield database

    def _free_space(self, database: records.Database, given_up: threading.Event) -> tuple[str, ...]:
        self._note_uses(database)
        self._trim(database, entirely=False)
        self._sweep(database)
        if collection.available_target(self.space(), self._thresholds):
            self._trim(database, entirely=True)  # what can be made again goes before images
            self._sweep(database)
        aim = collection.available_target(self.space(), self._thresholds)
        if not aim:
            return ()
        in_use, now = frozenset(self._deps.held(database)), self._deps.clock.now()
        due = collection.due(_kept(database), in_use, now, self._thresholds.minimum_age)
        enough = (image for image in due if self.space().available < aim)
        return self._remove(database, enough, given_up)

    def _prune(self, database: records.Database, given_up: threading.Event) -> tuple[str, ...]:
        removed = self._remove(database, self._unused(database), given_up)
        self._trim(database, entirely=True)
        self._sweep(database, kept=0.0)
        return removed

    def _trim(self, database: records.Database, *, entirely: bool) -> None:
        now = self._deps.clock.now()
        with database.transaction():
            self._deps.cache.trim(database, now, entirely=entirely)
        self._deps.cache.tidy(now, entirely=entirely)

    def _unused(self, database: records.Database) -> tuple[collection.CandidateImage, ...]:
        self._note_uses(database)
        return collection.unused(_kept(database), frozenset(self._deps.held(database)))

    def _note_uses(self, database: records.Database) -> None:
        """Note that the images of containers are used now; of which nothing is known has come now."""
        now, in_use = self._deps.clock.now(), self._deps.held(database)
        with database.transaction():
            for row in database.query("SELECT DISTINCT config FROM images"):
                note_arrival(database, row["config"], now, replace=False)
                if row["config"] in in_use:
                    database.execute("UPDATE image_uses SET used = ? WHERE config = ?", (now, row["config"]))

    def _remove(
        self, database: records.Database, images: Iterable[collection.CandidateImage], given_up: threading.Event
    ) -> tuple[str, ...]:
        """Remove images in turn, unless they have got an owner meanwhile."""
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
        """Remove unneeded content. All documents are read first, outside of the write transaction."""
        content = self._deps.content
        now = self._deps.clock.now()
        self._needed(database)
        with self._deps.leases.all_held(now, kept, end=True) as leased:
            if leased.everything:
                return
            with database.transaction():
                self._forget_damaged(database)
                needed = self._needed(database)
                unneeded = content.digests() - needed.blobs - leased.resources
                layers = snapshots.condemn(database, needed.chains | leased.resources)
                detached = [content.detach(blob) for blob in sorted(unneeded)]
                self._forget(database, unneeded, needed.configs | leased.resources)
                content.forget_partials(leased.resources, now - kept)
                _CONDEMN.hit()
        _COLLECT.hit()
        for path in (*detached, *(self._deps.where.snapshots / name for name in layers)):
            try:
                _remove(path)
            except OSError as error:
                self._leftovers[path] = error

    def _forget(self, database: records.Database, removed: Iterable[str], kept: frozenset[str]) -> None:
        """Forget what was known of what is not there any more."""
        for blob in removed:
            sources.Sources(database).forget(blob)
        verified.Verified(database).retain(kept)
        database.execute("DELETE FROM origins WHERE reference NOT IN (SELECT reference FROM images)")
        database.execute("DELETE FROM image_uses WHERE config NOT IN (SELECT config FROM images)")
        index.write(database, self._deps.content)

    def _forget_damaged(self, database: records.Database) -> None:
        """Drop references whose manifest or config cannot be read any more: they are missing, and fetched again."""
        for row in database.query("SELECT reference, manifest, config FROM images"):
            try:
                self._deps.documents.contents(row["manifest"], row["config"])
            except errors.Failure:
                database.execute("DELETE FROM images WHERE reference = ?", (row["reference"],))

    def _needed(
        self, database: records.Database, without: frozenset[str] = frozenset(), *, with_cache: bool = True
    ) -> _Needed:
        """Return what images, containers and the cache need; images with a config in ``without`` do not count."""
        held = self._deps.held(database)
        blobs: set[str] = set()
        configs = {config for config in held if self._deps.documents.is_sound_config(config)}
        chains = {chain_id for diff_ids in held.values() for chain_id in image_config.chain_ids(diff_ids)}
        for row in database.query("SELECT reference, manifest, config FROM images"):
            if row["config"] in without:
                continue
            with contextlib.suppress(errors.Failure):  # a damaged one needs no content
                contents = self._deps.documents.contents(row["manifest"], row["config"])
                blobs |= {row["manifest"], *(layer.digest for layer in contents.manifest.layers)}
                configs.add(row["config"])
                chains.update(image_config.chain_ids(contents.config.diff_ids))
        if with_cache:
            cached_blobs, cached_chains = self._deps.cache.needed(database)
            blobs |= cached_blobs
            chains |= cached_chains
        return _Needed(frozenset(blobs | configs), frozenset(chains), frozenset(configs))


def _remove(path: pathlib.Path) -> None:
    """Remove a file or a directory. Raises ``OSError``."""
    if path.is_dir():
        trees.remove(path)
    else:
        path.unlink(missing_ok=True)


async def _removed(path: pathlib.Path) -> None:
    await asyncio.to_thread(_remove, path)


def note_arrival(database: records.Database, image: str, now: float, *, replace: bool) -> None:
    """Record when an image was fetched; ``replace``: also where that is recorded already."""
    statement = "INSERT OR REPLACE" if replace else "INSERT OR IGNORE"
    database.execute(f"{statement} INTO image_uses (config, fetched, used) VALUES (?, ?, ?)", (image, now, now))


def _kept(database: records.Database) -> list[collection.CandidateImage]:
    rows = database.query(
        "SELECT config, group_concat(reference, char(10)) AS names, max(labels != '[]') AS owned, fetched, used"
        " FROM images JOIN image_uses USING (config) GROUP BY config"
    )
    return [
        collection.CandidateImage(
            row["config"], tuple(sorted(row["names"].split("\n"))), bool(row["owned"]), row["fetched"], row["used"]
        )
        for row in rows
    ]
