"""The containers' role of the native runtime."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Mapping

from agent.drivers.native import failures, translate
from agent.engine import engine as engines
from agent.engine.cgroups import hierarchy, limits, usage
from agent.engine.containers import exec as execs
from agent.engine.containers import logs, table
from agent.engine.shim import conmon, liveness
from agent.model import container
from agent.model.key import Pairs, pairs
from agent.runtime import api, errors


@dataclasses.dataclass(frozen=True, slots=True)
class Containers:
    """``runtime.api.Containers`` over the engine."""

    engine: engines.Engine

    async def list(self) -> tuple[container.ObservedContainer, ...]:
        """Give all containers, sorted by name."""
        return tuple(translate.observed_container(self._in_force(record)) for record in self.engine.containers.list())

    async def create(self, config: container.ContainerConfig, name: str, labels: Pairs) -> str:
        """Make a container and give its id."""
        with failures.translated():
            return self.engine.containers.create(name, translate.container_spec(config, labels)).id

    async def start(self, ref: str) -> None:
        """Start it."""
        with failures.translated():
            await self.engine.containers.start(ref)

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
        """Give it another name."""
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
            await self.engine.containers.update(ref, spec)

    async def connect(self, ref: str, attachment: container.NetworkAttachment) -> None:
        """Attach it to a network."""
        with failures.translated():
            await self.engine.containers.connect(ref, translate.attachment(attachment))

    async def disconnect(self, ref: str, network_name: str) -> None:
        """Detach it from a network."""
        with failures.translated():
            await self.engine.containers.disconnect(ref, network_name)

    @contextlib.asynccontextmanager
    async def exec(self, ref: str, request: api.ExecRequest) -> AsyncIterator[api.ExecSession]:
        """Run a command in it."""
        with failures.translated():
            record = self._now(self.engine.containers.get(ref))
        if record.phase is not table.Phase.RUNNING:
            raise errors.Conflict(f"container {record.name} does not run", reason="NotRunning")
        spec = execs.ExecSpec(**{field.name: getattr(request, field.name) for field in dataclasses.fields(request)})
        async with contextlib.AsyncExitStack() as stack:
            with failures.translated():
                rooms = execs.Rooms(self.engine.where, self.engine.recovery.kernel, self.engine.runtime)
                session = await stack.enter_async_context(execs.session(rooms, record, spec))
            yield ExecSession(session)

    async def logs(self, ref: str, request: api.LogRequest) -> AsyncIterator[api.LogLine]:
        """Give its log's lines."""
        with failures.translated():
            record = self.engine.containers.get(ref)
        path = self.engine.where.log(record.id)

        def running() -> bool:
            there = record.id in self.engine.table.ids()
            return there and self._now(self.engine.containers.get(record.id)).phase is table.Phase.RUNNING

        async for entry in logs.read(path, logs.Query(request.follow, request.tail, request.since), running):
            yield api.LogLine(entry.time, entry.stream, entry.text)

    async def stats(self) -> Mapping[str, api.ContainerStats]:
        """Give the usage of every running container, by id."""
        used = {}
        for record in self.engine.containers.list():
            if record.run is not None:
                cgroup = f"{self.engine.where.cgroup}/{record.id}"
                found = usage.read(hierarchy.of_host(), cgroup, record.run.pid)
                if found is not None:
                    used[record.id] = translate.stats(found)
        return used

    def _in_force(self, record: table.ContainerRecord) -> table.ContainerRecord:
        """Give a record as the host has it, with the limits that its cgroup has."""
        record = self._now(record)
        if record.run is None:
            return record
        wanted = record.spec.limits
        there = limits.found(hierarchy.of_host(), f"{self.engine.where.cgroup}/{record.id}", wanted)
        if there == wanted:
            return record
        return dataclasses.replace(record, spec=dataclasses.replace(record.spec, limits=there))

    def _now(self, record: table.ContainerRecord) -> table.ContainerRecord:
        """Give a record as the host has it: where no agent runs, a container may have ended since it was written."""
        run = record.run
        if self.engine.exclusive or run is None or liveness.alive(run.monitor, run.monitor_started):
            return record
        ended = conmon.ending(self.engine.where.bundles / record.id, record.id)
        return dataclasses.replace(
            record, phase=table.Phase.EXITED, run=None, exit_code=ended.code, finished_at=ended.at or record.started_at
        )


@dataclasses.dataclass(frozen=True, slots=True)
class ExecSession:
    """``runtime.api.ExecSession`` over the engine's."""

    session: execs.Session

    async def write(self, data: bytes) -> None:
        """Send to its standard input."""
        with failures.translated():
            await self.session.write(data)

    async def close_stdin(self) -> None:
        """Let its standard input end."""
        await self.session.close_stdin()

    def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """Give (stream, chunk) until both end."""
        return self.session.output()

    async def resize(self, rows: int, columns: int) -> None:
        """Tell the terminal's new size."""
        self.session.resize(rows, columns)

    async def wait(self) -> int:
        """Wait for the end and give the exit code."""
        with failures.translated():
            return await self.session.wait()
