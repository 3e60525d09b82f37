"""The containers' role of the memory runtime."""

import asyncio
import contextlib
import dataclasses
import ipaddress
from collections.abc import AsyncIterable, AsyncIterator, Mapping

from agent import errors
from agent.drivers.memory import world
from agent.kit import canonical, frozen, resource_usage
from agent.model import container, secret
from agent.model.key import PREFIX, Kind, Pairs, pairs
from agent.reasons import Reason
from agent.runtime import api, events, processes, streams

_FOLLOW = 0.05
"""Seconds between two readings of a log that is followed."""
WITHOUT_FILES = "simulates: its containers have no files"
"""Why nothing can be copied out or in."""
_PID = 1000
_MEMORY = 1024 * 1024
"""Bytes that each running container uses."""
_KILLED = 137
_ENDS = frozenset({events.EventAction.EXITED, events.EventAction.OOM_KILLED})


@frozen.value
class Containers:
    """``runtime.api.Containers`` in RAM."""

    world: world.World

    async def list(self) -> tuple[container.ObservedContainer, ...]:
        """Return all containers."""
        return tuple(sorted(self.world.containers.values(), key=lambda observed: observed.name))

    def use(self, values: tuple[secret.SecretValue, ...]) -> None:
        """Look up references to Secrets among these."""
        self.world.secrets.use(values)

    async def create(self, config: container.ContainerConfig, name: str, labels: Pairs) -> str:
        """Create a container and return its id."""
        await self.world.enter("containers.create", name)
        if self.world.containers.named(name) is not None:
            raise errors.AlreadyExists(f"a container {name} is there already", reason=Reason.NAME_TAKEN)
        if config.image not in self.world.images:
            raise errors.NotFound(f"image {config.image} is not in the store", reason=Reason.IMAGE_NOT_FOUND)
        for mount in config.mounts:
            if isinstance(mount, container.VolumeMount) and mount.volume not in self.world.volumes:
                raise errors.NotFound(f"there is no volume {mount.volume}", reason=Reason.VOLUME_NOT_FOUND)
        created = container.ObservedContainer(
            id=self.world.new_id(),
            name=name,
            config=config,
            labels=pairs((*config.labels, *labels)),
            image_id=self.world.images[config.image].id,
            state=container.ContainerState.CREATED,
            pid=None,
            exit_code=None,
            oom_killed=False,
            stop_requested=False,
            created_at=self.world.clock.now(),
            started_at=None,
            finished_at=None,
            addresses=(),
        )
        self.world.containers[created.id] = created
        self._emit(created, events.EventAction.CREATED)
        return created.id

    async def start(self, ref: str) -> None:
        """Start it."""
        current = await self._enter("start", ref)
        if current.state is container.ContainerState.RUNNING:
            return
        self.world.environments[current.id] = self.world.secrets.resolve(current.config.secret_env)
        self._claim_ports(current)
        addresses: Pairs = ()
        for network in current.config.networks:
            addresses = (*addresses, (network.network, self._address(network)))
        self._put(
            dataclasses.replace(
                current,
                state=container.ContainerState.RUNNING,
                pid=_PID + len(self.world.containers),
                started_at=self.world.clock.now(),
                finished_at=None,
                exit_code=None,
                oom_killed=False,
                stop_requested=False,
                addresses=addresses,
            ),
            events.EventAction.STARTED,
        )

    async def stop(self, ref: str, stop: container.StopConfig) -> None:
        """Stop it; every container here ends at once."""
        del stop
        current = await self._enter("stop", ref)
        if current.state is container.ContainerState.RUNNING:
            self.world.end(current.id, 143, stop_requested=True)

    async def kill(self, ref: str, signal: str) -> None:
        """Send a signal; SIGTERM and SIGKILL end the container, others do nothing."""
        current = self._running((await self._enter("kill", self._running(ref).id)).id)
        ends = {"SIGKILL": 137, "SIGTERM": 143, "KILL": 137, "TERM": 143}
        if signal in ends:
            self.world.end(current.id, ends[signal])

    async def remove(self, ref: str) -> None:
        """Remove it."""
        current = self.world.find(ref)
        await self.world.enter("containers.remove", current.name)
        if current.id in self.world.containers:
            del self.world.containers[current.id]
            self.world.logs.pop(current.id, None)
            self.world.environments.pop(current.id, None)
            self._emit(current, events.EventAction.REMOVED)

    async def rename(self, ref: str, name: str) -> None:
        """Rename it."""
        current = await self._enter("rename", ref)
        named = self.world.containers.named(name)
        if named is not None and named.id != current.id:
            raise errors.AlreadyExists(f"a container {name} is there already", reason=Reason.NAME_TAKEN)
        self._put(dataclasses.replace(current, name=name), events.EventAction.CHANGED)

    async def update(self, ref: str, change: api.ContainerChange) -> None:
        """Change it in place."""
        current = await self._enter("update", ref)
        config, labels = current.config, current.labels
        if change.resources is not None:
            config = dataclasses.replace(config, resources=change.resources)
        if change.labels is not None:
            config = dataclasses.replace(config, labels=change.labels)
            labels = pairs((*change.labels, *(pair for pair in labels if pair[0].startswith(PREFIX))))
        if change.supervision is not None:
            config = config.supervised(change.supervision)
        self._put(dataclasses.replace(current, config=config, labels=labels), events.EventAction.CHANGED)

    async def connect(self, ref: str, attachment: container.NetworkAttachment) -> None:
        """Attach it to a network."""
        current = await self._enter("connect", ref)
        detached = self._without(current, attachment.network)
        networks = tuple(sorted((*detached.config.networks, attachment)))
        addresses = detached.addresses
        if detached.state is container.ContainerState.RUNNING:
            addresses = (*addresses, (attachment.network, self._address(attachment)))
        config = dataclasses.replace(detached.config, networks=networks)
        self._put(dataclasses.replace(detached, config=config, addresses=addresses), events.EventAction.CHANGED)

    async def disconnect(self, ref: str, network_name: str) -> None:
        """Detach it from a network."""
        current = await self._enter("disconnect", ref)
        self._put(self._without(current, network_name), events.EventAction.CHANGED)

    @contextlib.asynccontextmanager
    async def exec(self, ref: str, request: streams.ExecRequest) -> AsyncIterator[streams.ExecSession]:
        """Run a command in it."""
        self._running((await self._enter("exec", self._running(ref).id)).id)
        yield ExecSession(self.world, request)

    async def logs(self, ref: str, request: streams.LogRequest) -> AsyncIterator[streams.LogLine]:
        """Yield the lines that it wrote."""
        current = self.world.find(ref)
        lines = self.world.logs.setdefault(current.id, [])
        selected = [line for line in lines if request.since is None or line.time >= request.since]
        sent = len(lines)
        for line in selected if request.tail is None else selected[max(len(selected) - request.tail, 0) :]:
            yield line
        while request.follow:
            ended = not self._is_running(current.id)
            for line in lines[sent:]:
                yield line
            sent = len(lines)
            if ended:
                return
            await asyncio.sleep(_FOLLOW)

    async def top(self, ref: str) -> tuple[processes.ContainerProcess, ...]:
        """Return the one process that each running container has."""
        current = self._running(ref)
        config = current.config
        return (
            processes.ContainerProcess(
                pid=current.pid or 0,
                parent=0,
                uid=0,
                cpu_seconds=self.world.clock.now() - (current.started_at or 0.0),
                rss=_MEMORY,
                command=" ".join((*(config.command or ()), *(config.args or ()))) or f"[{current.name}]",
            ),
        )

    async def wait(self, ref: str) -> int | None:
        """Wait for the end of its present run."""
        current = self.world.find(ref)
        if current.state is container.ContainerState.CREATED:
            raise errors.Conflict(f"container {current.name} has never run", reason=Reason.NOT_RUNNING)
        if current.state is container.ContainerState.EXITED:
            return current.exit_code
        async with contextlib.aclosing(self.world.subscribe()) as changes:
            async for event in changes:
                if event.id == current.id and event.action in _ENDS:
                    return event.exit_code
                if event.id == current.id and event.action is events.EventAction.REMOVED:
                    return _KILLED
        raise errors.Unavailable("the simulated world has ended", reason=Reason.ENGINE_DOWN)

    async def inspect(self, ref: str) -> Mapping[str, object]:
        """Return the observed container: there is nothing else to tell."""
        document: dict[str, object] = canonical.plain(self.world.find(ref))
        return document

    def copy_out(self, ref: str, path: str) -> contextlib.AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Raise: containers here have no files."""
        raise _no_files(self.world.find(ref), path)

    async def copy_in(self, ref: str, path: str, archive: AsyncIterable[bytes]) -> None:
        """Raise: containers here have no files."""
        del archive
        raise _no_files(self.world.find(ref), path)

    async def stats(self) -> Mapping[str, resource_usage.Usage]:
        """Return a small fixed usage for each running container."""
        return {
            observed.id: resource_usage.Usage(
                cpu=resource_usage.Cpu(self.world.clock.now() - (observed.started_at or 0.0)),
                memory=resource_usage.Memory(_MEMORY, _MEMORY, observed.config.resources.memory, rss=_MEMORY),
                processes=1,
                threads=1,
                oom_kills=0,
            )
            for observed in self.world.containers.values()
            if observed.state is container.ContainerState.RUNNING
        }

    async def _enter(self, call: str, ref: str) -> container.ObservedContainer:
        """Record a call and return the container as it is afterwards: it may change while a call is delayed."""
        current = self.world.find(ref)
        await self.world.enter(f"containers.{call}", current.name)
        return self.world.find(current.id)

    def _running(self, ref: str) -> container.ObservedContainer:
        current = self.world.find(ref)
        if current.state is not container.ContainerState.RUNNING:
            raise errors.Conflict(f"container {current.name} does not run", reason=Reason.NOT_RUNNING)
        return current

    def _is_running(self, container_id: str) -> bool:
        current = self.world.containers.get(container_id)
        return current is not None and current.state is container.ContainerState.RUNNING

    def _claim_ports(self, current: container.ObservedContainer) -> None:
        """Check that no other running container has one of the ports, as a host would."""
        other = self.world.containers.with_port(current.config)
        if other is not None:
            raise errors.Conflict(f"a port is in use by container {other.name}", reason=Reason.PORT_IN_USE)

    def _address(self, attachment: container.NetworkAttachment) -> str:
        observed_network = self.world.networks.get(attachment.network)
        if observed_network is None:
            raise errors.NotFound(f"there is no network {attachment.network}", reason=Reason.NETWORK_NOT_FOUND)
        if attachment.ipv4 is not None:
            if self.world.containers.is_taken(attachment.network, attachment.ipv4):
                raise errors.Conflict(f"address {attachment.ipv4} is taken", reason=Reason.ADDRESS_IN_USE)
            return attachment.ipv4
        subnet = ipaddress.IPv4Network(observed_network.config.subnets[0].subnet)
        free = self.world.containers.free_address(attachment.network, subnet)
        if free is None:
            raise errors.Unavailable("the network has no free address", reason=Reason.ADDRESSES_EXHAUSTED)
        return free

    def _without(self, current: container.ObservedContainer, name: str) -> container.ObservedContainer:
        networks = tuple(network for network in current.config.networks if network.network != name)
        addresses = tuple(pair for pair in current.addresses if pair[0] != name)
        return dataclasses.replace(
            current, config=dataclasses.replace(current.config, networks=networks), addresses=addresses
        )

    def _put(self, changed: container.ObservedContainer, action: events.EventAction) -> None:
        self.world.containers[changed.id] = changed
        self._emit(changed, action)

    def _emit(self, observed: container.ObservedContainer, action: events.EventAction) -> None:
        self.world.emit(Kind.CONTAINER, observed.id, observed.name, action)


def _no_files(current: container.ObservedContainer, path: str) -> errors.InvalidArgument:
    return errors.InvalidArgument(
        f"{path} in container {current.name}: the memory runtime {WITHOUT_FILES}",
        hint="choose another --runtime",
        reason=Reason.UNSUPPORTED,
    )


class ExecSession:
    """``runtime.streams.ExecSession`` of a command that is a Python function."""

    def __init__(self, simulated: world.World, request: streams.ExecRequest) -> None:
        """Run the command, and keep its output and exit code."""
        self._code, self._output = simulated.run(request)

    async def write(self, data: bytes) -> None:
        """Discard input."""

    async def close_stdin(self) -> None:
        """Do nothing: the command reads no input."""

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """Yield the command's output."""
        if self._output:
            yield "stdout", self._output

    async def resize(self, rows: int, columns: int) -> None:
        """Do nothing: there is no terminal."""

    async def wait(self) -> int:
        """Return the exit code."""
        return self._code
