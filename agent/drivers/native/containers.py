"""The containers' role of the native runtime."""

import contextlib
import dataclasses
from collections.abc import AsyncIterable, AsyncIterator, Mapping

from agent.drivers.native import failures, files, inspection, logs, processes, programs, records_view, translate
from agent.engine import engine as engines
from agent.engine.cgroups import hierarchy, limits, usage
from agent.engine.containers import table
from agent.kit import frozen, resource_usage, tasks
from agent.model import container, hostaccess, secret
from agent.model.key import Pairs, pairs
from agent.runtime import admitted, api, streams
from agent.runtime import processes as process_roles
from agent.runtime import secrets as secret_store


@frozen.value
class _Observation:
    """A container as it was listed, and the record that it was made from."""

    record: table.ContainerRecord
    observed: container.ObservedContainer


class Containers:
    """``runtime.api.Containers`` over the engine.

    A listing costs what has changed since the one before: a container is translated again when its record has become
    another one, and its cgroup is read again after ``recheck``.
    """

    def __init__(self, engine: engines.Engine, access: hostaccess.HostAccess = hostaccess.UNLIMITED) -> None:
        """Take an open engine, and what containers may have of the host; nothing is remembered yet."""
        self.engine = engine
        self.access = access
        self._observations: dict[str, _Observation] = {}
        self._is_rechecking = False
        self._view = records_view.RecordsView(engine.where, engine.containers.get, is_current=engine.exclusive)
        self._secrets = secret_store.SecretStore()

    async def list(self) -> tuple[container.ObservedContainer, ...]:
        """Return all containers, sorted by name."""
        with failures.translated():
            if self._is_rechecking and self.engine.exclusive:
                await self.engine.containers.resume_halted()
            self._is_rechecking = False
            remembered = self._observations
            self._observations = {
                record.id: self._observation(record, remembered.get(record.id))
                for record in self.engine.containers.list()
            }
        return tuple(observation.observed for observation in self._observations.values())

    def recheck(self) -> None:
        """Read limits, and what was halted, from the host at the next ``list``."""
        self._observations.clear()
        self._is_rechecking = True

    def use(self, values: tuple[secret.SecretValue, ...]) -> None:
        """Look up references to Secrets among these, at each start."""
        self._secrets.use(values)

    async def create(self, config: container.ContainerConfig, name: str, labels: Pairs) -> str:
        """Make a container and give its id."""
        with failures.translated():
            if self.access.refuses_root:
                image_user = self.engine.images.runnable(config.image).config.user
                admitted.check_user(self.access, config.security.user, image_user)
            await admitted.check_binds(self.access, config.mounts)
            return (await self.engine.containers.create(name, translate.container_spec(config, labels))).id

    async def start(self, ref: str) -> None:
        """Start it."""
        with failures.translated():
            record = self.engine.containers.get(ref)
            admitted.check_user(self.access, record.spec.process.user, record.image_config.user)
            secrets = self._secrets.resolve(translate.secret_env(record.spec))
            async with admitted.held_binds(self.access, translate.mounts(record.spec)) as sources:
                await self.engine.containers.start(ref, sources, secrets)

    async def stop(self, ref: str, stop: container.StopConfig) -> None:
        """Stop it and wait for its end."""
        with failures.translated():
            await self.engine.containers.stop(ref, stop.signal, stop.grace_period)

    async def kill(self, ref: str, signal: str) -> None:
        """Send a signal."""
        with failures.translated():
            self.engine.containers.kill(ref, signal)

    async def remove(self, ref: str) -> None:
        """Remove it."""
        with failures.translated():
            await self.engine.containers.remove(ref)

    async def rename(self, ref: str, name: str) -> None:
        """Rename it."""
        with failures.translated():
            await self.engine.containers.rename(ref, name)

    async def update(self, ref: str, change: api.ContainerChange) -> None:
        """Change limits or labels in place."""
        with failures.translated():
            spec = self.engine.containers.get(ref).spec
            if change.resources is not None:
                spec = dataclasses.replace(spec, limits=translate.limits(change.resources))
            if change.labels is not None:
                spec = dataclasses.replace(spec, labels=pairs((*change.labels, *translate.owned(spec.labels))))
            if change.supervision is not None:
                spec = translate.supervised(spec, change.supervision)
            await self.engine.containers.update(ref, spec)

    async def connect(self, ref: str, attachment: container.NetworkAttachment) -> None:
        """Attach it to a network."""
        with failures.translated():
            await self.engine.containers.connect(ref, translate.attachment(attachment))

    async def disconnect(self, ref: str, network_name: str) -> None:
        """Detach it from a network."""
        with failures.translated():
            await self.engine.containers.disconnect(ref, network_name)

    def exec(
        self, ref: str, request: streams.ExecRequest
    ) -> contextlib.AbstractAsyncContextManager[streams.ExecSession]:
        """Run a command in it."""
        return programs.session(self._view, ref, request)

    async def logs(self, ref: str, request: streams.LogRequest) -> AsyncIterator[streams.LogLine]:
        """Return its log's lines."""
        with failures.translated():
            container_id = self.engine.containers.get(ref).id

        def running() -> bool:
            is_recorded = container_id in self.engine.table.ids()
            return (
                is_recorded
                and self._view.current(self.engine.containers.get(container_id)).phase is table.Phase.RUNNING
            )

        async for line in logs.lines(self.engine.where.log(container_id), request, running):
            yield line

    async def top(self, ref: str) -> tuple[process_roles.ContainerProcess, ...]:
        """Return what runs in it now."""
        return await processes.top(self._view, ref)

    async def wait(self, ref: str) -> int | None:
        """Wait for the end of its present run."""
        if not self.engine.exclusive:
            with records_view.opened(self.engine.where.root, self.engine.where.run) as view:
                return await processes.wait(view, ref)
        with failures.translated():
            return await self.engine.containers.wait(ref)

    async def inspect(self, ref: str) -> Mapping[str, object]:
        """Return its record and its OCI configuration."""
        return inspection.inspect(self._view, ref)

    def copy_out(self, ref: str, path: str) -> contextlib.AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open an archive of what is at a path."""
        return files.copy_out(self.engine, self._view, ref, path)

    async def copy_in(self, ref: str, path: str, archive: AsyncIterable[bytes]) -> None:
        """Unpack an archive at a path."""
        await files.copy_in(self.engine, self._view, ref, path, archive)

    async def stats(self) -> Mapping[str, resource_usage.Usage]:
        """Return the usage of every running container, by id."""
        with failures.translated():
            running = [
                (record.id, record.run.pid, record.spec.limits.cpu_millis is not None)
                for record in self.engine.containers.list()
                if record.run is not None
            ]
            return await tasks.in_thread(lambda: _usages(self.engine.where.cgroup, running))

    def _observation(self, record: table.ContainerRecord, remembered: _Observation | None) -> _Observation:
        """Return a container as it is, from memory where nothing can have changed."""
        if remembered is not None and remembered.record is record and self.engine.exclusive:
            return remembered
        return _Observation(record, translate.observed_container(self._in_force(record)))

    def _in_force(self, record: table.ContainerRecord) -> table.ContainerRecord:
        """Return a record as the host has it, with the limits that its cgroup has."""
        record = self._view.current(record)
        if record.run is None:
            return record
        requested = record.spec.limits
        cgroup = f"{self.engine.where.cgroup}/{record.id}"
        effective = limits.effective(hierarchy.of_host(), cgroup, requested, self.engine.options.pids)
        if effective == requested:
            return record
        return dataclasses.replace(record, spec=dataclasses.replace(record.spec, limits=effective))


def _usages(parent: str, running: list[tuple[str, int, bool]]) -> dict[str, resource_usage.Usage]:
    """Read the usage of containers, by their ids, pids and whether they have a quota."""
    reader = usage.Reader(hierarchy.of_host())
    read = ((id, reader.read(f"{parent}/{id}", pid, has_quota=has_quota)) for id, pid, has_quota in running)
    return {id: used for id, used in read if used is not None}
