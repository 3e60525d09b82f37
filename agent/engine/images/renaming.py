"""Migration of image names that older releases recorded to their canonical form.

A registry's name once stood as it was written (``Docker.io``, ``registry.example:443``). What was recorded so is the
same image, has the same owner, and stays verified.
"""

import json

from agent.engine import records
from agent.oci import reference


def canonicalise(database: records.Database) -> None:
    """Spell all recorded names as references are; where both spellings are there, the present one stays."""
    with database.transaction():
        for table in ("images", "origins"):
            for row in database.query(f"SELECT reference FROM {table}"):  # noqa: S608 - one of two words
                _rename(database, table, row["reference"])
        for row in database.query("SELECT DISTINCT repository FROM verified_images"):
            _move(database, row["repository"])
        for row in database.query("SELECT DISTINCT registry FROM blob_sources"):
            spelt = reference.canonical_registry(row["registry"])
            if spelt != row["registry"]:  # only hints: they are noted again
                database.execute("DELETE FROM blob_sources WHERE registry = ?", (row["registry"],))


def _rename(database: records.Database, table: str, name: str) -> None:
    spelt = reference.canonical(name)
    if spelt == name:
        return
    statement = f"UPDATE OR IGNORE {table} SET reference = ? WHERE reference = ?"  # noqa: S608 - as above
    renamed = database.execute(statement, (spelt, name))
    database.execute(f"DELETE FROM {table} WHERE reference = ?", (name,))  # noqa: S608 - as above
    if renamed and table == "images":
        row = database.first("SELECT labels FROM images WHERE reference = ?", (spelt,))
        labels = [(key, spelt if value == name else value) for key, value in json.loads(row["labels"] if row else "[]")]
        database.execute("UPDATE images SET labels = ? WHERE reference = ?", (json.dumps(labels), spelt))


def _move(database: records.Database, repository: str) -> None:
    """Spell the repository of verifications anew."""
    try:
        parsed = reference.parse(repository)
    except reference.InvalidReference:
        return
    spelt = f"{parsed.registry}/{parsed.repository}"
    if spelt != repository:
        statement = "UPDATE OR IGNORE verified_images SET repository = ? WHERE repository = ?"
        database.execute(statement, (spelt, repository))
        database.execute("DELETE FROM verified_images WHERE repository = ?", (repository,))
