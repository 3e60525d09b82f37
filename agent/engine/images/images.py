"""Images: what a reference stands for, ready to run; pulled, loaded, removed, and never half there.

A reference is recorded last, when manifest, config and layers are verified and unpacked. What no reference leads to is
removed by ``collect``, which is also what a removal ends with.
"""

import asyncio
import contextlib
import dataclasses
import json
import pathlib
import platform as machine
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from agent.engine import errors, records
from agent.engine.content import store
from agent.engine.images import archive, intake, signatures, sources
from agent.engine.registry import client
from agent.engine.snapshots import overlay, snapshots
from agent.kit import failpoint, locks
from agent.oci import descriptor, digest, document, image_config, manifest, mediatypes, platform, reference

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
SCHEMA = _TABLE + _ORIGINS + sources.SCHEMA + signatures.SCHEMA

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


class Images:
    """All images of an instance."""

    def __init__(
        self,
        database: records.Database,
        content: store.ContentStore,
        layers: snapshots.Snapshots,
        registry: client.RegistryClient,
        bringing: intake.Intake,
        verifier: signatures.Verifier,
    ) -> None:
        """Nothing is read or made yet."""
        self._database = database
        self._content = content
        self._layers = layers
        self._registry = registry
        self._intake = bringing
        self._verifier = verifier
        self.sources = sources.Sources(database)
        self._locks = locks.KeyedLocks()
        self._under_way = 0
        self._held: frozenset[str] | None = None

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
        self._database.execute(
            "INSERT OR REPLACE INTO images (reference, manifest, config, labels, size)"
            " SELECT ?, manifest, config, ?, size FROM images WHERE reference = ?",
            (new, json.dumps(labels), name),
        )
        _RECORD.hit()
        self._write_index()

    async def pull(self, name: str, wanted: str, labels: Labels, report: Report, pinned: str = "") -> StoredImage:
        """Pull an image from its registry for a platform (``os/arch[/variant]``; empty: this host's).

        ``pinned``: what is pulled, whatever the name stands for by now: ``REGISTRY/REPOSITORY[:TAG]@DIGEST``.

        Raises ``errors.Unavailable`` (``ImagePullFailed``), ``errors.NotFound`` (``ImageNotFound``),
        ``errors.Refused``.
        """
        source = reference.parse(pinned or name)
        async with self._locks.hold(name), self.at_work():
            report(Progress(f"resolving {name}"))
            fetched = await self._registry.manifest(source)

            async def remote(child: descriptor.Descriptor) -> bytes:
                return (await self._registry.manifest(dataclasses.replace(source, digest=child.digest))).data

            chosen = await _choose(fetched.data, fetched.media_type, _platform(wanted), remote)
            parsed = _image(chosen)
            top, signed = digest.of(fetched.data), signatures.Image(digest.of(chosen), parsed.config.digest)
            await self._verifier.verify(source, (top, signed.manifest), signed)
            if not self._content.has(parsed.config.digest):
                told = await self._registry.document(source, parsed.config)
                with self._content.ingest(parsed.config) as target:
                    target.write(told)
            stored = await self._keep(name, chosen, labels, report, source)
            self._database.execute(
                "INSERT OR REPLACE INTO origins (reference, manifest, digest) VALUES (?, ?, ?)",
                (name, signed.manifest, top),
            )
            return stored

    async def load(self, path: pathlib.Path, name: str, labels: Labels, report: Report) -> StoredImage:
        """Load an image from an archive and keep it under ``name``, replacing what was there.

        Raises ``errors.NotFound`` (``ArchiveNotFound``), ``errors.Refused``, ``errors.Unavailable`` (``DiskFull``).
        """
        async with self._locks.hold(name), self.at_work():
            report(Progress(f"reading {path}"))
            data = await asyncio.to_thread(archive.read, path, self._content)
            return await self.keep(name, data, labels, report)

    async def keep(self, name: str, data: bytes, labels: Labels, report: Report) -> StoredImage:
        """Keep an image whose content is in the store, of an index the one for this host; for who is ``at_work``.

        Raises what ``load`` raises, and ``errors.Refused`` (``ImageUnverified``).
        """

        async def local(child: descriptor.Descriptor) -> bytes:
            return self._content.read(child.digest)

        with _told(name):
            chosen = await _choose(data, "", _platform(""), local)
        self._verifier.allow(name, digest.of(chosen))
        return await self._keep(name, chosen, labels, report)

    def remove(self, name: str, held: frozenset[str]) -> None:
        """Drop a reference, and the content that nothing needs; ``held``: the images (ids) that containers run from.

        Raises ``errors.NotFound``.
        """
        if not self._database.execute("DELETE FROM images WHERE reference = ?", (name,)):
            raise errors.NotFound(f"image {name} is not in the store", reason="ImageNotFound")
        _REMOVE.hit()
        self.collect(held)

    def collect(self, held: frozenset[str]) -> None:
        """Remove all content that no image leads to. Put off while a pull or load is under way: it ends with one."""
        if self._under_way:
            self._held = held
            return
        self._forget_damaged()
        blobs, chains = self._needed(held)
        self._layers.retain(chains)
        self._layers.collect()
        self._database.execute("DELETE FROM origins WHERE reference NOT IN (SELECT reference FROM images)")
        for blob in self._content.digests() - blobs:
            self._content.delete(blob)
            self.sources.forget(blob)
        self._verifier.retain(blobs)
        self._write_index()

    def leftovers(self, held: frozenset[str]) -> tuple[str, ...]:
        """Name content that no image leads to, and what is half written. For the leak check."""
        blobs, _ = self._needed(held)
        found = [f"blob {blob}" for blob in sorted(self._content.digests() - blobs)]
        found += [f"ingest {name}" for name in self._content.unfinished()]
        return (*found, *(f"snapshot {name}" for name in self._layers.strangers()))

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

    def _forget_damaged(self) -> None:
        """Drop references whose manifest or config somebody has deleted: they are missing, and fetched again."""
        for row in self._database.query("SELECT reference, manifest, config FROM images"):
            if not (self._content.has(row["manifest"]) and self._content.has(row["config"])):
                self._database.execute("DELETE FROM images WHERE reference = ?", (row["reference"],))

    def _needed(self, held: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
        """Give the blobs and the chain ids that images and containers lead to."""
        blobs: set[str] = set()
        configs: set[str] = {config for config in held if self._content.has(config)}
        for row in self._database.query("SELECT manifest, config FROM images"):
            parsed = _image(self._content.read(row["manifest"]))
            blobs |= {row["manifest"], *(layer.digest for layer in parsed.layers)}
            configs.add(row["config"])
        chains = {
            chain_id
            for config in configs
            for chain_id in image_config.chain_ids(image_config.parse(self._content.read(config)).diff_ids)
        }
        return frozenset(blobs | configs), frozenset(chains)

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Put off the removal of content until the block has ended: it is being brought in, or read."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way and self._held is not None:
                held, self._held = self._held, None
                self.collect(held)

    async def _keep(
        self, name: str, data: bytes, labels: Labels, report: Report, source: reference.Reference | None = None
    ) -> StoredImage:
        """Bring in the layers that are not there, from a registry or the content store, and record the reference."""
        parsed = _image(data)
        stored = self._content.put(mediatypes.MANIFEST, data)
        with _told(name):
            config = image_config.parse(self._content.read(parsed.config.digest))
        if len(config.diff_ids) != len(parsed.layers):
            raise errors.Refused(
                f"{name}: the config and the manifest differ in the number of layers", reason="ImageRefused"
            )
        chain_ids = image_config.chain_ids(config.diff_ids)
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
        self._database.execute(
            "INSERT OR REPLACE INTO images (reference, manifest, config, labels, size) VALUES (?, ?, ?, ?, ?)",
            (name, stored.digest, parsed.config.digest, json.dumps(labels), size),
        )
        _RECORD.hit()
        self._write_index()
        return self.get(name)

    def _write_index(self) -> None:
        rows = self._database.query("SELECT reference, manifest FROM images ORDER BY reference")
        self._content.write_index(
            descriptor.Descriptor(
                mediatypes.MANIFEST,
                row["manifest"],
                self._content.path(row["manifest"]).stat().st_size,
                annotations=(("org.opencontainers.image.ref.name", row["reference"]),),
            )
            for row in rows
        )


async def _choose(
    data: bytes,
    media_type: str,
    wanted: platform.Platform,
    fetch: Callable[[descriptor.Descriptor], Awaitable[bytes]],
) -> bytes:
    """Give the manifest for a platform: the document itself, or the one that an index names for it."""
    with _told("the image"):
        parsed = manifest.parse(data, media_type)
    if isinstance(parsed, manifest.Manifest):
        return data
    index = platform.choose(wanted, [child.platform for child in parsed.manifests])
    if index is None:
        offered = ", ".join(sorted({str(child.platform) for child in parsed.manifests if child.platform})) or "nothing"
        raise errors.NotFound(
            f"the image is not made for {wanted}", hint=f"it is made for {offered}", reason="PlatformNotFound"
        )
    return await fetch(parsed.manifests[index])


def _image(data: bytes) -> manifest.Manifest:
    with _told("the image"):
        parsed = manifest.parse(data)
    if not isinstance(parsed, manifest.Manifest):
        raise errors.Refused("an index names another index where an image should be", reason="ImageRefused")
    unknown = [layer.media_type for layer in parsed.layers if layer.media_type not in mediatypes.LAYERS]
    if unknown:
        raise errors.Refused(f"the image has layers of unknown type {unknown[0][:100]!r}", reason="ImageRefused")
    return parsed


@contextlib.contextmanager
def _told(what: object) -> Iterator[None]:
    try:
        yield
    except document.Malformed as error:
        raise errors.Refused(f"{what}: {error}", reason="ImageRefused") from error


def _platform(wanted: str) -> platform.Platform:
    return platform.parse(wanted) if wanted else platform.of_machine(machine.machine())


def _labels(row: records.Row) -> Labels:
    return tuple((key, value) for key, value in json.loads(row["labels"]))
