"""What callers do with containers: create, start, stop, remove and change them, each call whole or not at all.

Calls on one container are made one after the other; on different ones they run side by side.
"""

import asyncio
import contextlib
import dataclasses
import secrets
from collections.abc import AsyncIterator

from agent.engine import errors
from agent.engine.cgroups import hierarchy, limits, tree
from agent.engine.containers import launch, spec, supervise, table
from agent.kit import failpoint, locks, tasks, trees

_CREATE = failpoint.register("containers.create")
_STARTING = failpoint.register("containers.start")
_STARTED = failpoint.register("containers.started")
_STOP = failpoint.register("containers.stop")
_UPDATE = failpoint.register("containers.update")
_REMOVE = failpoint.register("containers.remove")
_DISCARD = failpoint.register("containers.discard")


class Containers:
    """All containers of an instance, as the one process sees them that may change them."""

    def __init__(
        self, launcher: launch.Launcher, supervisor: supervise.Supervisor, around: supervise.Surroundings
    ) -> None:
        """Nothing is started or watched yet."""
        self._launcher = launcher
        self._rooms = launcher.rooms
        self._supervisor = supervisor
        self._around = around
        self._table = around.table
        self._locks = locks.KeyedLocks()

    def list(self) -> tuple[table.ContainerRecord, ...]:
        """Give all containers, sorted by name."""
        return tuple(record for record in self._table.all() if record.phase is not table.Phase.REMOVING)

    def get(self, ref: str) -> table.ContainerRecord:
        """Give one container by id or name. Raises ``errors.NotFound``."""
        return self._table.get(ref)

    def create(self, name: str, wanted: spec.ContainerSpec) -> table.ContainerRecord:
        """Make a container: a record, checked against image, volumes and bind sources; nothing on the host yet.

        Raises ``errors.AlreadyExists``, ``errors.NotFound`` (image, volume), ``errors.Refused`` (an image that is not
        verified) and ``errors.Unavailable`` (bind source).
        """
        image = self._rooms.images.get(wanted.image)
        self._launcher.check(wanted)
        record = table.ContainerRecord(
            id=secrets.token_hex(16),
            name=name,
            spec=wanted,
            image_id=image.id,
            lower_dirs=tuple(str(path) for path in image.lower_dirs),
            image_config=image.config,
            stop_signal=wanted.stop_signal or image.config.stop_signal or "SIGTERM",
            phase=table.Phase.CREATED,
            created_at=self._around.clock.now(),
        )
        supervise.signal_number(record.stop_signal)
        self._table.put(record)
        _CREATE.hit()
        self._tell(record, "created")
        return record

    async def start(self, ref: str) -> None:
        """Start a container; one that runs is left alone.

        Raises what ``launch.Launcher.launch`` raises, and ``errors.Refused`` for an image that is not verified.
        """
        async with self._exclusively(ref) as record:
            if record.phase is table.Phase.RUNNING:
                return
            self._rooms.images.allow(record.spec.image, record.image_id)
            await self._supervisor.settled(record.id)
            self._table.put(dataclasses.replace(record, phase=table.Phase.STARTING))
            _STARTING.hit()
            run: table.Run | None = None
            try:
                run = await self._launcher.launch(record)
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
            self._table.put(dataclasses.replace(record, stop_requested=True))
            _STOP.hit()
            self._supervisor.send(record, signal or record.stop_signal)
            if not await self._supervisor.ended_within(record.id, grace):
                await self._supervisor.kill(record)

    def kill(self, ref: str, signal: str) -> None:
        """Send a signal to a container's first process. Raises ``errors.Conflict`` where it does not run."""
        self._supervisor.send(self._running(ref), signal)

    async def remove(self, ref: str) -> None:
        """Remove a container with its writable layer and log, killing it where it runs. Raises ``errors.NotFound``."""
        async with self._exclusively(ref) as record:
            if record.phase is table.Phase.RUNNING:
                await self._supervisor.kill(record)
            await self._supervisor.settled(record.id)
            removing = dataclasses.replace(self._table.get(record.id), phase=table.Phase.REMOVING, name=record.id)
            self._table.put(removing)  # its name is free at once, whatever becomes of the rest
            _REMOVE.hit()
            await self._discard(removing)
            self._tell(record, "removed")

    async def rename(self, ref: str, name: str) -> None:
        """Give a container another name, in DNS too. Raises ``errors.AlreadyExists``."""
        async with self._exclusively(ref) as record:
            renamed = self._table.put(dataclasses.replace(record, name=name))
            if record.phase is table.Phase.RUNNING:
                await self._rooms.networks.rename(record.id, name)
            self._tell(renamed, "changed")

    async def update(self, ref: str, wanted: spec.ContainerSpec) -> None:
        """Take over limits and labels of another spec; limits at once where it runs."""
        async with self._exclusively(ref) as record:
            if record.phase is table.Phase.RUNNING:
                self._limit(record, wanted.limits)
            _UPDATE.hit()
            changed = dataclasses.replace(record.spec, limits=wanted.limits, labels=wanted.labels)
            self._tell(self._table.change(record.id, lambda now: dataclasses.replace(now, spec=changed)), "changed")

    async def connect(self, ref: str, attachment: spec.Attachment) -> None:
        """Attach a container to one more network, or change its place there."""
        async with self._exclusively(ref) as record:
            await self._detach(record, attachment.network)
            try:
                address = await self._attach(record, attachment)
            except BaseException:
                self._reattached(record, attachment.network, None, None)
                raise
            self._reattached(record, attachment.network, attachment, address)

    async def disconnect(self, ref: str, network: str) -> None:
        """Detach a container from a network; one that is not attached is left alone."""
        async with self._exclusively(ref) as record:
            await self._detach(record, network)
            self._reattached(record, network, None, None)

    async def recover(self) -> None:
        """Take every record to where it can stay: finish or undo what a crash cut short, watch what runs."""
        await tasks.together("recover", *(self._recover(record) for record in self._table.all()))

    async def _recover(self, record: table.ContainerRecord) -> None:
        await self._supervisor.recover(record)
        if record.phase is table.Phase.REMOVING:
            with contextlib.suppress(OSError):  # it is tried again when the engine is opened the next time
                await self._discard(record)

    async def _discard(self, record: table.ContainerRecord) -> None:
        """Take away what outlives a run, the record last. Raises ``OSError``."""
        own = self._rooms.where.containers / record.id
        if own.exists():
            await asyncio.to_thread(trees.remove, own)
        _DISCARD.hit()
        self._table.delete(record.id)
        if not self._table.living():
            tree.remove_parent(hierarchy.of_host(), self._around.where.cgroup)

    @contextlib.asynccontextmanager
    async def _exclusively(self, ref: str) -> AsyncIterator[table.ContainerRecord]:
        container_id = self._table.get(ref).id
        async with self._locks.hold(container_id):
            yield self._table.get(container_id)

    def _running(self, ref: str) -> table.ContainerRecord:
        record = self._table.get(ref)
        if record.phase is not table.Phase.RUNNING:
            raise errors.Conflict(f"container {record.name} does not run", reason="NotRunning")
        return record

    def _started(self, record: table.ContainerRecord, run: table.Run) -> None:
        started = dataclasses.replace(
            record,
            phase=table.Phase.RUNNING,
            run=run,
            started_at=self._around.clock.now(),
            finished_at=None,
            exit_code=None,
            oom_killed=False,
            stop_requested=False,
        )
        self._table.put(started)
        _STARTED.hit()
        self._supervisor.follow(started, run)
        self._tell(started, "started")

    async def _attach(self, record: table.ContainerRecord, attachment: spec.Attachment) -> str | None:
        if record.phase is not table.Phase.RUNNING:
            return None
        return await self._rooms.networks.connect(record.id, record.name, attachment)

    async def _detach(self, record: table.ContainerRecord, network: str) -> None:
        if record.phase is table.Phase.RUNNING:
            await self._rooms.networks.disconnect(record.id, network)

    def _reattached(
        self, record: table.ContainerRecord, network: str, attachment: spec.Attachment | None, address: str | None
    ) -> None:
        kept = tuple(other for other in record.spec.attachments if other.network != network)
        attachments = tuple(sorted((*kept, *([attachment] if attachment else [])), key=lambda one: one.network))

        def change(now: table.ContainerRecord) -> table.ContainerRecord:
            run = now.run
            if run is not None:
                addresses = tuple(pair for pair in run.addresses if pair[0] != network)
                run = dataclasses.replace(run, addresses=(*addresses, *([(network, address)] if address else [])))
            return dataclasses.replace(now, run=run, spec=dataclasses.replace(now.spec, attachments=attachments))

        self._tell(self._table.change(record.id, change), "changed")

    def _limit(self, record: table.ContainerRecord, wanted: spec.Limits) -> None:
        try:
            limits.apply(hierarchy.of_host(), f"{self._around.where.cgroup}/{record.id}", wanted)
        except OSError as error:
            raise errors.Conflict(
                f"the limits of {record.name} cannot be changed: {error}",
                hint="a limit cannot be below what is in use",
                reason="UpdateFailed",
            ) from error

    def _tell(self, record: table.ContainerRecord, action: str) -> None:
        self._around.notify(supervise.Event(record.id, record.name, action, self._around.clock.now()))
