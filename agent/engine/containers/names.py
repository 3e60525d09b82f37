"""Containers in the records: the table itself, and ids by name. The rest of a record is read by ``table``."""

from agent import errors
from agent.engine import records
from agent.reasons import Reason

SCHEMA = """
CREATE TABLE IF NOT EXISTS containers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL
);
"""


def id_of(database: records.Database, ref: str) -> str:
    """Return the id of a container, by id or name. Raises ``errors.NotFound``."""
    query = "SELECT id FROM containers WHERE id = ? OR name = ? ORDER BY id = ? DESC"
    row = database.first(query, (ref, ref, ref))
    if row is None:
        raise absent(ref)
    return str(row["id"])


def absent(ref: str) -> errors.NotFound:
    """Return the error of a container that is not there."""
    return errors.NotFound(f"there is no container {ref}", reason=Reason.CONTAINER_NOT_FOUND)
