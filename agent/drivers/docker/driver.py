"""``runtime.api.Runtime`` over an engine: connects, asks for its features, and composes the roles."""

import asyncio
import contextlib
import functools
import pathlib
from collections.abc import AsyncIterator

from agent.drivers.docker import (
    builds,
    connection,
    containers,
    disk,
    endpoint,
    events,
    features,
    images,
    inspections,
    names,
    sidecar,
    stores,
)
from agent.kit import broadcast, clock, frozen, machine, notices, tasks, trees
from agent.model import hostaccess
from agent.runtime import api
from agent.runtime import events as runtime_events


@frozen.value
class DockerRuntime:
    """``runtime.api.Runtime`` over the Engine API."""

    current_features: features.EngineFeatures
    images: images.Images
    builds: builds.Builds
    containers: containers.Containers
    networks: stores.Networks
    volumes: stores.Volumes
    disk: disk.Disk
    events: events.Events
    engine: connection.Connection
    register: notices.Register
    """Notices about clean-up that failed, and state that had to be mended."""

    @property
    def features(self) -> api.Features:
        """The engine's features, as of the last connection."""
        return self.current_features.features

    async def machine(self) -> machine.Machine | None:
        """Return the size of the engine's machine, as of the last connection."""
        return await self.current_features.machine()

    def notices(self) -> tuple[notices.Notice, ...]:
        """Return notices about our own clean-up and mended state; engines report none."""
        return self.register.all()

    def recheck(self) -> None:
        """Do nothing: lists are always the engine's, and events report changes to the rest."""


@frozen.value
class Instance:
    """The owner of the objects, and where what an engine cannot keep of them is noted."""

    owner: str
    state_path: pathlib.Path
    read_only: bool = False
    access: hostaccess.HostAccess = hostaccess.UNLIMITED
    """The access to the host that containers may have; symlinks of another host are not followed."""
    pids: int | None = None
    """Limit of processes for a container that declares none; ``None``: no limit."""


@contextlib.asynccontextmanager
async def open_runtime(where: endpoint.Endpoint, instance: Instance) -> AsyncIterator[DockerRuntime]:
    """Connect with an engine. Raises the runtime's errors."""
    async with connection.Connection(where) as engine:
        current_features = features.EngineFeatures(engine)
        await current_features.ask()
        scratch = instance.state_path.with_name("archives")
        own_events = broadcast.Broadcast[runtime_events.RuntimeEvent]()
        register = notices.Register(
            clock.SystemClock(), lambda change: own_events.send(runtime_events.of_notice(change))
        )
        if not instance.read_only:
            await register.attempt(f"directory {scratch.name}", functools.partial(_remove, scratch))
        state_file = sidecar.StateFile(instance.state_path, read_only=instance.read_only)
        table = names.Names(state_file, instance.owner)
        inspection_cache = inspections.Inspections(engine, table, instance.pids)
        if state_file.mended:
            register.note(notices.NoticeReason.RECORDS_DAMAGED, instance.state_path.name, state_file.mended)
        own_builds = builds.Builds(engine=engine, state_file=state_file, scratch=scratch)
        runtime = DockerRuntime(
            current_features=current_features,
            builds=own_builds,
            images=images.Images(
                engine=engine, names=table, builds=own_builds, scratch=scratch, access=instance.access
            ),
            containers=containers.Containers(
                engine=engine,
                inspections=inspection_cache,
                names=table,
                current_features=current_features,
                access=instance.access,
                pids=instance.pids,
                register=register,
            ),
            networks=stores.Networks(engine, table),
            volumes=stores.Volumes(engine, table),
            disk=disk.Disk(engine, table),
            events=events.Events(
                engine=engine,
                inspections=inspection_cache,
                names=table,
                current_features=current_features,
                clock=clock.SystemClock(),
                own=own_events,
            ),
            engine=engine,
            register=register,
        )
        async with tasks.Crew() as crew:
            crew.start(register.run(), name="what is not cleaned up yet")
            crew.start(state_file.run(register), name="notes beside the engine")
            yield runtime


async def _remove(directory: pathlib.Path) -> None:
    """Remove temporary archives of an earlier run. Raises ``OSError``."""
    await asyncio.to_thread(trees.remove, directory)
