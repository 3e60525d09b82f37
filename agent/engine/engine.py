"""The engine's door: opens an instance, joins its rooms, and lets go of them again. It does nothing by itself.

One process may change an instance (it holds the lock); any number may look at it beside that.
"""

import contextlib
import functools
import pathlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable

from agent import errors
from agent.distribution.content import store
from agent.distribution.layers import streams
from agent.distribution.registry import client, hosts, transport
from agent.engine import claims, layout, mending, records, recover, soundness, stamps
from agent.engine.build import builder, cache, remote_caches, running
from agent.engine.cgroups import hierarchy, tree
from agent.engine.containers import ending, launch, lifecycle, supervise, table, upkeep
from agent.engine.images import collection, collector, fetch, images, inspection, leases, renaming, signatures, transfer
from agent.engine.kernel import linux
from agent.engine.network import networks
from agent.engine.shim import oci_runtime, probing
from agent.engine.snapshots import snapshots
from agent.engine.volumes import volumes
from agent.kit import clock, counts, damage, frozen, notices, processes, tasks
from agent.reasons import Reason

_ANY_REGISTRY = hosts.Hosts()
_LEAST_SPEED = transport.LeastSpeed()
_ANY_IMAGE = signatures.Policy()
_LIMITS = streams.Limits()
_THRESHOLDS = collection.Thresholds()
Notice = supervise.Event | collector.Collected | notices.NoticeChange | networks.Broken
"""What an engine tells by itself."""
SCHEMAS = (images.SCHEMA, snapshots.SCHEMA, networks.SCHEMA, volumes.SCHEMA, table.SCHEMA, cache.SCHEMA)


@frozen.value
class Options:
    """What can be set of an engine."""

    log_size: int = 10 * 1024 * 1024
    """Bytes of a container's log file before it is rotated."""
    log_files: int = 3
    """Log files kept a container, the current one included."""
    pids: int | None = 4096
    """Processes and threads of a container that asks for no limit of its own; ``None``: any number."""
    registries: hosts.Hosts = _ANY_REGISTRY
    least_speed: transport.LeastSpeed = _LEAST_SPEED
    """How slowly a registry may give."""
    verify: signatures.Policy = _ANY_IMAGE
    """Images that must be signed."""
    limits: streams.Limits = _LIMITS
    """What a layer may be at most."""
    garbage: collection.Thresholds = _THRESHOLDS
    """When images that nobody uses are removed."""


@frozen.value(kw_only=True)
class Engine:
    """The parts of an open instance."""

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
    recovery: recover.Deps
    transfer: transfer.Transfer
    collector: collector.Collector
    registry: client.RegistryClient
    notices: notices.Register
    builder: builder.Builder


@contextlib.asynccontextmanager
async def opened(
    where: layout.Layout,
    options: Options,
    notify: Callable[[Notice], None],
    examine: Callable[[table.Table], None] = lambda _: None,
) -> AsyncIterator[Engine]:
    """Open an instance to change it: locked against others, recovered, its running containers watched.

    ``examine`` is shown all records before anything is done by them, and may raise.
    Raises ``kit.locks.LockedElsewhere`` where another process has it, ``stamps.ForeignDirectory`` where another
    instance has its root or run directory, ``errors.Unavailable`` where a program is missing. Leaving lets go of
    everything and leaves the containers running.
    """
    async with claims.held(where):
        where.prepare()
        async with _joined(where, options, notify, read_only=False) as engine:
            examine(engine.table)
            engine.volumes.check()
            await recover.recover(engine.recovery)
            await engine.builder.recover()
            async with tasks.Crew() as crew:
                tending = upkeep.Upkeep(
                    where=where,
                    containers=engine.table,
                    log_size=options.log_size,
                    log_files=options.log_files,
                    register=engine.notices,
                )
                crew.start(tending.run(), name="upkeep of containers")
                crew.start(engine.collector.run(notify), name="collection of images")
                crew.start(engine.notices.run(), name="what is not cleaned up yet")
                crew.start(engine.networks.watch(notify), name="watch of networks")
                yield engine


@contextlib.asynccontextmanager
async def looking(where: layout.Layout, options: Options) -> AsyncIterator[Engine]:
    """Open an instance to look at it, beside the process that may change it; one that is not there yet is empty.

    Raises ``stamps.ForeignDirectory``.
    """
    stamps.check(where)
    async with _joined(where, options, lambda _: None, read_only=True) as engine:
        yield engine


@contextlib.asynccontextmanager
async def _joined(
    where: layout.Layout, options: Options, notify: Callable[[Notice], None], *, read_only: bool
) -> AsyncIterator[Engine]:
    async with contextlib.AsyncExitStack() as stack:
        register = notices.Register(clock.SystemClock(), notify)
        database = _database(where, register, read_only=read_only)
        stack.callback(database.close)
        kernel = linux.LinuxKernel()
        registry = await stack.enter_async_context(client.RegistryClient(options.registries, least=options.least_speed))
        image_deps = join_images(where, options, registry, database, read_only=read_only, register=register)
        image_store = images.Images(image_deps)
        network_service = await stack.enter_async_context(networks.Networks(where, database, kernel))
        runtime = await _runtime(where, read_only=read_only)
        volume_service = volumes.Volumes(where, database)
        cleaner = ending.Cleaner(
            where=where, kernel=kernel, runtime=runtime, networks=network_service, register=register
        )
        stores = _Stores(
            kernel=kernel,
            images=image_store,
            networks=network_service,
            volumes=volume_service,
            runtime=runtime,
            cleaner=cleaner,
        )
        life = recover.epoch(where, read_only=read_only)
        supervision = supervise.Deps(
            where=where, table=table.Table(database), cleaner=cleaner, clock=image_deps.clock, epoch=life, notify=notify
        )
        supervisor = await stack.enter_async_context(supervise.Supervisor(supervision))
        launcher = _launcher(stores, supervision, options)
        containers = lifecycle.Containers(launcher, supervisor, supervision)
        yield Engine(
            where=where,
            exclusive=not read_only,
            options=options,
            clock=supervision.clock,
            images=image_store,
            networks=network_service,
            volumes=volume_service,
            table=supervision.table,
            runtime=runtime,
            supervisor=supervisor,
            containers=containers,
            recovery=_recovery(stores, supervision, containers),
            transfer=transfer.Transfer(image_store, image_deps.content, registry),
            collector=image_deps.collector,
            registry=registry,
            notices=register,
            builder=_builder(stores, supervision, image_deps, options),
        )


async def _runtime(where: layout.Layout, *, read_only: bool) -> oci_runtime.OciRuntime:
    """Return the OCI runtime: probed for, or, to look only, the one that is in use."""
    program_in_use = oci_runtime.remembered(where.run) or oci_runtime.UNKNOWN
    program = program_in_use if read_only else await probing.find(where.run, where.cgroup)
    return oci_runtime.OciRuntime(program, where.oci_runtime)


def _database(where: layout.Layout, register: notices.Register, *, read_only: bool) -> records.Database:
    """Open the records, which are mended first where they are damaged; an instance that is not there yet has none."""
    is_absent = read_only and not _is_recorded(where)
    mended = "" if read_only else _mended(where)
    database = records.Database(
        records.NOWHERE if is_absent else where.records,
        SCHEMAS,
        read_only=read_only and not is_absent,
        second_log=None if is_absent else where.second_log,
    )
    if mended:
        register.note(notices.NoticeReason.RECORDS_DAMAGED, where.records.name, mended)
    database.on_mended = functools.partial(register.note, notices.NoticeReason.RECORDS_DAMAGED, where.records.name)
    return database


@frozen.value(kw_only=True)
class _Stores:
    """What containers are made from and with."""

    kernel: linux.LinuxKernel
    images: images.Images
    networks: networks.Networks
    volumes: volumes.Volumes
    runtime: oci_runtime.OciRuntime
    cleaner: ending.Cleaner


def _launcher(stores: _Stores, supervision: supervise.Deps, options: Options) -> launch.Launcher:
    deps = launch.Deps(
        where=supervision.where,
        kernel=stores.kernel,
        images=stores.images,
        networks=stores.networks,
        volumes=stores.volumes,
        runtime=stores.runtime,
        conmon=_conmon(),
        epoch=supervision.epoch,
        log_size=options.log_size,
        pids=options.pids,
    )
    return launch.Launcher(deps, stores.cleaner)


def _builder(
    stores: _Stores, supervision: supervise.Deps, image_deps: images.Deps, options: Options
) -> builder.Builder:
    """Return what builds images: its steps run confined as containers do, and leave nothing behind."""

    async def clean(run_id: str) -> None:
        await stores.cleaner.attempt(run_id)
        if not supervision.table.living():
            tree.remove_parent(hierarchy.of_host(), supervision.where.cgroup)

    run_deps = running.Deps(
        where=supervision.where,
        kernel=stores.kernel,
        networks=stores.networks,
        runtime=stores.runtime,
        pids=options.pids,
        clean=clean,
    )
    return builder.Builder(
        builder.Deps(
            where=supervision.where,
            kernel=stores.kernel,
            content=image_deps.content,
            snapshots=image_deps.layers,
            images=stores.images,
            runner=running.Runner(run_deps),
            cache=cache.Cache(image_deps.database),
            clock=supervision.clock,
            limits=options.limits,
            remote_caches=remote_caches.RemoteCaches(
                remote_caches.Deps(
                    content=image_deps.content,
                    registry=image_deps.registry,
                    fetcher=image_deps.fetcher,
                    verifier=image_deps.verifier,
                    sources=stores.images.sources,
                )
            ),
        )
    )


def _recovery(stores: _Stores, supervision: supervise.Deps, containers: lifecycle.Containers) -> recover.Deps:
    return recover.Deps(
        where=supervision.where,
        kernel=stores.kernel,
        images=stores.images,
        networks=stores.networks,
        volumes=stores.volumes,
        containers=containers,
        cleaner=stores.cleaner,
        table=supervision.table,
    )


def join_images(
    where: layout.Layout,
    options: Options,
    registry: client.RegistryClient,
    database: records.Database,
    *,
    read_only: bool = False,
    register: notices.Register | None = None,
) -> images.Deps:
    """Return the image store's collaborators, ready to be written to unless one only looks.

    ``register``: where what cannot be cleaned up is kept; ``None``: in one of their own.
    """
    kernel, time = linux.LinuxKernel(), clock.SystemClock()
    register = register or notices.Register(time, lambda _: None)
    content, held = store.ContentStore(where.content), leases.Leases(where)
    layers = snapshots.Snapshots(where, database, kernel, register, options.limits)
    if not read_only:
        content.prepare()
        layers.prepare()
        renaming.canonicalise(database)

    def reopen() -> records.Database:
        return records.Database(where.records, SCHEMAS, second_log=where.second_log)

    documents = inspection.Documents(content)
    collected = collector.Deps(
        where=where,
        content=content,
        leases=held,
        open=reopen,
        documents=documents,
        held=table.images,
        cache=cache.Kept(where),
        clock=time,
        register=register,
    )
    return images.Deps(
        database=database,
        content=content,
        layers=layers,
        registry=registry,
        fetcher=fetch.Fetcher(
            fetch.Deps(where=where, kernel=kernel, content=content, snapshots=layers, registry=registry)
        ),
        verifier=signatures.Verifier(options.verify, registry, database),
        leases=held,
        collector=collector.Collector(collected, options.garbage),
        documents=documents,
        clock=time,
    )


def _mended(where: layout.Layout) -> str:
    """Mend the records where they are damaged, and say what was done. Raises ``errors.Unavailable``."""
    lost = ""
    if not _is_recorded(where):
        where.second_log.unlink(missing_ok=True)  # of a root that was removed with all that was in it
        lost = _lost(where)
    try:
        return mending.mend(where.records, SCHEMAS, soundness.CHECKS, where.second_log) or lost
    except (sqlite3.Error, OSError) as error:
        raise errors.Unavailable(f"cannot open the records at {where.records}: {error}") from error


def _is_recorded(where: layout.Layout) -> bool:
    """Return whether anything is recorded. The log in the run directory counts while the root holds what is in it."""
    if where.records.exists() or mending.log_of(where.records).exists():
        return True
    return where.second_log.exists() and (_count(where.containers) > 0 or _count(where.snapshots) > 0)


def _lost(where: layout.Layout) -> str:
    """Return what nobody knows any more, before it is taken away; empty where there is nothing."""
    count = max(_count(where.containers), _count(where.bundles))
    if not count:
        return ""
    damage.note(where.records, time.time())
    lost = counts.counted(count, "container")
    return (
        f"the records and all their copies were lost; {lost} that nobody knows any more: ended and taken away with what"
        " was written outside of volumes; volumes keep their data"
    )


def _count(directory: pathlib.Path) -> int:
    return sum(1 for _ in directory.iterdir()) if directory.is_dir() else 0


def _conmon() -> pathlib.Path:
    program = processes.which("conmon", ("/usr/libexec/podman",))
    if program is None:
        raise errors.Unavailable("conmon is not installed", hint="apt-get install conmon", reason=Reason.NO_CONMON)
    return program
