"""An engine behind ``runtime.api.Runtime``: put together, and asked what it can do."""

import contextlib
import dataclasses
import pathlib
from collections.abc import AsyncIterator

from agent.drivers.docker import (
    abilities,
    connection,
    containers,
    endpoint,
    events,
    images,
    inspections,
    names,
    notes,
    stores,
)
from agent.kit import clock
from agent.model import policy
from agent.runtime import api


@dataclasses.dataclass(frozen=True, slots=True)
class DockerRuntime:
    """``runtime.api.Runtime`` over the Engine API."""

    features: api.Features
    images: images.Images
    containers: containers.Containers
    networks: stores.Networks
    volumes: stores.Volumes
    events: events.Events
    engine: connection.Connection


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
        version = await engine.version()
        table = names.Names(notes.Book(instance.notes, read_only=instance.read_only), instance.owner)
        known = inspections.Inspections(engine, table)
        able = features(version, local=where.local)
        yield DockerRuntime(
            features=able,
            images=images.Images(engine, table),
            containers=containers.Containers(engine, known, table, able),
            networks=stores.Networks(engine, table),
            volumes=stores.Volumes(engine, table),
            events=events.Events(engine, known, table, clock.SystemClock()),
            engine=engine,
        )


def features(version: connection.Json, *, local: bool) -> api.Features:
    """Say what an engine can do, by what it says of itself."""
    podman = any("podman" in str(part.get("Name", "")).lower() for part in version.get("Components") or ())
    name = "podman" if podman else "docker"
    able = {policy.InPlace.NETWORKS}
    if not podman:
        able |= {policy.InPlace.FIRST_NETWORK, policy.InPlace.RESOURCES}
    return api.Features(name, frozenset(able), abilities.lacking(name, local=local))
