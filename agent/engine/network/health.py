"""Health checks of networks, on the host and inside of containers.

What the kernel reports by events (``hostlinks``, the generation of the firewall's rules) is compared at every check.
The rest is compared at a thorough check, which each relist requests: the safety net under events.
"""

import asyncio
from collections.abc import Iterator, Mapping

from agent.engine.kernel import api
from agent.engine.network import dns, driver, firewall, hostlinks, inside, namespaces, sysctls, table, wiring
from agent.engine.spec import network as network_spec
from agent.kit import frozen

Problems = Mapping[str, tuple[str, ...]]
"""Problems by network; an intact one is not in it."""


@frozen.value(kw_only=True)
class Deps:
    """Collaborators of the health checks."""

    table: table.Table
    wiring: wiring.Wiring
    drivers: driver.Drivers
    firewall: firewall.Firewall
    dns: dns.Dns
    threads: namespaces.Threads
    kernel: api.Kernel
    entrances: namespaces.Entrances


class Health:
    """Health of the networks: results of the last check, and which containers are attached completely."""

    def __init__(self, deps: Deps) -> None:
        """Store the collaborators; nothing is checked yet."""
        self._deps = deps
        self.host = hostlinks.HostLinks()
        self._attached: set[tuple[str, str]] = set()
        self._inside: dict[str, tuple[str, ...]] = {}
        """Problems inside of containers, as of the last check."""
        self._thorough: dict[str, tuple[str, ...]] = {}
        """Problems that only a thorough check sees, by network, as of the last one."""
        self._is_thorough = True
        """The next check compares everything."""
        self._lock = asyncio.Lock()

    def attached(self, container_id: str, *networks: str) -> None:
        """Watch a container's endpoints from now on; events in its namespace until now were our own."""
        self._attached |= {(container_id, network) for network in networks}
        self._inside.pop(container_id, None)
        self.host.drain()
        number = self._namespace_number(container_id)
        if number is not None:
            self.host.touched.discard(number)

    def detached(self, container_id: str, *networks: str) -> None:
        """Stop watching endpoints: of all networks, unless some are named."""
        for network in networks or [endpoint.network for endpoint in self._deps.table.of_container(container_id)]:
            self._attached.discard((container_id, network))
        if not any((container_id, endpoint.network) in self._attached for endpoint in self._of(container_id)):
            self._inside.pop(container_id, None)

    def request_thorough_check(self) -> None:
        """Make the next check a thorough one: something was mended, or may be wrong."""
        self._is_thorough = True

    async def problems(self) -> Problems:
        """Return the problems by network."""
        async with self._lock:
            deps, records = self._deps, self._deps.table.networks()
            if not records:
                return {}
            await self._load()
            is_intact = await deps.firewall.is_intact()
            if self._is_thorough:
                await self._check_thoroughly()
            else:
                await self._check_inside(self._touched())
            common = [*([] if is_intact else ["the firewall's table was changed"]), *_forwarding()]
            runs = {id(server): server.runs() for server in deps.dns.servers}
            problems = {}
            for record in records:
                is_served = not deps.wiring.is_named(record) or runs[id(deps.dns.of(record))]
                wrong = (*common, *([] if is_served else ["its DNS server does not run"]), *self._of_network(record))
                if wrong:
                    problems[record.name] = wrong
            return problems

    async def problems_from_outside(self) -> Problems:
        """Return the problems that a process without the agent's memory can see."""
        deps, records = self._deps, self._deps.table.networks()
        if not records:
            return {}
        await self._load()
        common = () if deps.firewall.present() else ("the firewall's table is gone",)
        problems = {}
        for record in records:
            is_served = not deps.wiring.is_named(record) or deps.dns.serves(record)
            wrong = (*common, *([] if is_served else ["its DNS server does not run"]), *self._of_host(record))
            if wrong:
                problems[record.name] = wrong
        return problems

    async def broken(self, record: network_spec.NetworkRecord) -> list[driver.Connection]:
        """Return the connections of a network that are broken."""
        async with self._lock:
            deps = self._deps
            await self._load()
            endpoints = [end for end in deps.table.of_network(record.name) if self._is_attached(end)]
            await self._check_inside({endpoint.container_id for endpoint in endpoints})
            return [
                connection
                for endpoint in endpoints
                if self._inside.get(endpoint.container_id) or any(self._of_endpoint(endpoint, record))
                for connection in deps.wiring.connections(deps.table.of_container(endpoint.container_id))
                if connection.network.name == record.name
            ]

    async def _load(self) -> None:
        if self.host.is_complete:
            self.host.drain()
        if not self.host.is_complete:
            await self._deps.threads.run(self.host.load)

    def _of_network(self, record: network_spec.NetworkRecord) -> Iterator[str]:
        yield from self._of_host(record)
        yield from self._thorough.get(record.name, ())
        for endpoint in self._deps.table.of_network(record.name):
            if self._is_attached(endpoint):
                yield from self._of_endpoint(endpoint, record)
                for problem in self._inside.get(endpoint.container_id, ()):
                    yield f"{endpoint.container_name}: {problem}"

    def _of_host(self, record: network_spec.NetworkRecord) -> Iterator[str]:
        """Check what a network itself is on the host."""
        return self._deps.drivers.of(record.spec).problems(record, self.host)

    def _of_endpoint(self, endpoint: network_spec.Endpoint, record: network_spec.NetworkRecord) -> Iterator[str]:
        """Check an endpoint from the host."""
        connection = driver.Connection(endpoint, record)
        for problem in self._deps.drivers.of(record.spec).connection_problems(connection, self.host):
            yield f"{endpoint.container_name}: {problem}"

    async def _check_thoroughly(self) -> None:
        self._is_thorough = False  # at once: it may be asked for again meanwhile
        try:
            await self._compare_everything()
        except BaseException:
            self._is_thorough = True
            raise

    async def _compare_everything(self) -> None:
        records = self._deps.table.networks()
        drivers = self._deps.drivers
        self._thorough = await asyncio.to_thread(
            lambda: {record.name: tuple(drivers.of(record.spec).settings_problems(record)) for record in records}
        )
        for server in self._deps.dns.servers:
            is_answering = not server.files or await server.answers()
            unlike = set(await asyncio.to_thread(server.unlike))
            for record in records:
                if self._deps.wiring.is_named(record) and self._deps.dns.of(record) is server and not is_answering:
                    self._thorough[record.name] += ("its DNS server does not answer",)
                if record.name in unlike:
                    self._thorough[record.name] += ("its names were changed",)
        self.host.touched.clear()
        await self._check_inside({container_id for container_id, _ in self._attached})

    async def _check_inside(self, containers: set[str]) -> None:
        """Check containers' namespaces from inside; one whose container is being started, or has ended, needs none."""
        if not containers:
            return
        deps = self._deps
        connections = {container_id: self._connections(container_id) for container_id in containers}

        with deps.entrances.in_use() as descriptors:
            namespace_by_id = {container_id: descriptors.get(container_id) for container_id in containers}

            def check() -> dict[str, tuple[str, ...]]:
                return {
                    container_id: tuple(inside.problems(deps.kernel, namespace, connections[container_id]))
                    for container_id, namespace in namespace_by_id.items()
                    if namespace is not None
                }

            problems = await deps.threads.run(check)
        for container_id in containers:
            wrong = problems.get(container_id, ())
            self._inside.pop(container_id, None)
            if wrong and any(self._is_attached(end) for end in self._of(container_id)):
                self._inside[container_id] = wrong

    def _connections(self, container_id: str) -> list[driver.Connection]:
        connections = self._deps.wiring.connections(self._of(container_id))
        return [connection for connection in connections if self._is_attached(connection.endpoint)]

    def _touched(self) -> set[str]:
        """Return the containers with events in their namespaces since they were checked."""
        if not self.host.touched:
            return set()
        numbers, self.host.touched = self.host.touched, set()
        return {
            container_id
            for container_id in {container_id for container_id, _ in self._attached}
            if self._namespace_number(container_id) in numbers
        }

    def _namespace_number(self, container_id: str) -> int | None:
        for endpoint in self._of(container_id):
            link = self.host.links.get(self._deps.wiring.link(endpoint) or "")
            if link is not None and link.namespace >= 0:
                return link.namespace
        return None

    def _is_attached(self, endpoint: network_spec.Endpoint) -> bool:
        return (endpoint.container_id, endpoint.network) in self._attached

    def _of(self, container_id: str) -> tuple[network_spec.Endpoint, ...]:
        return self._deps.table.of_container(container_id)


def _forwarding() -> Iterator[str]:
    if not sysctls.is_forwarding():
        yield "net.ipv4.ip_forward is not set"
