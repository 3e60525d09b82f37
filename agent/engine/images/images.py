"""Images: what a reference stands for, ready to run; pulled, loaded, removed, and never half there.

A reference is recorded last, when manifest, config and layers are verified and unpacked. What no reference leads to is
the collector's to remove, unless it is on lease: so is whatever is brought in or sent out here.
"""

import asyncio
import dataclasses
import json
import pathlib
from collections.abc import Callable

from agent.engine import errors, records
from agent.engine.content import leases, store
from agent.engine.images import archive, collector, documents, index, intake, signatures, sources
from agent.engine.registry import client
from agent.engine.snapshots import overlay, snapshots
from agent.kit import clock, failpoint, locks
from agent.oci import descriptor, digest, image_config, mediatypes, reference

_TABLE = """
CREATE TABLE IF NOT EXISTS images (
    reference TEXT PRIMARY KEY,
    manifest TEXT NOT NULL,
    config TEXT NOT NULL,
    labels TEXT NOT NULL,
    size INTEGER NOT NULL
);
"""
_ORIGINS = """
CREATE TABLE IF NOT EXISTS origins (
    reference TEXT PRIMARY KEY,
    manifest TEXT NOT NULL,
    digest TEXT NOT NULL
);
"""
"""What a reference stood for in its registry when ``manifest``, the image for this platform, was pulled."""
SCHEMA = _TABLE + _ORIGINS + sources.SCHEMA + signatures.SCHEMA + collector.SCHEMA

_RECORD = failpoint.register("images.record")
_REMOVE = failpoint.register("images.remove")

Labels = tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """How far a pull or load has got."""

    message: str
    done: int = 0
    """Bytes that have come."""
    total: int = 0
    """Bytes that have to come."""


Report = Callable[[Progress], None]


@dataclasses.dataclass(frozen=True, slots=True)
class StoredImage:
    """An image that is ready to run."""

    reference: str
    id: str
    """Digest of the image config."""
    config: image_config.ImageConfig
    lower_dirs: tuple[pathlib.Path, ...]
    """The unpacked layers, topmost first."""
    labels: Labels
    size: int
    """Bytes of manifest, config and layers as stored."""


@dataclasses.dataclass(frozen=True, slots=True)
class ImageRecord:
    """A line of the list of images."""

    reference: str
    id: str
    labels: Labels
    size: int
    digests: tuple[str, ...]
    """What its reference stood for when it was pulled, and the manifest for this platform; none for what was loaded."""
    verified: bool
    """It is signed, or need not be; what is not may not be used."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rooms:
    """What images stand on."""

    database: records.Database
    content: store.ContentStore
    layers: snapshots.Snapshots
    registry: client.RegistryClient
    intake: intake.Intake
    verifier: signatures.Verifier
    leases: leases.Leases
    collector: collector.Collector
    clock: clock.Clock


class Images:
    """All images of an instance."""

    def __init__(self, rooms: Rooms) -> None:
        """Nothing is read or made yet."""
        self._database = rooms.database
        self._content = rooms.content
        self._layers = rooms.layers
        self._registry = rooms.registry
        self._intake = rooms.intake
        self._verifier = rooms.verifier
        self._clock = rooms.clock
        self.leases = rooms.leases
        self.collector = rooms.collector
        self.sources = sources.Sources(rooms.database)
        self._locks = locks.KeyedLocks()

    def list(self) -> tuple[ImageRecord, ...]:
        """Give all images, sorted by reference."""
        return tuple(map(self._record, self._database.query("SELECT * FROM images ORDER BY reference")))

    def look(self, name: str) -> ImageRecord:
        """Give one image's line of the list. Raises ``errors.NotFound``."""
        return self._record(self._row(name))

    def get(self, name: str) -> StoredImage:
        """Give one image, to use it. Raises ``errors.NotFound``, ``errors.Refused`` (``ImageUnverified``)."""
        row = self._row(name)
        self._verifier.allow(name, row["manifest"])
        config = image_config.parse(self._content.read(row["config"]))
        found = [self._layers.find(chain_id) for chain_id in image_config.chain_ids(config.diff_ids)]
        stack = [path for path in reversed(found) if path is not None]
        if len(stack) != len(found):
            raise errors.NotFound(f"image {name} lacks an unpacked layer", reason="ImageNotFound")
        lower = tuple(overlay.visible(stack))
        return StoredImage(name, row["config"], config, lower, _labels(row), row["size"])

    def manifest(self, name: str) -> bytes:
        """Give an image's manifest, as it is stored. Raises ``errors.NotFound``."""
        return self._content.read(self._row(name)["manifest"])

    def allow(self, name: str, image: str) -> None:
        """Let an image (its id) be used by the name that it had. Raises ``errors.Refused`` (``ImageUnverified``)."""
        self._verifier.allow(name, image)

    def tag(self, name: str, new: str, labels: Labels) -> None:
        """Keep an image under one more reference, replacing what was there.

        Raises ``errors.NotFound``, ``errors.Refused`` (``ImageUnverified``).
        """
        self._verifier.allow(new, self._row(name)["manifest"])
        with self._database.transaction():
            row = self._row(name)
            self._record_row(new, row["manifest"], row["config"], labels, row["size"])
            index.write(self._database, self._content)
        _RECORD.hit()

    async def pull(self, name: str, wanted: str, labels: Labels, report: Report, pinned: str = "") -> StoredImage:
        """Pull an image from its registry for a platform (``os/arch[/variant]``; empty: this host's).

        ``pinned``: what is pulled, whatever the name stands for by now: ``REGISTRY/REPOSITORY[:TAG]@DIGEST``.

        Raises ``errors.Unavailable`` (``ImagePullFailed``), ``errors.NotFound`` (``ImageNotFound``),
        ``errors.Refused``.
        """
        source = reference.parse(pinned or name)
        async with self._locks.hold(name):
            report(Progress(f"resolving {name}"))
            fetched = await self._registry.manifest(source)

            async def remote(child: descriptor.Descriptor) -> bytes:
                return (await self._registry.manifest(dataclasses.replace(source, digest=child.digest))).data

            platform = documents.of_platform(wanted)
            chosen = await documents.choose(fetched.data, fetched.media_type, platform, remote)
            parsed = documents.image(chosen)
            top, own = digest.of(fetched.data), digest.of(chosen)
            blobs = (own, parsed.config.digest, *(layer.digest for layer in parsed.layers))
            try:
                async with self.leases.pulling(name, blobs) as lease:
                    image = signatures.Image(own, parsed.config.digest)
                    await self._verifier.verify(source, (top, own), image)
                    await self._config(source, parsed.config)
                    stored = await self._keep(name, chosen, labels, report, lease, source)
            finally:
                self.collector.wake()
            self._database.execute(
                "INSERT OR REPLACE INTO origins (reference, manifest, digest) VALUES (?, ?, ?)", (name, own, top)
            )
            return stored

    async def load(self, path: pathlib.Path, name: str, labels: Labels, report: Report) -> StoredImage:
        """Load an image from an archive and keep it under ``name``, replacing what was there.

        Raises ``errors.NotFound`` (``ArchiveNotFound``), ``errors.Refused``, ``errors.Unavailable`` (``DiskFull``).
        """
        async with self._locks.hold(name):
            async with self.leases.everything():
                report(Progress(f"reading {path}"))
                data = await asyncio.to_thread(archive.read, path, self._content)
                stored = await self.keep(name, data, labels, report)
            self.collector.wake()
            return stored

    async def keep(self, name: str, data: bytes, labels: Labels, report: Report) -> StoredImage:
        """Keep an image whose content is in the store, of an index the one for this host; for who has it on lease.

        Raises what ``load`` raises, and ``errors.Refused`` (``ImageUnverified``).
        """

        async def local(child: descriptor.Descriptor) -> bytes:
            return self._content.read(child.digest)

        with documents.told(name):
            chosen = await documents.choose(data, "", documents.of_platform(""), local)
        self._verifier.allow(name, digest.of(chosen))
        return await self._keep(name, chosen, labels, report)

    async def remove(self, name: str) -> None:
        """Drop a reference, and the content that neither images nor containers need. Raises ``errors.NotFound``."""
        if not self._database.execute("DELETE FROM images WHERE reference = ?", (name,)):
            raise errors.NotFound(f"image {name} is not in the store", reason="ImageNotFound")
        _REMOVE.hit()
        self.leases.forget(name)
        await self.collector.sweep()

    def recover(self) -> None:
        """Remove what a crash has left of layers being unpacked or removed, before any work begins."""
        self._layers.collect()

    def leftovers(self) -> tuple[str, ...]:
        """Name content that no image leads to, and what is half written. For the leak check."""
        return (*self.collector.leftovers(), *(f"snapshot {name}" for name in self._layers.strangers()))

    def _row(self, name: str) -> records.Row:
        row = self._database.first("SELECT * FROM images WHERE reference = ?", (name,))
        if row is None:
            raise errors.NotFound(f"image {name} is not in the store", reason="ImageNotFound")
        return row

    def _record(self, row: records.Row) -> ImageRecord:
        name, own = row["reference"], row["manifest"]
        origin = self._database.first("SELECT digest FROM origins WHERE reference = ? AND manifest = ?", (name, own))
        digests = tuple(sorted({origin["digest"], own})) if origin else ()
        verified = self._verifier.allows(name, own)
        return ImageRecord(name, row["config"], _labels(row), row["size"], digests, verified)

    async def _config(self, source: reference.Reference, wanted: descriptor.Descriptor) -> None:
        """Have an image's config, fetched once however many images are pulled that have it."""
        async with self._locks.hold(wanted.digest):
            if not self._content.has(wanted.digest):
                told = await self._registry.document(source, wanted)
                with self._content.ingest(wanted) as target:
                    target.write(told)

    async def _keep(
        self,
        name: str,
        data: bytes,
        labels: Labels,
        report: Report,
        lease: leases.Lease | None = None,
        source: reference.Reference | None = None,
    ) -> StoredImage:
        """Bring in the layers that are not there, from a registry or the content store, and record the reference."""
        parsed = documents.image(data)
        stored = self._content.put(mediatypes.MANIFEST, data)
        with documents.told(name):
            config = image_config.parse(self._content.read(parsed.config.digest))
        if len(config.diff_ids) != len(parsed.layers):
            raise errors.Refused(
                f"{name}: the config and the manifest differ in the number of layers", reason="ImageRefused"
            )
        chain_ids = image_config.chain_ids(config.diff_ids)
        if lease is not None:
            await lease.add(chain_ids)
        layers = tuple(map(intake.Layer, parsed.layers, chain_ids, config.diff_ids))
        total = sum(blob.size for blob in parsed.layers if not self._content.has(blob.digest))
        count = 0

        def arrived(more: int) -> None:
            nonlocal count
            count += more
            report(Progress(f"pulling {name}", count, total))

        report(Progress(f"unpacking {len(layers)} layers of {name}", 0, total))
        await self._intake.layers(layers, source, arrived)
        if source is not None:
            self.sources.note([parsed.config.digest, *(layer.digest for layer in parsed.layers)], source)
        size = stored.size + parsed.config.size + sum(layer.size for layer in parsed.layers)
        with self._database.transaction():
            collector.note_arrival(self._database, parsed.config.digest, self._clock.now(), again=True)
            self._record_row(name, stored.digest, parsed.config.digest, labels, size)
            index.write(self._database, self._content)
        _RECORD.hit()
        return self.get(name)

    def _record_row(self, name: str, own: str, config: str, labels: Labels, size: int) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO images (reference, manifest, config, labels, size) VALUES (?, ?, ?, ?, ?)",
            (name, own, config, json.dumps(labels), size),
        )


def _labels(row: records.Row) -> Labels:
    return tuple((key, value) for key, value in json.loads(row["labels"]))
