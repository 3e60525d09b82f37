"""The instance's volumes: a record each, and data that its driver keeps."""

import json
import pathlib
import types
from collections.abc import Mapping

from agent import errors
from agent.engine import layout, records
from agent.engine.volumes import driver, local
from agent.kit import failpoint, frozen, reserve, state_format
from agent.reasons import Reason

SCHEMA = """
CREATE TABLE IF NOT EXISTS volumes (
    name TEXT PRIMARY KEY,
    labels TEXT NOT NULL,
    created_at REAL NOT NULL,
    removing INTEGER NOT NULL DEFAULT 0,
    driver TEXT NOT NULL DEFAULT 'local'
);
"""

_CREATE = failpoint.register("volumes.create")
_REMOVE = failpoint.register("volumes.remove")

_NO_DRIVERS: Mapping[str, driver.VolumeDriver] = types.MappingProxyType({})

Labels = tuple[tuple[str, str], ...]


@frozen.value
class VolumeRecord:
    """A volume."""

    name: str
    labels: Labels
    path: pathlib.Path
    """Directory of its data on the host."""
    created_at: float
    driver: str = local.NAME
    """The name of the driver that keeps its data."""


class Volumes:
    """All volumes of an instance."""

    def __init__(
        self,
        where: layout.Layout,
        database: records.Database,
        drivers: Mapping[str, driver.VolumeDriver] = _NO_DRIVERS,
    ) -> None:
        """Store the arguments; nothing is read or created yet.

        ``drivers``: those of other kinds of volumes, by name, beside ``local``.
        """
        self._records_path = where.records
        self._drivers: Mapping[str, driver.VolumeDriver] = {local.NAME: local.LocalDriver(where.volumes), **drivers}
        self._reserve = reserve.Reserve(where.reserve)
        self._database = database

    def list(self) -> tuple[VolumeRecord, ...]:
        """Return all volumes, sorted by name."""
        rows = self._database.query("SELECT * FROM volumes WHERE NOT removing ORDER BY name")
        return tuple(self._record(row) for row in rows)

    def get(self, name: str) -> VolumeRecord:
        """Return one volume. Raises ``errors.NotFound``."""
        row = self._database.first("SELECT * FROM volumes WHERE name = ? AND NOT removing", (name,))
        if row is None:
            raise errors.NotFound(
                f"there is no volume {name}", hint="declare it as a Volume", reason=Reason.VOLUME_NOT_FOUND
            )
        return self._record(row)

    def create(self, name: str, labels: Labels, now: float, driver_name: str = local.NAME) -> VolumeRecord:
        """Create an empty volume, or set an existing one's labels; its data stays, and so does its driver."""
        self._finish_removal(name)
        row = self._database.first("SELECT driver FROM volumes WHERE name = ?", (name,))
        own = row["driver"] if row is not None else driver_name
        self._driver(name, own).create(name)
        _CREATE.hit()
        self._database.execute(
            "INSERT INTO volumes (name, labels, created_at, driver) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET labels = excluded.labels",
            (name, json.dumps(labels), now, own),
        )
        return self.get(name)

    def remove(self, name: str) -> None:
        """Remove a volume and its data. Raises ``errors.NotFound``; the caller knows that nothing uses it."""
        self.get(name)
        self._reserve.spend()
        self._database.execute("UPDATE volumes SET removing = 1 WHERE name = ?", (name,))
        _REMOVE.hit()
        self._finish_removal(name)

    def check(self) -> None:
        """Look through the records. Raises ``state_format.NewerState`` for a volume of a driver that is not known."""
        self.list()

    def recover(self) -> None:
        """Finish removals that were cut short. Data without a record stays: it is never thrown away on doubt."""
        for row in self._database.query("SELECT name FROM volumes WHERE removing"):
            self._finish_removal(row["name"])
        for volume in self.list():
            self._driver(volume.name, volume.driver).recover(volume.name)

    def _finish_removal(self, name: str) -> None:
        row = self._database.first("SELECT driver FROM volumes WHERE name = ? AND removing", (name,))
        if row is not None:
            self._driver(name, row["driver"]).remove(name)
            self._database.execute("DELETE FROM volumes WHERE name = ?", (name,))

    def _driver(self, volume: str, name: str) -> driver.VolumeDriver:
        """Return a driver. Raises ``NewerState`` where this release has none of that name."""
        try:
            return self._drivers[name]
        except KeyError as error:
            detail = f"volume {volume} has the driver {name}, which this release does not have"
            raise state_format.newer(self._records_path, detail) from error

    def _record(self, row: records.Row) -> VolumeRecord:
        labels = tuple((key, value) for key, value in json.loads(row["labels"]))
        name = row["name"]
        own = row["driver"] if "driver" in row.keys() else local.NAME  # noqa: SIM118 - a row has no `in`; read beside an earlier release
        return VolumeRecord(name, labels, self._driver(name, own).path(name), row["created_at"], own)
