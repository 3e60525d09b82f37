"""Every runtime, behind one harness that knows what differs: how a real process and a simulated one are made to act."""

import asyncio
import contextlib
import dataclasses
import pathlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from agent.drivers.docker import driver as docker
from agent.drivers.docker import endpoint
from agent.drivers.memory import driver as memory
from agent.drivers.memory import world as worlds
from agent.engine import recover
from agent.kit import clock
from agent.model import container, image, policy
from agent.runtime import api
from tests import builders, engines

REFERENCE = "localhost/busybox:latest"
_PATIENCE = 10.0


@dataclasses.dataclass(frozen=True, slots=True)
class Surroundings:
    """The folder and the engines that a runtime under test may use."""

    folder: pathlib.Path
    engine: Callable[[], engines.Engine]
    """Gives the engine of the parameter's name; started when it is first asked for."""


@dataclasses.dataclass(slots=True)
class Harness:
    """A runtime under test, with an image in it."""

    name: str
    runtime: api.Runtime
    archive: pathlib.Path
    world: worlds.World | None = None
    """Of the memory runtime."""
    engine: engines.Engine | None = None
    """Whose network namespace is not this one."""

    @property
    def tells_oom(self) -> bool:
        """Return whether an end for want of memory is known as one: Podman 4.3 looks elsewhere for conmon's mark."""
        return not (self.engine is not None and self.engine.is_podman_4)

    @property
    def keeps_unended_lines(self) -> bool:
        """Return whether a log's last line needs no line end: Podman 4.3 never gives one without (podman#14458)."""
        return self.name != "podman"

    def can(self, change: policy.InPlace) -> bool:
        """Return whether the runtime makes a change on a container that exists."""
        return change in self.runtime.features.in_place

    def config(
        self, name: str = "web", command: tuple[str, ...] = ("/bin/sleep", "1000"), **fields: Any
    ) -> container.ContainerConfig:
        """Return a config of a container that runs until it is stopped; ``fields`` change it."""
        return builders.config(name, image=REFERENCE, command=command, **fields)

    async def create(self, config: container.ContainerConfig, name: str = "") -> str:
        """Make a container as ours and give its id."""
        return await self.runtime.containers.create(config, name or config.name, builders.labels_for(config))

    async def running(self, config: container.ContainerConfig) -> str:
        """Make and start a container."""
        identity = await self.create(config)
        await self.runtime.containers.start(identity)
        return identity

    async def observe(self, identity: str) -> container.ObservedContainer:
        """Observe one container."""
        return next(container for container in await self.runtime.containers.list() if container.id == identity)

    async def ended(self, identity: str, code: int, *, oom_killed: bool = False) -> container.ObservedContainer:
        """Wait until a container has ended; a simulated one is told to."""
        if self.world is not None:
            self.world.end(identity, code, oom_killed=oom_killed)
        return await self.until(identity, lambda observed: observed.state is container.ContainerState.EXITED)

    async def until(
        self, identity: str, condition: Callable[[container.ObservedContainer], bool]
    ) -> container.ObservedContainer:
        """Wait until something is so of a container."""
        async with asyncio.timeout(_PATIENCE):
            while not condition(observed := await self.observe(identity)):  # noqa: ASYNC110 - observed from outside on purpose
                await asyncio.sleep(0.01)
        return observed

    def wrote(self, identity: str, *lines: str, stream: str = "stdout") -> None:
        """Make a simulated container write what the real one's command writes."""
        if self.world is not None:
            for line in lines:
                self.world.write(identity, line, stream)

    def program(self, command: str, code: int, output: bytes) -> None:
        """Define what a command of the real image does in a simulation."""
        if self.world is not None:
            self.world.program(command, lambda _: (code, output))


@contextlib.asynccontextmanager
async def _memory(archive: pathlib.Path, _: Surroundings) -> AsyncIterator[Harness]:
    around = worlds.World(clock.SystemClock())
    yield Harness("memory", memory.runtime_in(around), archive, around)
    around.close()


@contextlib.asynccontextmanager
async def _native(archive: pathlib.Path, around: Surroundings) -> AsyncIterator[Harness]:
    from agent.drivers.native import driver as native  # noqa: PLC0415 - needs root to be of use

    async with native.open_runtime(around.folder / "root", around.folder / "run") as runtime:
        yield Harness("native", runtime, archive)
        await emptied(runtime)
        assert await recover.leftovers(runtime.engine.recovery) == []


@contextlib.asynccontextmanager
async def _engine(archive: pathlib.Path, around: Surroundings) -> AsyncIterator[Harness]:
    engine = around.engine()
    where = endpoint.Endpoint(engine.flavour, engine.url)
    async with docker.open_runtime(
        where, docker.Instance(builders.OWNER, around.folder / "notes.json", pids=4096)
    ) as runtime:
        yield Harness(engine.flavour, runtime, archive, engine=engine)
        await emptied(runtime)
        assert [await role.list() for role in (runtime.containers, runtime.networks, runtime.images)] == [(), (), ()]


async def emptied(runtime: api.Runtime) -> None:
    """Remove everything."""
    for observed in await runtime.containers.list():
        await runtime.containers.remove(observed.id)
    for network in await runtime.networks.list():
        await runtime.networks.remove(network.name)
    for volume in await runtime.volumes.list():
        await runtime.volumes.remove(volume.name)
    for stored in await runtime.images.list():
        await runtime.images.remove(stored.reference)


_OPENED = {"memory": _memory, "native": _native, "docker": _engine, "podman": _engine}
_ENGINE = (pytest.mark.root, pytest.mark.engine)


@pytest.fixture(
    params=[
        "memory",
        pytest.param("native", marks=pytest.mark.root),
        pytest.param("docker", marks=_ENGINE),
        pytest.param("podman", marks=_ENGINE),
    ]
)
async def harness(
    request: pytest.FixtureRequest, busybox_archive: pathlib.Path, tmp_path: pathlib.Path
) -> AsyncIterator[Harness]:
    """A runtime with nothing in it but the image; afterwards nothing of it is left on the host."""
    around = Surroundings(tmp_path, lambda: request.getfixturevalue(f"{request.param}_engine"))
    async with _OPENED[request.param](busybox_archive, around) as opened_harness:
        source = image.ArchiveSource(str(busybox_archive), "1")
        config = image.ImageConfig("busybox", REFERENCE, source)
        await opened_harness.runtime.images.ensure(config, builders.labels_for(config), lambda _: None)
        yield opened_harness
