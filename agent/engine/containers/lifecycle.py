"""What callers do with containers: create, start, stop, remove and change them, each call whole or not at all.

Calls on one container are made one after the other; on different ones they run side by side.
"""

import asyncio
import contextlib
import dataclasses
import functools
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Iterator

from agent import errors
from agent.engine.bundle import config, identity
from agent.engine.cgroups import hierarchy, limits, tree
from agent.engine.containers import binds, copying, halted, launch, supervise, table
from agent.engine.spec import container as container_spec
from agent.kit import failpoint, locks, reserve, tasks, trees
from agent.oci import image_config
from agent.reasons import Reason

_CREATE = failpoint.register("containers.create")
_STARTING = failpoint.register("containers.start")
_STARTED = failpoint.register("containers.started")
_STOP = failpoint.register("containers.stop")
_UPDATE = failpoint.register("containers.update")
_REMOVE = failpoint.register("containers.remove")
_DISCARD = failpoint.register("containers.discard")


class Containers:
    """All containers of an instance, as the one process sees them that may change them."""

    def __init__(self, launcher: launch.Launcher, supervisor: supervise.Supervisor, deps: supervise.Deps) -> None:
        """Nothing is started or watched yet."""
        self._launcher = launcher
        self._launch = launcher.deps
        self._supervisor = supervisor
        self._deps = deps
        self._table = deps.table
        self._locks = locks.KeyedLocks()
        self.copying = copying.Deps(where=deps.where, volume=lambda name: launcher.deps.volumes.get(name).path)
        """How trees of containers are got at, by anybody who only looks too."""

    def list(self) -> tuple[table.ContainerRecord, ...]:
        """Return all containers, sorted by name."""
        return tuple(record for record in self._table.all() if record.phase is not table.Phase.REMOVING)

    def get(self, ref: str) -> table.ContainerRecord:
        """Return one container by id or name. Raises ``errors.NotFound``."""
        return self._table.get(ref)

    async def create(self, name: str, requested: container_spec.ContainerSpec) -> table.ContainerRecord:
        """Make a container: a record, checked against image, volumes and bind sources; nothing on the host yet.

        Raises ``errors.AlreadyExists``, ``errors.NotFound`` (image, volume), ``errors.InvalidArgument`` (an image that
        is not verified) and ``errors.Unavailable`` (bind source).
        """
        self._launch.images.runnable(requested.image)
        await self._launcher.check(requested)
        image = self._launch.images.runnable(requested.image)  # which may have changed meanwhile
        record = table.ContainerRecord(
            id=secrets.token_hex(16),
            name=name,
            spec=requested,
            image_id=image.id,
            lower_dirs=tuple(str(path) for path in image.lower_dirs),
            image_config=image.config,
            stop_signal=_stop_signal(requested, image.config),
            phase=table.Phase.CREATED,
            created_at=self._deps.clock.now(),
        )
        self._table.put(record)
        _CREATE.hit()
        self._tell(record, "created")
        return record

    async def start(self, ref: str, sources: binds.Sources | None = None, env: config.Variables = ()) -> None:
        """Start a container; one that runs is left alone. ``sources``: what its binds have to be; ``None``: anything.

        ``env`` has the variables that its ``Process.env_at_start`` names.

        Raises what ``launch.Launcher.launch`` raises, and ``errors.InvalidArgument`` for an image that is not verified.
        """
        async with self._exclusively(ref) as record:
            if record.phase is table.Phase.RUNNING:
                return
            self._launch.images.require_verified(record.spec.image, record.image_id)
            await self._supervisor.settled(record.id)
            self._table.put(dataclasses.replace(record, phase=table.Phase.STARTING))
            _STARTING.hit()
            run: table.Run | None = None
            try:
                run = await self._launcher.launch(record, sources, env)
                self._started(record, run)
            except BaseException:
                if run is not None:  # it could not be recorded: a full disk
                    await self._launcher.cleaner.attempt(record.id)
                self._table.put(record)
                raise

    async def stop(self, ref: str, signal: str, grace: float) -> None:
        """Ask a container to end (empty ``signal``: its own), kill it after ``grace`` seconds, wait for its end."""
        async with self._exclusively(ref) as record:
            if record.phase is not table.Phase.RUNNING:
                return
            supervise.signal_number(signal or record.stop_signal)
            self._free_space(record.id)
            self._table.put_if_possible(dataclasses.replace(record, stop_requested=True))
            _STOP.hit()
            halted.resume(hierarchy.of_host(), [halted.candidate(record, self._deps.where.cgroup)])
            self._supervisor.send(record, signal or record.stop_signal)
            if not await self._supervisor.ended_within(record.id, grace):
                await self._supervisor.kill(record)

    def kill(self, ref: str, signal: str) -> None:
        """Send a signal to a container's first process. Raises ``errors.Conflict`` where it does not run."""
        self._supervisor.send(self._running(ref), signal)

    async def wait(self, ref: str) -> int | None:
        """Wait until a container's present run has ended, and return its exit code; ``None``: nobody saw the end.

        Raises ``errors.NotFound``, and ``errors.Conflict`` where it has never run.
        """
        record = self._table.get(ref)
        if record.phase is table.Phase.RUNNING:
            return await self._supervisor.exit_code(record)
        if record.started_at is None:
            raise errors.Conflict(f"container {record.name} has never run", reason=Reason.NOT_RUNNING)
        return record.exit_code

    async def copy_in(self, ref: str, path: str, archive: AsyncIterable[bytes]) -> None:
        """Unpack an archive in a container; one that does not run cannot start meanwhile."""
        record = self._table.get(ref)
        if record.phase is table.Phase.RUNNING:
            await copying.into(self.copying, record, path, archive)
            return
        async with self._exclusively(ref) as record:
            await self._supervisor.settled(record.id)
            await copying.into(self.copying, record, path, archive)

    async def remove(self, ref: str) -> None:
        """Remove a container with its writable layer and log, killing it where it runs. Raises ``errors.NotFound``."""
        async with self._exclusively(ref) as record:
            self._free_space(record.id)
            if record.phase is table.Phase.RUNNING:
                await self._supervisor.kill(record)
            await self._supervisor.settled(record.id)
            removing = dataclasses.replace(self._table.get(record.id), phase=table.Phase.REMOVING, name=record.id)
            self._table.put_if_possible(removing)  # its name is free at once, whatever becomes of the rest
            _REMOVE.hit()
            await self._discard(removing)
            self._tell(record, "removed")

    async def rename(self, ref: str, name: str) -> None:
        """Rename a container, in DNS too. Raises ``errors.AlreadyExists``."""
        async with self._exclusively(ref) as record:
            renamed = self._table.put(dataclasses.replace(record, name=name))
            if record.phase is table.Phase.RUNNING:
                await self._launch.networks.rename(record.id, name)
            self._tell(renamed, "changed")

    async def update(self, ref: str, requested: container_spec.ContainerSpec) -> None:
        """Take over limits, labels, annotations and stop signal of another spec; limits at once where it runs."""
        async with self._exclusively(ref) as record:
            stop_signal = _stop_signal(requested, record.image_config)
            if record.phase is table.Phase.RUNNING:
                self._limit(record, requested.limits)
            _UPDATE.hit()
            fields = ("limits", "labels", "annotations", "stop_signal")
            spec = dataclasses.replace(record.spec, **{name: getattr(requested, name) for name in fields})
            changed = self._table.change(
                record.id, lambda now: dataclasses.replace(now, spec=spec, stop_signal=stop_signal)
            )
            self._tell(changed, "changed")

    async def connect(self, ref: str, attachment: container_spec.Attachment) -> None:
        """Attach a container to one more network, or change its place there."""
        async with self._exclusively(ref) as record:
            await self._detach(record, attachment.network)
            try:
                addresses = await self._attach(record, attachment)
            except BaseException:
                self._reattached(record, attachment.network, None, ())
                raise
            self._reattached(record, attachment.network, attachment, addresses)

    async def disconnect(self, ref: str, network: str) -> None:
        """Detach a container from a network; one that is not attached is left alone."""
        async with self._exclusively(ref) as record:
            await self._detach(record, network)
            self._reattached(record, network, None, ())

    async def resume_halted(self) -> None:
        """Let go on what somebody has halted: stopped monitors and frozen containers."""
        running = [halted.candidate(record, self._deps.where.cgroup) for record in self._table.all()]
        resumed = await tasks.in_thread(lambda: halted.resume(hierarchy.of_host(), running))
        for container_id in resumed:
            with contextlib.suppress(errors.NotFound):
                self._tell(self._table.get(container_id), "changed")

    async def recover(self) -> None:
        """Take every record to where it can stay: finish or undo what a crash cut short, watch what runs."""
        await tasks.together("recover", *(self._recover(record) for record in self._table.all()))

    async def _recover(self, record: table.ContainerRecord) -> None:
        await self._supervisor.recover(record)
        if record.phase is table.Phase.REMOVING:
            try:
                await self._discard(record)
            except (OSError, errors.Failure) as error:
                retry = functools.partial(self._discard, record)
                self._deps.cleaner.register.failed(f"files of container {record.id}", error, retry)

    async def _discard(self, record: table.ContainerRecord) -> None:
        """Take away what outlives a run, the record last. Raises ``OSError``."""
        own = self._launch.where.containers / record.id
        if own.exists():
            await asyncio.to_thread(trees.remove, own)
        _DISCARD.hit()
        self._forget(record.id)
        if not self._table.living():
            tree.remove_parent(hierarchy.of_host(), self._deps.where.cgroup)

    def _forget(self, container_id: str) -> None:
        """Drop a record; where not even that can be written, it is dropped once it can."""
        try:
            self._table.delete(container_id)
        except errors.Unavailable as error:
            self._table.drop(container_id)

            async def retry() -> None:
                self._table.delete(container_id)

            self._deps.cleaner.register.failed(f"record of container {container_id}", error, retry)

    def _free_space(self, container_id: str) -> None:
        """Let a container end and go also where the disk is full: what it leaves is what will free it."""
        reserve.Reserve(self._deps.where.reserve).spend()
        self._supervisor.hurry(container_id)

    @contextlib.asynccontextmanager
    async def _exclusively(self, ref: str) -> AsyncIterator[table.ContainerRecord]:
        container_id = self._table.get(ref).id
        async with self._locks.hold(container_id):
            yield self._table.get(container_id)

    def _running(self, ref: str) -> table.ContainerRecord:
        record = self._table.get(ref)
        if record.phase is not table.Phase.RUNNING:
            raise errors.Conflict(f"container {record.name} does not run", reason=Reason.NOT_RUNNING)
        return record

    def _started(self, record: table.ContainerRecord, run: table.Run) -> None:
        started = dataclasses.replace(
            record,
            phase=table.Phase.RUNNING,
            run=run,
            started_at=self._deps.clock.now(),
            finished_at=None,
            exit_code=None,
            oom_killed=False,
            stop_requested=False,
        )
        self._table.put(started)
        _STARTED.hit()
        self._supervisor.follow(started, run)
        self._tell(started, "started")

    async def _attach(
        self, record: table.ContainerRecord, attachment: container_spec.Attachment
    ) -> tuple[container_spec.Address, ...]:
        if record.phase is not table.Phase.RUNNING:
            return ()
        with self._resolvers_followed(record):
            return await self._launch.networks.connect(record.id, record.name, attachment)

    async def _detach(self, record: table.ContainerRecord, network: str) -> None:
        if record.phase is table.Phase.RUNNING:
            with self._resolvers_followed(record):
                await self._launch.networks.disconnect(record.id, network)

    @contextlib.contextmanager
    def _resolvers_followed(self, record: table.ContainerRecord) -> Iterator[None]:
        """Let a running container ask the servers of the networks that it is in afterwards."""
        before = self._launch.networks.nameservers(record.id)
        yield
        after = self._launch.networks.nameservers(record.id)
        identity.follow(self._launch.where.identity(record.id) / "resolv.conf", before, after)

    def _reattached(
        self,
        record: table.ContainerRecord,
        network: str,
        attachment: container_spec.Attachment | None,
        addresses: tuple[container_spec.Address, ...],
    ) -> None:
        kept = tuple(other for other in record.spec.attachments if other.network != network)
        attachments = tuple(sorted((*kept, *([attachment] if attachment else [])), key=lambda item: item.network))

        def change(now: table.ContainerRecord) -> table.ContainerRecord:
            run = now.run
            if run is not None:
                others = tuple(pair for pair in run.addresses if pair[0] != network)
                run = dataclasses.replace(run, addresses=(*others, *((network, address) for address in addresses)))
            return dataclasses.replace(now, run=run, spec=dataclasses.replace(now.spec, attachments=attachments))

        self._tell(self._table.change(record.id, change), "changed")

    def _limit(self, record: table.ContainerRecord, requested: container_spec.Limits) -> None:
        in_force = dataclasses.replace(requested, pids=requested.pids or self._launch.pids)
        try:
            limits.apply(hierarchy.of_host(), f"{self._deps.where.cgroup}/{record.id}", in_force)
        except OSError as error:
            raise errors.Conflict(
                f"the limits of {record.name} cannot be changed: {error}",
                hint="a limit cannot be below what is in use",
                reason=Reason.UPDATE_FAILED,
            ) from error

    def _tell(self, record: table.ContainerRecord, action: str) -> None:
        self._deps.notify(supervise.Event(record.id, record.name, action, self._deps.clock.now()))


def _stop_signal(requested: container_spec.ContainerSpec, image: image_config.ImageConfig) -> str:
    """Return the signal that asks a container to end. Raises ``errors.InvalidArgument`` for one that there is not."""
    signal = requested.stop_signal or image.stop_signal or "SIGTERM"
    supervise.signal_number(signal)
    return signal
