"""The engine's door: opens an instance, joins its rooms, and lets go of them again. It does nothing by itself.

One process may change an instance (it holds the lock); any number may look at it beside that.
"""

import asyncio
import contextlib
import dataclasses
import pathlib
from collections.abc import AsyncIterator, Callable

from agent.engine import errors, layout, records, recover
from agent.engine.containers import ending, launch, lifecycle, supervise, table, upkeep
from agent.engine.content import leases, store
from agent.engine.images import collection, collector, images, intake, shipping, signatures
from agent.engine.kernel import linux
from agent.engine.layers import streams
from agent.engine.network import networks
from agent.engine.registry import client, hosts
from agent.engine.shim import oci_runtime, probing
from agent.engine.snapshots import snapshots
from agent.engine.volumes import volumes
from agent.kit import clock, locks, processes, tasks

_ANY_REGISTRY = hosts.Hosts()
_LIMITS = streams.Limits()
_THRESHOLDS = collection.Thresholds()
_UNASKED = oci_runtime.Program(pathlib.Path("runc"))
"""For those who only look at an instance that never ran anything."""
Notice = supervise.Event | collector.Collected
"""What an engine tells by itself."""
SCHEMAS = (images.SCHEMA, snapshots.SCHEMA, networks.SCHEMA, volumes.SCHEMA, table.SCHEMA)


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """What can be set of an engine."""

    log_size: int = 10 * 1024 * 1024
    """Bytes of a container's log file before it is rotated."""
    log_files: int = 3
    """Log files kept a container, the current one included."""
    registries: hosts.Hosts = _ANY_REGISTRY
    verify: tuple[signatures.Rule, ...] = ()
    """Images that must be signed."""
    limits: streams.Limits = _LIMITS
    """What a layer may be at most."""
    garbage: collection.Thresholds = _THRESHOLDS
    """When images that nobody uses are removed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Engine:
    """The rooms of an open instance."""

    where: layout.Layout
    exclusive: bool
    """This process may change things, and hears of every end at once."""
    options: Options
    clock: clock.Clock
    images: images.Images
    networks: networks.Networks
    volumes: volumes.Volumes
    table: table.Table
    runtime: oci_runtime.OciRuntime
    supervisor: supervise.Supervisor
    containers: lifecycle.Containers
    recovery: recover.Rooms
    shipping: shipping.Shipping
    collector: collector.Collector
    registry: client.RegistryClient


@contextlib.asynccontextmanager
async def opened(where: layout.Layout, options: Options, notify: Callable[[Notice], None]) -> AsyncIterator[Engine]:
    """Open an instance to change it: locked against others, recovered, its running containers watched.

    Raises ``kit.locks.LockedElsewhere`` where another process has it, ``errors.Unavailable`` where a program is
    missing. Leaving lets go of everything and leaves the containers running.
    """
    where.prepare()
    lock = locks.FileLock(where.lock).acquire()
    try:
        async with _joined(where, options, notify, read_only=False) as engine:
            await recover.recover(engine.recovery)
            async with tasks.Crew(_broken) as crew:
                tending = upkeep.Upkeep(where, engine.table, options.log_size, options.log_files)
                crew.start(tending.run(), name="upkeep of containers")
                crew.start(engine.collector.run(notify), name="collection of images")
                yield engine
    finally:
        lock.release()


@contextlib.asynccontextmanager
async def looking(where: layout.Layout, options: Options) -> AsyncIterator[Engine]:
    """Open an instance to look at it, beside the process that may change it; one that is not there yet is empty."""
    async with _joined(where, options, lambda _: None, read_only=True) as engine:
        yield engine


@contextlib.asynccontextmanager
async def _joined(
    where: layout.Layout, options: Options, notify: Callable[[Notice], None], *, read_only: bool
) -> AsyncIterator[Engine]:
    async with contextlib.AsyncExitStack() as stack:
        absent = read_only and not where.records.exists()
        path = records.NOWHERE if absent else where.records
        database = records.Database(path, SCHEMAS, read_only=read_only and not absent)
        stack.callback(database.close)
        kernel = linux.LinuxKernel()
        registry = await stack.enter_async_context(client.RegistryClient(options.registries))
        rooms = join_images(where, options, registry, database, read_only=read_only)
        pictures = images.Images(rooms)
        connections = await stack.enter_async_context(networks.Networks(where, database, kernel))
        known = probing.remembered(where.run) or _UNASKED
        program = known if read_only else await probing.find(where.run, where.cgroup)
        runtime = oci_runtime.OciRuntime(program, where.oci_runtime)
        data = volumes.Volumes(where, database)
        cleaner = ending.Cleaner(where, kernel, runtime, connections)
        life = recover.epoch(where, read_only=read_only)
        around = supervise.Surroundings(where, table.Table(database), cleaner, rooms.clock, life, notify)
        supervisor = await stack.enter_async_context(supervise.Supervisor(around))
        launching = launch.Rooms(
            where, kernel, pictures, connections, data, runtime, _conmon(), around.epoch, options.log_size
        )
        containers = lifecycle.Containers(launch.Launcher(launching, cleaner), supervisor, around)
        recovery = recover.Rooms(where, kernel, pictures, connections, data, containers, cleaner, around.table)
        yield Engine(
            where,
            not read_only,
            options,
            around.clock,
            pictures,
            connections,
            data,
            around.table,
            runtime,
            supervisor,
            containers,
            recovery,
            shipping.Shipping(pictures, rooms.content, registry),
            rooms.collector,
            registry,
        )


def join_images(
    where: layout.Layout,
    options: Options,
    registry: client.RegistryClient,
    database: records.Database,
    *,
    read_only: bool = False,
) -> images.Rooms:
    """Join what images stand on, ready to be written to unless one only looks."""
    kernel, time = linux.LinuxKernel(), clock.SystemClock()
    content, held = store.ContentStore(where), leases.Leases(where)
    layers = snapshots.Snapshots(where, database, kernel, options.limits)
    if not read_only:
        content.prepare()
        layers.prepare()

    def again() -> records.Database:
        return records.Database(where.records, SCHEMAS)

    around = collector.Rooms(where, content, held, again, table.images, time)
    return images.Rooms(
        database=database,
        content=content,
        layers=layers,
        registry=registry,
        intake=intake.Intake(intake.Rooms(where, kernel, content, layers, registry)),
        verifier=signatures.Verifier(options.verify, registry, database),
        leases=held,
        collector=collector.Collector(around, options.garbage),
        clock=time,
    )


def _broken(task: str, failure: BaseException) -> None:
    """Tell of a task that must not fail, by the loop's own way of telling what nobody waits for."""
    asyncio.get_running_loop().call_exception_handler({"message": f"{task} has failed", "exception": failure})


def _conmon() -> pathlib.Path:
    program = processes.which("conmon", ("/usr/libexec/podman",))
    if program is None:
        raise errors.Unavailable("conmon is not installed", hint="apt-get install conmon", reason="NoConmon")
    return program
