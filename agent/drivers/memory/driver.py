"""The memory runtime, put together: ``runtime.api.Runtime`` whose every part is a Python value."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator

from agent.drivers.memory import containers, stores, world
from agent.kit import clock
from agent.model import abilities, policy
from agent.runtime import api

_LACKING: abilities.Lacking = ((abilities.Ability.IMAGE_CONTENT, stores.WITHOUT_CONTENT),)


@dataclasses.dataclass(frozen=True, slots=True)
class MemoryRuntime:
    """``runtime.api.Runtime`` in RAM. ``events`` is the world itself, which is also where faults are injected."""

    features: api.Features
    images: stores.Images
    containers: containers.Containers
    networks: stores.Networks
    volumes: stores.Volumes
    disk: stores.Disk
    events: world.World


def runtime_in(around: world.World) -> MemoryRuntime:
    """Give a runtime in a world that one has made, to be able to trouble it."""
    return MemoryRuntime(
        features=api.Features("memory", frozenset(policy.InPlace), _LACKING),
        images=stores.Images(around),
        containers=containers.Containers(around),
        networks=stores.Networks(around),
        volumes=stores.Volumes(around),
        disk=stores.Disk(around),
        events=around,
    )


@contextlib.asynccontextmanager
async def open_runtime() -> AsyncIterator[MemoryRuntime]:
    """Open an empty world; what is in it ends with it."""
    around = world.World(clock.SystemClock())
    try:
        yield runtime_in(around)
    finally:
        around.close()
