"""What is known of every container: kept in RAM, written through to the records."""

import enum
import json
import sqlite3
from collections.abc import Callable

from agent import errors
from agent.engine import records
from agent.engine.containers import names
from agent.engine.spec import container as container_spec
from agent.kit import canonical, frozen
from agent.oci import image_config
from agent.reasons import Reason

SCHEMA = names.SCHEMA


class Phase(enum.StrEnum):
    """Where a container is. ``STARTING`` and ``REMOVING`` are what a crash can leave behind, for ``recover``."""

    CREATED = "created"
    STARTING = "starting"
    RUNNING = "running"
    EXITED = "exited"
    REMOVING = "removing"


@frozen.value
class Run:
    """One run of a container: what has to be known to find its processes again."""

    epoch: str
    """The boot (more exactly: the life of the run directory) that it belongs to; the rest is void in another one."""
    pid: int
    pid_started: int | None
    monitor: int
    monitor_started: int | None
    addresses: tuple[tuple[str, container_spec.Address], ...]
    """(network, address): one or more of each network."""


@frozen.value
class ContainerRecord:
    """All that is kept of a container. Times are seconds since the epoch."""

    id: str
    name: str
    spec: container_spec.ContainerSpec
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


class Table:
    """All containers of an instance."""

    def __init__(self, database: records.Database) -> None:
        """Read all records. Raises as ``records.Database.value``."""
        self._database = database
        self._records: dict[str, ContainerRecord] = {}
        self._ids: dict[str, str] = {}
        for row in database.query("SELECT name, body FROM containers"):
            self.keep(database.value(ContainerRecord, row["body"], f"container {row['name']}"))

    def all(self) -> tuple[ContainerRecord, ...]:
        """Return all containers, sorted by name."""
        return tuple(self._records[self._ids[name]] for name in sorted(self._ids))

    def ids(self) -> frozenset[str]:
        """Return the ids of all."""
        return frozenset(self._records)

    def living(self) -> frozenset[str]:
        """Return the ids of those that run or are just being started."""
        return frozenset(
            record.id for record in self._records.values() if record.phase in {Phase.STARTING, Phase.RUNNING}
        )

    def get(self, ref: str) -> ContainerRecord:
        """Return a container by id or name. Raises ``errors.NotFound``."""
        record = self._records.get(ref) or self._records.get(self._ids.get(ref, ""))
        if record is None:
            raise names.absent(ref)
        return record

    def put(self, record: ContainerRecord) -> ContainerRecord:
        """Keep a new container or a new state of one.

        Raises ``errors.AlreadyExists`` for a taken name, ``errors.Unavailable`` (``DiskFull``).
        """
        try:
            self._database.execute(
                "INSERT INTO containers (id, name, body) VALUES (?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET name = excluded.name, body = excluded.body",
                (record.id, record.name, canonical.dumps(record).decode()),
            )
        except sqlite3.IntegrityError as error:
            raise errors.AlreadyExists(
                f"a container {record.name} is there already", reason=Reason.NAME_TAKEN
            ) from error
        self.keep(record)
        return record

    def put_if_possible(self, record: ContainerRecord) -> ContainerRecord:
        """Keep a state that must not wait for room on the disk: in RAM alone where it cannot be written."""
        try:
            return self.put(record)
        except errors.Unavailable:
            self.keep(record)
            return record

    def change(self, ref: str, how: Callable[[ContainerRecord], ContainerRecord]) -> ContainerRecord:
        """Replace a container's record by what ``how`` makes of it."""
        return self.put(how(self.get(ref)))

    def delete(self, container_id: str) -> None:
        """Forget a container."""
        self._database.execute("DELETE FROM containers WHERE id = ?", (container_id,))
        self.drop(container_id)

    def drop(self, container_id: str) -> None:
        """Forget a container whose record cannot be deleted yet."""
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


def single(database: records.Database, ref: str) -> ContainerRecord:
    """Return the record of one container by id or name, without reading the others.

    Raises ``errors.NotFound``, and as ``records.Database.value``.
    """
    row = database.first("SELECT name, body FROM containers WHERE id = ?", (names.id_of(database, ref),))
    if row is None:
        raise names.absent(ref)
    return database.value(ContainerRecord, row["body"], f"container {row['name']}")


def images(database: records.Database) -> dict[str, tuple[str, ...]]:
    """Return the ids of the images that containers were made from, as the records say, with their layers' diff ids."""
    rows = database.query(
        "SELECT json_extract(body, '$.image_id') AS image, json_extract(body, '$.image_config.diff_ids') AS layers"
        " FROM containers"
    )
    return {row["image"]: tuple(json.loads(row["layers"])) for row in rows}
