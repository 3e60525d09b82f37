"""An engine behind ``runtime.api.Runtime``: put together, and asked what it can do."""

import contextlib
import dataclasses
import pathlib
import shutil
from collections.abc import AsyncIterator

from agent.drivers.docker import (
    connection,
    containers,
    disk,
    endpoint,
    events,
    features,
    images,
    inspections,
    names,
    notes,
    stores,
)
from agent.kit import clock
from agent.runtime import api


@dataclasses.dataclass(frozen=True, slots=True)
class DockerRuntime:
    """``runtime.api.Runtime`` over the Engine API."""

    able: features.Current
    images: images.Images
    containers: containers.Containers
    networks: stores.Networks
    volumes: stores.Volumes
    disk: disk.Disk
    events: events.Events
    engine: connection.Connection

    @property
    def features(self) -> api.Features:
        """What it can do, as it said when it was last connected with."""
        return self.able.features


@dataclasses.dataclass(frozen=True, slots=True)
class Instance:
    """Whose objects these are, and where what an engine cannot keep of them is noted."""

    owner: str
    notes: pathlib.Path
    read_only: bool = False


@contextlib.asynccontextmanager
async def open_runtime(where: endpoint.Endpoint, instance: Instance) -> AsyncIterator[DockerRuntime]:
    """Connect with an engine. Raises the runtime's errors."""
    async with connection.Connection(where) as engine:
        able = features.Current(engine)
        await able.ask()
        scratch = instance.notes.with_name("archives")
        if not instance.read_only:
            shutil.rmtree(scratch, ignore_errors=True)
        table = names.Names(notes.Book(instance.notes, read_only=instance.read_only), instance.owner)
        known = inspections.Inspections(engine, table)
        yield DockerRuntime(
            able=able,
            images=images.Images(engine, table, scratch),
            containers=containers.Containers(engine, known, table, able),
            networks=stores.Networks(engine, table),
            volumes=stores.Volumes(engine, table),
            disk=disk.Disk(engine, table),
            events=events.Events(engine, known, table, able, clock.SystemClock()),
            engine=engine,
        )
