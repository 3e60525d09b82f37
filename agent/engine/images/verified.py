"""Records of verified images, by repository and key, so that a verified image can be used without its registry."""

from collections.abc import Iterable

from agent.engine import records

SCHEMA = """
CREATE TABLE IF NOT EXISTS verified_images (
    repository TEXT NOT NULL,
    manifest TEXT NOT NULL,
    config TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (repository, manifest, key)
) WITHOUT ROWID;
"""


class Verified:
    """All verifications of an instance. One stands as long as its key is among those that count."""

    def __init__(self, database: records.Database) -> None:
        """Store the arguments; nothing is read yet."""
        self._database = database

    def by(self, repository: str, image: str) -> frozenset[str]:
        """Return the fingerprints of the keys that have signed an image, by the digest of its manifest or its config.

        A config names all that is in an image, so that whoever has signed the manifest has signed it too.
        """
        if self._database.read_only and not self._database.query(_TABLE_EXISTS):
            return frozenset()  # a reader does not create a table that an older agent lacks
        rows = self._database.query(
            "SELECT key FROM verified_images WHERE repository = ? AND ? IN (manifest, config)", (repository, image)
        )
        return frozenset(row["key"] for row in rows)

    def note(self, repository: str, manifest: str, config: str, key: str) -> None:
        """Remember that an image is signed by a key. Whoever only looks at an instance remembers nothing."""
        if not self._database.read_only:
            self._database.execute(
                "INSERT OR REPLACE INTO verified_images (repository, manifest, config, key) VALUES (?, ?, ?, ?)",
                (repository, manifest, config, key),
            )

    def retain(self, configs: Iterable[str]) -> None:
        """Forget all images but those with these configs: the others are not in the store any more."""
        kept = frozenset(configs)
        for row in self._database.query("SELECT DISTINCT config FROM verified_images"):
            if row["config"] not in kept:
                self._database.execute("DELETE FROM verified_images WHERE config = ?", (row["config"],))


_TABLE_EXISTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'verified_images'"
