"""The content store's ``index.json``, by which other tools find the images in it."""

from agent.distribution.content import store
from agent.engine import records
from agent.oci import descriptor, mediatypes

_NAME = "org.opencontainers.image.ref.name"


def write(database: records.Database, content: store.ContentStore) -> None:
    """Write the recorded images, inside of a transaction, so that the last writer has the newest records.

    An image whose manifest is missing is left out: it must not make other pulls fail.
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
