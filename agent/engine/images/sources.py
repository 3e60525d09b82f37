"""Repositories that have a blob, since it was pulled from there or pushed there: a push need not send it again."""

from collections.abc import Iterable

from agent.engine import records
from agent.oci import reference

SCHEMA = """
CREATE TABLE IF NOT EXISTS blob_sources (
    digest TEXT NOT NULL,
    registry TEXT NOT NULL,
    repository TEXT NOT NULL,
    PRIMARY KEY (digest, registry, repository)
) WITHOUT ROWID;
"""


class Sources:
    """The sources of all blobs of an instance. They are hints: a repository may have lost what it had."""

    def __init__(self, database: records.Database) -> None:
        """Store the arguments; nothing is read yet."""
        self._database = database

    def of(self, blob: str, registry: str) -> tuple[str, ...]:
        """Return the repositories of a registry that have, or had, a blob."""
        rows = self._database.query(
            "SELECT repository FROM blob_sources WHERE digest = ? AND registry = ? ORDER BY repository",
            (blob, registry),
        )
        return tuple(row["repository"] for row in rows)

    def note(self, blobs: Iterable[str], source: reference.Reference) -> None:
        """Remember where blobs are. Whoever only looks at an instance remembers nothing."""
        if self._database.read_only:
            return
        with self._database.transaction():
            for blob in blobs:
                self._database.execute(
                    "INSERT OR IGNORE INTO blob_sources (digest, registry, repository) VALUES (?, ?, ?)",
                    (blob, source.registry, source.repository),
                )

    def forget(self, blob: str) -> None:
        """Forget where a blob is: it is not in the store any more."""
        self._database.execute("DELETE FROM blob_sources WHERE digest = ?", (blob,))
