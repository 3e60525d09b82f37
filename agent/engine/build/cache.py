"""The build cache: what steps have made, by their keys, for as long as there is room for it."""

import json
from collections.abc import Iterable

from agent.engine import layout, records
from agent.engine.build import caches, spec
from agent.kit import frozen
from agent.oci import descriptor, image_config

SCHEMA = """
CREATE TABLE IF NOT EXISTS build_steps (
    key TEXT PRIMARY KEY,
    layer TEXT NOT NULL,
    below TEXT NOT NULL,
    size INTEGER NOT NULL,
    created REAL NOT NULL,
    used REAL NOT NULL
) WITHOUT ROWID;
"""
"""``layer``: diff id, digest and size of what a step has made; ``below``: the same of what it stands on, as JSON."""


@frozen.value
class Step:
    """What a step has made."""

    layer: spec.Layer
    created: float
    """When, in seconds since the epoch."""


@frozen.value
class Limits:
    """How much is kept."""

    size: int = 10 * 1024**3
    """Bytes of packed layers."""
    unused: float = 30 * 24 * 3600.0
    """Seconds for which a step is kept that no build has used."""


_LIMITS = Limits()


class Cache:
    """The steps of an instance."""

    def __init__(self, database: records.Database) -> None:
        """Nothing is read yet."""
        self._database = database

    def find(self, key: str, now: float) -> Step | None:
        """Return what a step has made, and note its use."""
        row = self._database.first("SELECT layer, created, used FROM build_steps WHERE key = ?", (key,))
        if row is None:
            return None
        if now - row["used"] > _NOTED:
            self._database.execute("UPDATE build_steps SET used = ? WHERE key = ?", (now, key))
        return Step(_layer(json.loads(row["layer"])), row["created"])

    def keep(self, key: str, step: Step, below: Iterable[spec.Layer], now: float) -> None:
        """Remember what a step has made, and is used now; its layer is kept for good."""
        layer = step.layer
        self._database.execute(
            "INSERT OR REPLACE INTO build_steps (key, layer, below, size, created, used) VALUES (?, ?, ?, ?, ?, ?)",
            (
                *(key, json.dumps(_plain(layer)), json.dumps([_plain(other) for other in below])),
                *(layer.blob.size, step.created, now),
            ),
        )


_NOTED = 3600.0
"""Seconds after which another use is noted: a build that has nothing to do writes nothing."""


@frozen.value
class Kept:
    """What the cache keeps of content, as the collector asks for it."""

    where: layout.Layout
    limits: Limits = _LIMITS

    def needed(self, database: records.Database) -> tuple[frozenset[str], frozenset[str]]:
        """Return the blobs and the chain ids that the cache keeps."""
        blobs: set[str] = set()
        chains: set[str] = set()
        for row in database.query("SELECT layer, below FROM build_steps"):
            layers = [*map(_layer, json.loads(row["below"])), _layer(json.loads(row["layer"]))]
            blobs.update(layer.blob.digest for layer in layers)
            chains.update(image_config.chain_ids(tuple(layer.diff_id for layer in layers)))
        return frozenset(blobs), frozenset(chains)

    def trim(self, database: records.Database, now: float, *, entirely: bool) -> None:
        """Forget steps that no build has used for long, and the longest unused ones where they are too many; or all."""
        size = 0
        for row in database.query("SELECT key, size, used FROM build_steps ORDER BY used DESC"):
            size += row["size"]
            if entirely or size > self.limits.size or now - row["used"] > self.limits.unused:
                database.execute("DELETE FROM build_steps WHERE key = ?", (row["key"],))

    def tidy(self, now: float, *, entirely: bool) -> None:
        """Remove folders of cache mounts that no step has used for long; or all that none uses."""
        caches.trim(self.where, now, entirely=entirely)


def _plain(layer: spec.Layer) -> list[object]:
    return [layer.diff_id, layer.blob.media_type, layer.blob.digest, layer.blob.size]


def _layer(fields: list[str]) -> spec.Layer:
    diff_id, media_type, blob, size = fields
    return spec.Layer(diff_id, descriptor.Descriptor(media_type, blob, int(size)))
