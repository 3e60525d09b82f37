"""What is known of every container: kept in RAM, written through to the records."""

import dataclasses
import enum
import json
import sqlite3
from collections.abc import Callable

import pydantic

from agent.engine import errors, records
from agent.engine.containers import spec
from agent.oci import image_config

SCHEMA = """
CREATE TABLE IF NOT EXISTS containers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL
);
"""


class Phase(enum.StrEnum):
    """Where a container is. ``STARTING`` and ``REMOVING`` are what a crash can leave behind, for ``recover``."""

    CREATED = "created"
    STARTING = "starting"
    RUNNING = "running"
    EXITED = "exited"
    REMOVING = "removing"


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One run of a container: what has to be known to find its processes again."""

    epoch: str
    """The boot (more exactly: the life of the run directory) that it belongs to; the rest is void in another one."""
    pid: int
    pid_started: int | None
    monitor: int
    monitor_started: int | None
    addresses: tuple[tuple[str, str], ...]
    """(network, IPv4 address)."""


@dataclasses.dataclass(frozen=True, slots=True)
class ContainerRecord:
    """All that is kept of a container. Times are seconds since the epoch."""

    id: str
    name: str
    spec: spec.ContainerSpec
    image_id: str
    image_config: image_config.ImageConfig
    lower_dirs: tuple[str, ...]
    """The image's unpacked layers, topmost first: a container keeps its image, wherever the reference has moved to."""
    stop_signal: str
    """As resolved from spec and image: what ``stop`` sends unless told otherwise."""
    phase: Phase
    created_at: float
    run: Run | None = None
    started_at: float | None = None
    finished_at: float | None = None
    exit_code: int | None = None
    """128 + signal where one killed it; ``None`` also where nobody saw the end: a reboot, a killed monitor."""
    oom_killed: bool = False
    stop_requested: bool = False


_BODY = pydantic.TypeAdapter(ContainerRecord)


class Table:
    """All containers of an instance."""

    def __init__(self, database: records.Database) -> None:
        """Read all records."""
        self._database = database
        self._records: dict[str, ContainerRecord] = {}
        self._ids: dict[str, str] = {}
        for row in database.query("SELECT body FROM containers"):
            self.keep(_BODY.validate_json(row["body"]))

    def all(self) -> tuple[ContainerRecord, ...]:
        """Give all containers, sorted by name."""
        return tuple(self._records[self._ids[name]] for name in sorted(self._ids))

    def ids(self) -> frozenset[str]:
        """Give the ids of all."""
        return frozenset(self._records)

    def living(self) -> frozenset[str]:
        """Give the ids of those that run or are just being started."""
        return frozenset(one.id for one in self._records.values() if one.phase in {Phase.STARTING, Phase.RUNNING})

    def get(self, ref: str) -> ContainerRecord:
        """Give a container by id or name. Raises ``errors.NotFound``."""
        record = self._records.get(ref) or self._records.get(self._ids.get(ref, ""))
        if record is None:
            raise errors.NotFound(f"there is no container {ref}", reason="ContainerNotFound")
        return record

    def put(self, record: ContainerRecord) -> ContainerRecord:
        """Keep a new container or a new state of one.

        Raises ``errors.AlreadyExists`` for a taken name, ``errors.Unavailable`` (``DiskFull``).
        """
        try:
            self._database.execute(
                "INSERT INTO containers (id, name, body) VALUES (?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET name = excluded.name, body = excluded.body",
                (record.id, record.name, _BODY.dump_json(record).decode()),
            )
        except sqlite3.IntegrityError as error:
            raise errors.AlreadyExists(f"a container {record.name} is there already", reason="NameTaken") from error
        self.keep(record)
        return record

    def change(self, ref: str, how: Callable[[ContainerRecord], ContainerRecord]) -> ContainerRecord:
        """Replace a container's record by what ``how`` makes of it."""
        return self.put(how(self.get(ref)))

    def delete(self, container_id: str) -> None:
        """Forget a container."""
        self._database.execute("DELETE FROM containers WHERE id = ?", (container_id,))
        record = self._records.pop(container_id, None)
        if record is not None:
            self._ids.pop(record.name, None)

    def keep(self, record: ContainerRecord) -> None:
        """Know a state that is not to be written, or cannot be yet."""
        before = self._records.get(record.id)
        if before is not None:
            self._ids.pop(before.name, None)
        self._records[record.id] = record
        self._ids[record.name] = record.id


def images(database: records.Database) -> dict[str, tuple[str, ...]]:
    """Give the ids of the images that containers were made from, as the records say, with their layers' diff ids."""
    found = database.query(
        "SELECT json_extract(body, '$.image_id') AS image, json_extract(body, '$.image_config.diff_ids') AS layers"
        " FROM containers"
    )
    return {row["image"]: tuple(json.loads(row["layers"])) for row in found}
