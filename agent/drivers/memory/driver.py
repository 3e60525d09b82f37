"""The memory runtime, put together: ``runtime.api.Runtime`` whose every part is a Python value."""

import contextlib
from collections.abc import AsyncIterator

from agent.drivers.memory import containers, stores, world
from agent.kit import clock, frozen, machine, notices
from agent.model import features, policy
from agent.runtime import api, builds

_UNSUPPORTED: features.Unsupported = (
    (features.Feature.IMAGE_CONTENT, stores.WITHOUT_CONTENT),
    (features.Feature.CONTAINER_FILES, containers.WITHOUT_FILES),
    (features.Feature.BUILDS, stores.WITHOUT_CONTENT),
)


@frozen.value
class MemoryRuntime:
    """``runtime.api.Runtime`` in RAM. ``events`` is the world itself, which is also where faults are injected."""

    features: api.Features
    images: stores.Images
    builds: builds.NoBuilds
    containers: containers.Containers
    networks: stores.Networks
    volumes: stores.Volumes
    disk: stores.Disk
    events: world.World

    async def machine(self) -> machine.Machine | None:
        """Return ``None``: what is simulated runs on none."""
        return None

    def notices(self) -> tuple[notices.Notice, ...]:
        """Return nothing: a value in RAM is gone when it is removed."""
        return ()

    def recheck(self) -> None:
        """Do nothing: the world in RAM is all that there is."""


def runtime_in(simulated: world.World) -> MemoryRuntime:
    """Return a runtime over an existing world, in which the caller may inject faults."""
    own = api.Features("memory", frozenset(policy.InPlace), _UNSUPPORTED, secrets_at_start=True, is_simulated=True)
    return MemoryRuntime(
        features=own,
        images=stores.Images(simulated),
        builds=builds.NoBuilds(own.require),
        containers=containers.Containers(simulated),
        networks=stores.Networks(simulated),
        volumes=stores.Volumes(simulated),
        disk=stores.Disk(simulated),
        events=simulated,
    )


@contextlib.asynccontextmanager
async def open_runtime() -> AsyncIterator[MemoryRuntime]:
    """Open an empty world; what is in it ends with it."""
    simulated = world.World(clock.SystemClock())
    try:
        yield runtime_in(simulated)
    finally:
        simulated.close()
