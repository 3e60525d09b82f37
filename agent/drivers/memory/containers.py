"""The containers' role of the memory runtime."""

import asyncio
import contextlib
import dataclasses
import ipaddress
from collections.abc import AsyncIterator, Mapping

from agent.drivers.memory import world
from agent.model import container
from agent.model.key import PREFIX, Kind, Pairs, pairs
from agent.runtime import api, errors, events

_FOLLOW = 0.05
"""Seconds between two looks at a log that is followed."""
_PID = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Containers:
    """``runtime.api.Containers`` in RAM."""

    world: world.World

    async def list(self) -> tuple[container.ObservedContainer, ...]:
        """Give all containers."""
        return tuple(sorted(self.world.containers.values(), key=lambda one: one.name))

    async def create(self, config: container.ContainerConfig, name: str, labels: Pairs) -> str:
        """Make a container."""
        await self.world.enter("containers.create", name)
        if any(one.name == name for one in self.world.containers.values()):
            raise errors.AlreadyExists(f"a container {name} is there already", reason="NameTaken")
        if config.image not in self.world.images:
            raise errors.NotFound(f"image {config.image} is not in the store", reason="ImageNotFound")
        for mount in config.mounts:
            if isinstance(mount, container.VolumeMount) and mount.volume not in self.world.volumes:
                raise errors.NotFound(f"there is no volume {mount.volume}", reason="VolumeNotFound")
        made = container.ObservedContainer(
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
        self.world.containers[made.id] = made
        self._tell(made, events.EventAction.CREATED)
        return made.id

    async def start(self, ref: str) -> None:
        """Start it."""
        found = await self._entered("start", ref)
        if found.state is container.ContainerState.RUNNING:
            return
        self._claim_ports(found)
        addresses: Pairs = ()
        for one in found.config.networks:
            addresses = (*addresses, (one.network, self._address(one)))
        self._put(
            dataclasses.replace(
                found,
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
        """Stop it; everything here obeys at once."""
        del stop
        found = await self._entered("stop", ref)
        if found.state is container.ContainerState.RUNNING:
            self.world.end(found.id, 143, stop_requested=True)

    async def kill(self, ref: str, signal: str) -> None:
        """Send a signal; the two that mean an end end it."""
        found = self._running((await self._entered("kill", self._running(ref).id)).id)
        ends = {"SIGKILL": 137, "SIGTERM": 143, "KILL": 137, "TERM": 143}
        if signal in ends:
            self.world.end(found.id, ends[signal])

    async def remove(self, ref: str) -> None:
        """Remove it."""
        found = self.world.find(ref)
        await self.world.enter("containers.remove", found.name)
        if self.world.containers.pop(found.id, None) is not None:
            self.world.logs.pop(found.id, None)
            self._tell(found, events.EventAction.REMOVED)

    async def rename(self, ref: str, name: str) -> None:
        """Give it another name."""
        found = await self._entered("rename", ref)
        if any(one.name == name and one.id != found.id for one in self.world.containers.values()):
            raise errors.AlreadyExists(f"a container {name} is there already", reason="NameTaken")
        self._put(dataclasses.replace(found, name=name), events.EventAction.CHANGED)

    async def update(self, ref: str, change: api.ContainerChange) -> None:
        """Change it in place."""
        found = await self._entered("update", ref)
        config, labels = found.config, found.labels
        if change.resources is not None:
            config = dataclasses.replace(config, resources=change.resources)
        if change.labels is not None:
            config = dataclasses.replace(config, labels=change.labels)
            labels = pairs((*change.labels, *(pair for pair in labels if pair[0].startswith(PREFIX))))
        self._put(dataclasses.replace(found, config=config, labels=labels), events.EventAction.CHANGED)

    async def connect(self, ref: str, attachment: container.NetworkAttachment) -> None:
        """Attach it to a network."""
        found = await self._entered("connect", ref)
        left = self._without(found, attachment.network)
        networks = tuple(sorted((*left.config.networks, attachment)))
        addresses = left.addresses
        if left.state is container.ContainerState.RUNNING:
            addresses = (*addresses, (attachment.network, self._address(attachment)))
        config = dataclasses.replace(left.config, networks=networks)
        self._put(dataclasses.replace(left, config=config, addresses=addresses), events.EventAction.CHANGED)

    async def disconnect(self, ref: str, network_name: str) -> None:
        """Detach it from a network."""
        found = await self._entered("disconnect", ref)
        self._put(self._without(found, network_name), events.EventAction.CHANGED)

    @contextlib.asynccontextmanager
    async def exec(self, ref: str, request: api.ExecRequest) -> AsyncIterator[api.ExecSession]:
        """Run a command in it."""
        self._running((await self._entered("exec", self._running(ref).id)).id)
        yield ExecSession(self.world, request)

    async def logs(self, ref: str, request: api.LogRequest) -> AsyncIterator[api.LogLine]:
        """Give what it wrote."""
        found = self.world.find(ref)
        lines = self.world.logs.setdefault(found.id, [])
        kept = [line for line in lines if request.since is None or line.time >= request.since]
        told = len(lines)
        for line in kept if request.tail is None else kept[max(len(kept) - request.tail, 0) :]:
            yield line
        while request.follow:
            ended = not self._runs(found.id)
            for line in lines[told:]:
                yield line
            told = len(lines)
            if ended:
                return
            await asyncio.sleep(_FOLLOW)

    async def stats(self) -> Mapping[str, api.ContainerStats]:
        """Give the same modest usage for everybody."""
        return {
            one.id: api.ContainerStats(
                cpu_seconds=self.world.clock.now() - (one.started_at or 0.0),
                memory_usage=1024 * 1024,
                memory_working_set=1024 * 1024,
                memory_limit=one.config.resources.memory,
                pids=1,
                oom_kills=0,
                networks=(),
            )
            for one in self.world.containers.values()
            if one.state is container.ContainerState.RUNNING
        }

    async def _entered(self, call: str, ref: str) -> container.ObservedContainer:
        """Pass a call on and give the container as it is then: much may happen to it while a call is delayed."""
        found = self.world.find(ref)
        await self.world.enter(f"containers.{call}", found.name)
        return self.world.find(found.id)

    def _running(self, ref: str) -> container.ObservedContainer:
        found = self.world.find(ref)
        if found.state is not container.ContainerState.RUNNING:
            raise errors.Conflict(f"container {found.name} does not run", reason="NotRunning")
        return found

    def _runs(self, container_id: str) -> bool:
        found = self.world.containers.get(container_id)
        return found is not None and found.state is container.ContainerState.RUNNING

    def _claim_ports(self, found: container.ObservedContainer) -> None:
        """Find out whether another running container has a port, as a host would."""
        wanted = {(port.host_port, port.protocol) for port in found.config.ports}
        if not wanted:
            return
        for other in self.world.containers.values():
            if self._runs(other.id) and wanted & {(port.host_port, port.protocol) for port in other.config.ports}:
                raise errors.Conflict(f"a port is in use by container {other.name}", reason="PortInUse")

    def _address(self, attachment: container.NetworkAttachment) -> str:
        found = self.world.networks.get(attachment.network)
        if found is None:
            raise errors.NotFound(f"there is no network {attachment.network}", reason="NetworkNotFound")
        taken = {dict(one.addresses)[attachment.network] for one in self.world.attached(attachment.network)}
        if attachment.ipv4 is not None:
            if attachment.ipv4 in taken:
                raise errors.Conflict(f"address {attachment.ipv4} is taken", reason="AddressInUse")
            return attachment.ipv4
        hosts = ipaddress.IPv4Network(found.config.subnets[0].subnet).hosts()
        next(hosts)  # the gateway's
        free = next((str(host) for host in hosts if str(host) not in taken), None)
        if free is None:
            raise errors.Unavailable("the network has no free address", reason="AddressesExhausted")
        return free

    def _without(self, found: container.ObservedContainer, name: str) -> container.ObservedContainer:
        networks = tuple(one for one in found.config.networks if one.network != name)
        addresses = tuple(pair for pair in found.addresses if pair[0] != name)
        return dataclasses.replace(
            found, config=dataclasses.replace(found.config, networks=networks), addresses=addresses
        )

    def _put(self, changed: container.ObservedContainer, action: events.EventAction) -> None:
        self.world.containers[changed.id] = changed
        self._tell(changed, action)

    def _tell(self, one: container.ObservedContainer, action: events.EventAction) -> None:
        self.world.tell(Kind.CONTAINER, one.id, one.name, action)


class ExecSession:
    """``runtime.api.ExecSession`` of a command that is a Python function."""

    def __init__(self, around: world.World, request: api.ExecRequest) -> None:
        """It runs when its output is read or its end awaited."""
        self._code, self._output = around.run(request)

    async def write(self, data: bytes) -> None:
        """Nobody reads it."""

    async def close_stdin(self) -> None:
        """Nobody notices."""

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """Give what it printed."""
        if self._output:
            yield "stdout", self._output

    async def resize(self, rows: int, columns: int) -> None:
        """There is no terminal."""

    async def wait(self) -> int:
        """Give the exit code."""
        return self._code
