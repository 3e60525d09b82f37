"""Names that older versions have recorded in another spelling: the same images, owners and verifications."""

import contextlib
import json

from agent.engine import records
from agent.engine.images import images, renaming, verified

OLD, SPELT = "Registry.Example:443/team/app:1", "registry.example/team/app:1"
MANIFEST, CONFIG, OTHER = (f"sha256:{letter * 64}" for letter in "abc")


def _add(database: records.Database, name: str, manifest: str = MANIFEST) -> None:
    labels = json.dumps([["trimtab.dev/name", name], ["trimtab.dev/owner", "x"]])
    database.execute("INSERT INTO images VALUES (?, ?, ?, ?, 1)", (name, manifest, CONFIG, labels))
    database.execute("INSERT INTO origins VALUES (?, ?, ?)", (name, manifest, manifest))


def _names(database: records.Database, table: str) -> list[tuple[str, str]]:
    return [(row["reference"], row["manifest"]) for row in database.query(f"SELECT * FROM {table} ORDER BY 1")]  # noqa: S608 - one of two words


def test_canonicalise__names_in_another_spelling__are_the_same_images_of_the_same_owner(tmp_path) -> None:
    with contextlib.closing(records.Database(tmp_path / "records", [images.SCHEMA])) as database:
        _add(database, OLD)
        _add(database, "localhost/web:latest")
        verified.Verified(database).note("Registry.Example:443/team/app", MANIFEST, CONFIG, "key")
        database.execute("INSERT INTO blob_sources VALUES (?, 'Registry.Example:443', 'team/app')", (CONFIG,))
        for _ in range(2):
            renaming.canonicalise(database)
            for table in ("images", "origins"):
                assert _names(database, table) == [("localhost/web:latest", MANIFEST), (SPELT, MANIFEST)]
        row = database.first("SELECT labels FROM images WHERE reference = ?", (SPELT,))
        assert row is not None
        assert json.loads(row["labels"]) == [["trimtab.dev/name", SPELT], ["trimtab.dev/owner", "x"]]
        assert verified.Verified(database).by("registry.example/team/app", MANIFEST) == {"key"}
        assert not database.query("SELECT * FROM blob_sources")


def test_canonicalise__both_spellings_are_there__the_present_one_stays(tmp_path) -> None:
    with contextlib.closing(records.Database(tmp_path / "records", [images.SCHEMA])) as database:
        _add(database, OLD)
        _add(database, SPELT, OTHER)
        renaming.canonicalise(database)
        assert _names(database, "images") == [(SPELT, OTHER)]
