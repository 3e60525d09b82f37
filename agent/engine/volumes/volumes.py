"""The ``local`` volumes: a record and a directory each."""

import dataclasses
import json
import pathlib

from agent.engine import errors, layout, records
from agent.engine.volumes import seed
from agent.kit import failpoint, trees

SCHEMA = """
CREATE TABLE IF NOT EXISTS volumes (
    name TEXT PRIMARY KEY,
    labels TEXT NOT NULL,
    created_at REAL NOT NULL,
    removing INTEGER NOT NULL DEFAULT 0
);
"""

_CREATE = failpoint.register("volumes.create")
_REMOVE = failpoint.register("volumes.remove")

Labels = tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeRecord:
    """A volume."""

    name: str
    labels: Labels
    path: pathlib.Path
    """Its data, on the host."""
    created_at: float


class Volumes:
    """All volumes of an instance."""

    def __init__(self, where: layout.Layout, database: records.Database) -> None:
        """Nothing is read or made yet."""
        self._root = where.volumes
        self._database = database

    def list(self) -> tuple[VolumeRecord, ...]:
        """Give all volumes, sorted by name."""
        rows = self._database.query("SELECT * FROM volumes WHERE NOT removing ORDER BY name")
        return tuple(self._record(row) for row in rows)

    def get(self, name: str) -> VolumeRecord:
        """Give one volume. Raises ``errors.NotFound``."""
        row = self._database.first("SELECT * FROM volumes WHERE name = ? AND NOT removing", (name,))
        if row is None:
            raise errors.NotFound(f"there is no volume {name}", hint="declare it as a Volume", reason="VolumeNotFound")
        return self._record(row)

    def create(self, name: str, labels: Labels, now: float) -> VolumeRecord:
        """Make an empty volume, or give an existing one new labels; its data stays."""
        self._finish_removal(name)
        data = self._data(name)
        if not data.exists():
            data.mkdir(parents=True)
            data.chmod(0o755)  # whatever the umask is: programs of any user are to reach what is theirs in it
        _CREATE.hit()
        self._database.execute(
            "INSERT INTO volumes (name, labels, created_at) VALUES (?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET labels = excluded.labels",
            (name, json.dumps(labels), now),
        )
        return self.get(name)

    def remove(self, name: str) -> None:
        """Remove a volume and its data. Raises ``errors.NotFound``; the caller knows that nothing uses it."""
        self.get(name)
        self._database.execute("UPDATE volumes SET removing = 1 WHERE name = ?", (name,))
        _REMOVE.hit()
        self._finish_removal(name)

    def recover(self) -> None:
        """Finish removals that were cut short. Data without a record stays: it is never thrown away on doubt."""
        for row in self._database.query("SELECT name FROM volumes WHERE removing"):
            self._finish_removal(row["name"])
        for volume in self.list():
            seed.recover(volume.path)

    def _finish_removal(self, name: str) -> None:
        if self._database.first("SELECT 1 FROM volumes WHERE name = ? AND removing", (name,)):
            trees.remove(self._root / name)
            self._database.execute("DELETE FROM volumes WHERE name = ?", (name,))

    def _data(self, name: str) -> pathlib.Path:
        return self._root / name / "_data"

    def _record(self, row: records.Row) -> VolumeRecord:
        labels = tuple((key, value) for key, value in json.loads(row["labels"]))
        return VolumeRecord(row["name"], labels, self._data(row["name"]), row["created_at"])
