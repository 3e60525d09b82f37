"""Images by reference, ready to run: pulled, loaded, listed and removed, and never incomplete.

A reference is recorded last, when manifest, config and layers are verified and unpacked. The collector removes content
that no reference needs, unless it is on lease: whatever is being pulled, loaded or sent is.
"""

import asyncio
import dataclasses
import json
import pathlib
from collections.abc import Callable

from agent import errors
from agent.distribution.archives import archive
from agent.distribution.content import documents, store
from agent.distribution.registry import client
from agent.engine import records
from agent.engine.images import collector, fetch, index, inspection, leases, signatures, sources
from agent.engine.snapshots import overlay, snapshots
from agent.kit import clock, counts, failpoint, frozen, locks
from agent.oci import descriptor, digest, image_config, mediatypes, platform, reference
from agent.reasons import Reason

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


@frozen.value
class TransferProgress:
    """How far a pull or load has got."""

    message: str
    done: int = 0
    """Bytes transferred."""
    total: int = 0
    """Bytes to transfer."""


Report = Callable[[TransferProgress], None]


@frozen.value
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


@frozen.value
class ImageRecord:
    """A stored image as listed: whether it can be used, and what for."""

    reference: str
    id: str
    labels: Labels
    size: int
    digests: tuple[str, ...]
    """What its reference stood for when it was pulled, and the manifest for this platform; none for what was loaded."""
    verified: bool
    """It is signed, or need not be; otherwise it may not be used."""
    available: bool
    """All that a container needs of it is on the disk; a pull restores what is missing."""


@frozen.value(kw_only=True)
class Deps:
    """Collaborators of the image store."""

    database: records.Database
    content: store.ContentStore
    layers: snapshots.Snapshots
    registry: client.RegistryClient
    fetcher: fetch.Fetcher
    verifier: signatures.Verifier
    leases: leases.Leases
    collector: collector.Collector
    documents: inspection.Documents
    clock: clock.Clock


class Images:
    """All images of an instance."""

    def __init__(self, deps: Deps) -> None:
        """Store the arguments; nothing is read or created yet."""
        self._database = deps.database
        self._content = deps.content
        self._layers = deps.layers
        self._registry = deps.registry
        self._fetcher = deps.fetcher
        self._verifier = deps.verifier
        self._clock = deps.clock
        self.leases = deps.leases
        self.collector = deps.collector
        self._documents = deps.documents
        self.sources = sources.Sources(deps.database)
        self._locks = locks.KeyedLocks()

    def list(self) -> tuple[ImageRecord, ...]:
        """Return all images, sorted by reference."""
        unpacked = self._layers.present()
        rows = self._database.query("SELECT * FROM images ORDER BY reference")
        return tuple(self._record(row, unpacked) for row in rows)

    def record(self, name: str) -> ImageRecord:
        """Return one image's record. Raises ``errors.NotFound``."""
        return self._record(self._row(name), self._layers.present())

    def runnable(self, name: str) -> StoredImage:
        """Return an image to run. Raises ``errors.NotFound``, ``errors.InvalidArgument`` (``ImageUnverified``)."""
        row = self._row(name)
        self._verifier.require_verified(name, row["manifest"])
        config = image_config.parse(self._content.read(row["config"]))
        unpacked = [self._layers.find(chain_id) for chain_id in image_config.chain_ids(config.diff_ids)]
        stack = [path for path in reversed(unpacked) if path is not None]
        if len(stack) != len(unpacked):
            raise errors.NotFound(f"image {name} lacks an unpacked layer", reason=Reason.IMAGE_NOT_FOUND)
        lower = tuple(overlay.visible(stack))
        return StoredImage(name, row["config"], config, lower, _labels(row), row["size"])

    def manifest(self, name: str) -> bytes:
        """Return an image's manifest, as it is stored. Raises ``errors.NotFound``."""
        return self._content.read(self._row(name)["manifest"])

    def require_verified(self, name: str, image: str) -> None:
        """Check that an image (its id) may be used under a name. Raises ``InvalidArgument`` (``ImageUnverified``)."""
        self._verifier.require_verified(name, image)

    def tag(self, name: str, new: str, labels: Labels) -> None:
        """Record an image under another reference, replacing the image that had it.

        Raises ``errors.NotFound``, ``errors.InvalidArgument`` (``ImageUnverified``).
        """
        self._verifier.require_verified(new, self._row(name)["manifest"])
        with self._database.transaction():
            row = self._row(name)
            self._record_row(new, row["manifest"], row["config"], labels, row["size"])
            index.write(self._database, self._content)
        _RECORD.hit()

    async def pull(
        self, name: str, requested_platform: str, labels: Labels, report: Report, pinned: str = ""
    ) -> StoredImage:
        """Pull an image from its registry for a platform (``os/arch[/variant]``; empty: this host's).

        ``pinned``: the image to pull in place of what the name stands for now: ``REGISTRY/REPOSITORY[:TAG]@DIGEST``.

        Raises ``errors.Unavailable`` (``ImagePullFailed``), ``errors.NotFound`` (``ImageNotFound``),
        ``errors.InvalidArgument``.
        """
        source = reference.parse(pinned or name)
        async with self._locks.hold(name):
            repaired = await self._repair(name, documents.of_platform(requested_platform), labels, report, source)
            if repaired is not None:
                return repaired
            report(TransferProgress(f"resolving {name}"))
            fetched = await self._registry.manifest(source)

            async def remote(child: descriptor.Descriptor) -> bytes:
                return (await self._registry.manifest(dataclasses.replace(source, digest=child.digest))).data

            chosen = await documents.choose(
                fetched.data, fetched.media_type, documents.of_platform(requested_platform), remote
            )
            parsed = documents.image(chosen)
            top, own = digest.of(fetched.data), digest.of(chosen)
            blobs = (own, parsed.config.digest, *(layer.digest for layer in parsed.layers))
            try:
                async with self.leases.pulling(name, blobs) as lease:
                    image = signatures.ImageDigests(own, parsed.config.digest)
                    await self._verifier.fetch_signature(source, (top, own), image)
                    await self._config(source, parsed.config)
                    stored = await self._keep(name, chosen, labels, report, lease, source)
            finally:
                self.collector.wake()
            self._database.execute(
                "INSERT OR REPLACE INTO origins (reference, manifest, digest) VALUES (?, ?, ?)", (name, own, top)
            )
            return stored

    async def _repair(
        self,
        name: str,
        requested: platform.Platform,
        labels: Labels,
        report: Report,
        source: reference.Reference | None,
    ) -> StoredImage | None:
        """Unpack the recorded image again where its layers are missing and it is the requested one.

        Only blobs that are not in the content store are fetched from ``source``. ``None``: there is nothing to repair.
        """
        row = self._database.first("SELECT * FROM images WHERE reference = ?", (name,))
        if row is None or self._is_available(row, self._layers.present()):
            return None
        try:
            contents = self._documents.contents(row["manifest"], row["config"])
        except errors.Failure:
            return None
        own, config = row["manifest"], row["config"]
        origin = self._database.first("SELECT digest FROM origins WHERE reference = ? AND manifest = ?", (name, own))
        digests = (origin["digest"], own) if origin else (own,)
        pinned = source.digest if source is not None else None
        made_for = contents.config.platform
        suits = not made_for.architecture or platform.choose(requested, [made_for]) is not None
        if (pinned and pinned not in digests) or not suits:
            return None
        blobs = (own, config, *(layer.digest for layer in contents.manifest.layers))
        async with self.leases.pulling(name, blobs) as lease:
            if source is not None:
                await self._verifier.fetch_signature(source, digests, signatures.ImageDigests(own, config))
            return await self._keep(name, self._content.read(own), labels, report, lease, source)

    async def load(self, path: pathlib.Path, name: str, labels: Labels, report: Report) -> StoredImage:
        """Load an image from an archive and record it under ``name``, replacing the image that had it.

        Raises ``errors.NotFound`` (``ArchiveNotFound``), ``errors.InvalidArgument``, ``errors.Unavailable``
        (``DiskFull``).
        """
        async with self._locks.hold(name):
            async with self.leases.everything():
                report(TransferProgress(f"reading {path}"))
                try:
                    data = await asyncio.to_thread(archive.read, path, self._content, name)
                except errors.NotFound:
                    repaired = await self._repair_without_archive(name, report)
                    if repaired is None:
                        raise
                    return repaired
                stored = await self.keep(name, data, labels, report)
            self.collector.wake()
            return stored

    async def _repair_without_archive(self, name: str, report: Report) -> StoredImage | None:
        """Mend an image from the content store, its archive being gone; it stays what it was, and whose it was."""
        row = self._database.first("SELECT * FROM images WHERE reference = ?", (name,))
        labels = _labels(row) if row is not None else ()
        return await self._repair(name, documents.of_platform(""), labels, report, None)

    async def keep(self, name: str, data: bytes, labels: Labels, report: Report) -> StoredImage:
        """Record an image whose content is stored and on lease; of an index, the image for this host.

        Raises what ``load`` raises, and ``errors.InvalidArgument`` (``ImageUnverified``).
        """

        async def local(child: descriptor.Descriptor) -> bytes:
            return self._content.read(child.digest)

        with documents.translated(name):
            chosen = await documents.choose(data, "", documents.of_platform(""), local)
        self._verifier.require_verified(name, digest.of(chosen))
        return await self._keep(name, chosen, labels, report)

    async def remove(self, name: str) -> None:
        """Remove a reference, and the content that neither images nor containers need. Raises ``errors.NotFound``."""
        self.collector.spend_reserve()
        if not self._database.execute("DELETE FROM images WHERE reference = ?", (name,)):
            raise errors.NotFound(f"image {name} is not in the store", reason=Reason.IMAGE_NOT_FOUND)
        _REMOVE.hit()
        self.leases.forget(name)
        await self.collector.sweep()

    def recover(self, in_use: frozenset[str]) -> None:
        """Remove what a crash has left of layers, before any work begins; containers stand on those ``in_use``."""
        self._layers.collect(in_use)

    def leftovers(self) -> tuple[str, ...]:
        """Return content that no image needs, and unfinished writes. For the leak check."""
        return (*self.collector.leftovers(), *(f"snapshot {name}" for name in self._layers.strangers()))

    def _row(self, name: str) -> records.Row:
        row = self._database.first("SELECT * FROM images WHERE reference = ?", (name,))
        if row is None:
            raise errors.NotFound(f"image {name} is not in the store", reason=Reason.IMAGE_NOT_FOUND)
        return row

    def _record(self, row: records.Row, unpacked: frozenset[str]) -> ImageRecord:
        name, own = row["reference"], row["manifest"]
        origin = self._database.first("SELECT digest FROM origins WHERE reference = ? AND manifest = ?", (name, own))
        digests = tuple(sorted({origin["digest"], own})) if origin else ()
        verified = self._verifier.is_verified(name, own)
        available = self._is_available(row, unpacked)
        return ImageRecord(name, row["config"], _labels(row), row["size"], digests, verified, available)

    def _is_available(self, row: records.Row, unpacked: frozenset[str]) -> bool:
        """Return whether manifest, config and unpacked layers are in the store."""
        try:
            contents = self._documents.contents(row["manifest"], row["config"])
        except errors.Failure:
            return False
        return unpacked.issuperset(image_config.chain_ids(contents.config.diff_ids))

    async def _config(self, source: reference.Reference, config: descriptor.Descriptor) -> None:
        """Fetch an image's config unless it is stored, once however many pulls need it."""
        async with self._locks.hold(config.digest):
            if not self._documents.is_sound_config(config.digest):
                data = await self._registry.document(source, config)
                with self._content.ingest(config) as target:
                    target.write(data)

    async def _keep(
        self,
        name: str,
        data: bytes,
        labels: Labels,
        report: Report,
        lease: leases.Lease | None = None,
        source: reference.Reference | None = None,
    ) -> StoredImage:
        """Fetch and unpack missing layers, from a registry or the content store, and record the reference."""
        parsed = documents.image(data)
        stored = self._content.put(mediatypes.MANIFEST, data)
        with documents.translated(name):
            config = image_config.parse(self._content.read(parsed.config.digest))
        if len(config.diff_ids) != len(parsed.layers):
            raise errors.InvalidArgument(
                f"{name}: the config and the manifest differ in the number of layers", reason=Reason.IMAGE_REFUSED
            )
        chain_ids = image_config.chain_ids(config.diff_ids)
        if lease is not None:
            await lease.add(chain_ids)
        layers = tuple(map(fetch.Layer, parsed.layers, chain_ids, config.diff_ids))
        total = sum(blob.size for blob in parsed.layers if not self._content.has(blob.digest))
        count = 0

        def arrived(more: int) -> None:
            nonlocal count
            count += more
            report(TransferProgress(f"pulling {name}", count, total))

        report(TransferProgress(f"unpacking {counts.counted(len(layers), 'layer')} of {name}", 0, total))
        await self._fetcher.layers(layers, source, arrived)
        if source is not None:
            self.sources.note([parsed.config.digest, *(layer.digest for layer in parsed.layers)], source)
        size = stored.size + parsed.config.size + sum(layer.size for layer in parsed.layers)
        with self._database.transaction():
            collector.note_arrival(self._database, parsed.config.digest, self._clock.now(), replace=True)
            self._record_row(name, stored.digest, parsed.config.digest, labels, size)
            index.write(self._database, self._content)
        _RECORD.hit()
        return self.runnable(name)

    def _record_row(self, name: str, own: str, config: str, labels: Labels, size: int) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO images (reference, manifest, config, labels, size) VALUES (?, ?, ?, ?, ?)",
            (name, own, config, json.dumps(labels), size),
        )


def _labels(row: records.Row) -> Labels:
    return tuple((key, value) for key, value in json.loads(row["labels"]))
