"""The store's table of contents, by which other tools find the images in it."""

from agent.engine import records
from agent.engine.content import store
from agent.oci import descriptor, mediatypes

_NAME = "org.opencontainers.image.ref.name"


def write(database: records.Database, content: store.ContentStore) -> None:
    """Write what the records say, inside of a transaction: whoever writes later has read later.

    An image whose manifest somebody has taken away is left out: it must not keep others from coming.
    """
    rows = database.query("SELECT reference, manifest FROM images ORDER BY reference")
    content.write_index(
        descriptor.Descriptor(
            mediatypes.MANIFEST,
            row["manifest"],
            content.path(row["manifest"]).stat().st_size,
            annotations=((_NAME, row["reference"]),),
        )
        for row in rows
        if content.has(row["manifest"])
    )
