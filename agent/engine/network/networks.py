"""The instance's networks: created and removed, containers attached and detached, and the host repaired."""

import asyncio
import contextlib
import dataclasses
import pathlib
import types
from collections.abc import Callable, Collection, Mapping
from typing import Self

from agent import errors
from agent.engine import layout, records
from agent.engine.kernel import api
from agent.engine.network import (
    aardvark,
    bridge,
    dns,
    driver,
    firewall,
    health,
    leases,
    links,
    namespaces,
    ports,
    sandboxes,
    sysctls,
    table,
    tcp_names,
    watch,
    wiring,
)
from agent.engine.spec import container as container_spec
from agent.engine.spec import network as network_spec
from agent.kit import clock, failpoint, frozen, state_format

SCHEMA = table.SCHEMA
_NO_DRIVERS: Mapping[str, driver.NetworkDriver] = types.MappingProxyType({})

_LEASE = failpoint.register("network.lease")
_ATTACH = failpoint.register("network.attach")
_DETACH = failpoint.register("network.detach")
_CREATE = failpoint.register("network.create")
_REMOVE = failpoint.register("network.remove")


@frozen.value
class Broken:
    """Networks that are broken, with the problems of each."""

    problems: health.Problems
    time: float
    """Seconds since the epoch."""


class Networks:
    """All networks of an instance."""

    def __init__(
        self,
        where: layout.Layout,
        database: records.Database,
        kernel: api.Kernel,
        drivers: Mapping[str, driver.NetworkDriver] = _NO_DRIVERS,
    ) -> None:
        """Read the records; nothing on the host is looked at or changed yet. Raises ``state_format.NewerState``.

        ``drivers``: those of other kinds of networks, by name, beside ``bridge``.
        """
        self._where = where
        self._table = table.Table(database, where.instance)
        self._drivers = driver.Drivers({bridge.NAME: bridge.BridgeDriver(where.instance), **drivers})
        for record in self._table.networks():
            if not self._drivers.has(record.spec):
                detail = f"network {record.name} has the driver {record.spec.driver}, which this release does not have"
                raise state_format.newer(where.records, detail)
        self._wiring = wiring.Wiring(self._table, self._drivers)
        self._leases = leases.Leases(self._table, self._drivers)
        self._kernel = kernel
        self._clock = clock.SystemClock()
        self._threads = namespaces.Threads()
        self._sandboxes = sandboxes.Sandboxes(kernel, self._threads, where.namespaces, self._drivers)
        self._claims = ports.Claims(lambda: tuple(self._servers()))
        self._firewall = firewall.Firewall(f"trimtab-{where.instance}", self._ruleset_input, self._wiring.forwardings)
        self._dns = dns.Dns(where.dns, where.internal_dns)
        self._health = health.Health(
            health.Deps(
                table=self._table,
                wiring=self._wiring,
                drivers=self._drivers,
                firewall=self._firewall,
                dns=self._dns,
                threads=self._threads,
                kernel=kernel,
                entrances=self._sandboxes.entrances,
            )
        )
        self._tcp = tcp_names.TcpNames()
        self._is_tcp_ours = False
        """The installed aardvark-dns does not answer over TCP."""
        self._is_ours = False
        """This process may change the instance, and has made the host agree with the records."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tcp.listen({})
        self._claims.close()
        self._sandboxes.close()
        self._threads.close()
        self._health.host.close()

    def list(self) -> tuple[network_spec.NetworkRecord, ...]:
        """Return all networks, sorted by name."""
        return self._table.networks()

    async def problems(self) -> health.Problems:
        """Return the problems on the host by network; an intact one is not in it."""
        return await (self._health.problems() if self._is_ours else self._health.problems_from_outside())

    def request_thorough_check(self) -> None:
        """Make the next check compare also what no event reports."""
        self._health.request_thorough_check()

    async def watch(self, notify: Callable[[Broken], None]) -> None:
        """Watch the networks and report those that become broken, within a second. Runs until cancelled."""
        async with watch.NetworkWatch(self._health.host, self._dns.servers) as events:
            reported: health.Problems = {}
            async for is_hinted in events.hints():
                if events.resolvers_changed():
                    self._dns.reload()
                if not is_hinted:
                    continue
                problems = await self.problems()
                if any(name not in reported for name in problems):
                    problems = await self._persisting(problems)
                if any(name not in reported for name in problems):
                    notify(Broken(problems, self._clock.now()))
                reported = problems

    async def _persisting(self, problems: health.Problems) -> health.Problems:
        """Check again, and return the problems that were not just our own work under way."""
        await asyncio.sleep(watch.SETTLE)
        current = await self.problems()
        return {name: wrong for name, wrong in current.items() if name in problems}

    async def create(self, network: network_spec.NetworkSpec) -> network_spec.NetworkRecord:
        """Create a network, or mend an existing one and set its labels.

        Raises ``errors.Conflict`` (``SubnetInUse``).
        """
        present = self._table.find(network.name)
        if present is None:
            record = self._table.put_network(self._completed(network))
        elif present.spec.labels != network.labels:
            record = self._table.put_network(dataclasses.replace(present.spec, labels=network.labels))
        else:
            record = present
        _CREATE.hit()
        await self._ensure(record)
        if present is not None:
            await self._mend(record)
            await self._dns.mend()
        await self._publish()
        self._health.request_thorough_check()
        return record

    async def remove(self, name: str) -> None:
        """Remove a network. Raises ``errors.NotFound``, ``errors.InUse`` while containers are attached."""
        record = self._table.network(name)
        users = sorted(endpoint.container_name for endpoint in self._table.of_network(name))
        if users:
            raise errors.InUse(f"network {name} is used by {', '.join(users)}", hint="stop them first")
        await self._threads.run(lambda: self._drivers.of(record.spec).remove(record))
        _REMOVE.hit()
        self._table.delete_network(name)
        self._dns.delete_network(name)
        await self._publish()

    async def attach(self, request: network_spec.AttachRequest) -> network_spec.Sandbox:
        """Create a container's namespace and connect it; others find it after ``announce``.

        Raises ``errors.Conflict`` (``PortInUse``, ``AddressInUse``).
        """
        try:
            self._claims.claim(request.container_id, request.ports)
        except ports.PortTaken as error:
            raise await asyncio.to_thread(error.explained) from error
        endpoints = [
            self._leases.lease(request.container_id, request.name, attachment) for attachment in request.attachments
        ]
        _LEASE.hit()
        addresses = await self._sandboxes.create(request.container_id, self._wiring.connections(endpoints))
        endpoints = [self._leases.settle(*pair) for pair in zip(endpoints, addresses, strict=True)]
        self._health.attached(request.container_id, *(endpoint.network for endpoint in endpoints))
        _ATTACH.hit()
        if request.ports:
            self._wiring.check_reachable(endpoints)
            self._table.put_publication(network_spec.Publication(request.container_id, request.ports))
        return network_spec.Sandbox(
            namespace=self._sandboxes.path(request.container_id),
            addresses=tuple((endpoint.network, address) for endpoint in endpoints for address in endpoint.addresses),
            nameservers=self._wiring.nameservers(endpoints),
        )

    async def hand_over(self, container_id: str, open_namespace: Callable[[], int]) -> None:
        """Leave a container's namespace to its processes from now on, as ``Sandboxes.hand_over`` does."""
        await self._sandboxes.hand_over(container_id, open_namespace)

    async def announce(self, container_id: str) -> None:
        """Publish an attached container: its name in DNS, its ports in the firewall."""
        endpoints = self._table.of_container(container_id)
        for endpoint in endpoints:
            self._dns.put_endpoint(endpoint)
        if self._table.publication(container_id) is not None:
            await self._firewall.update(container_id)
        if self._wiring.nameservers(endpoints):
            await self._dns.apply()

    async def detach(self, container_id: str) -> None:
        """Remove a container's network; one that has none is no failure."""
        is_named = bool(self._table.of_container(container_id))
        if await self._delete_sandbox(container_id):
            await self._firewall.update(container_id)
        if is_named:
            await self._dns.apply()

    async def connect(
        self, container_id: str, name: str, attachment: container_spec.Attachment
    ) -> tuple[network_spec.Address, ...]:
        """Connect a running container to another network and return its addresses there."""
        endpoint = self._leases.lease(container_id, name, attachment)
        is_routed = endpoint == self._wiring.default_route_endpoint(self._table.of_container(container_id))
        connection = self._wiring.connection(endpoint, is_routed=is_routed)
        try:
            addresses = await self._sandboxes.connect(container_id, connection)
        except BaseException:
            self._table.delete_endpoint(container_id, attachment.network)
            raise
        self._leases.settle(endpoint, addresses)
        self._health.attached(container_id, attachment.network)
        await self._firewall.update(container_id)  # its ports may be in this network now
        await self.announce(container_id)
        return addresses

    async def disconnect(self, container_id: str, network: str) -> None:
        """Disconnect a running container from a network; one that is not connected is no failure."""
        held = self._table.of_container(container_id)
        leaving = next((endpoint for endpoint in held if endpoint.network == network), None)
        if leaving is None:
            return
        routed = self._wiring.default_route_endpoint([endpoint for endpoint in held if endpoint is not leaving])
        gateway = None if routed is None else self._wiring.gateway(routed)
        self._health.detached(container_id, network)
        connection = self._wiring.connection(leaving, is_routed=False)
        await self._sandboxes.disconnect(container_id, connection, gateway)
        self._table.delete_endpoint(container_id, network)
        self._dns.delete_endpoint(leaving)
        await self._firewall.update(container_id)
        await self._dns.apply()

    async def rename(self, container_id: str, name: str) -> None:
        """Change a container's name in DNS."""
        for endpoint in self._table.of_container(container_id):
            renamed = dataclasses.replace(endpoint, container_name=name)
            self._table.put_endpoint(renamed)
            self._dns.put_endpoint(renamed)
        await self._dns.apply()

    async def restore(self, live: Mapping[str, Callable[[], int]]) -> None:
        """Make the host agree with the records: remove what belongs to no live container, create or mend the rest.

        ``live``: what opens the network namespace of each container that runs, as ``hand_over`` takes it, by id.
        """
        self._is_ours, self._is_tcp_ours = True, not await aardvark.serves_tcp()
        self._health.host.listen()
        for container_id in (self._table.containers() | self._sandboxes.marked()) - set(live):
            await self._delete_sandbox(container_id)
        held = (self._table.containers() | self._sandboxes.marked()) & live.keys()
        for container_id in held:
            with contextlib.suppress(errors.Unavailable):  # no descriptor is left: the mount goes on keeping it
                await self._sandboxes.hand_over(container_id, live[container_id])
        self._sandboxes.mark(held)
        await self._threads.run(self._health.host.load)
        strangers = sorted(self._present() - self._wiring.expected_links())
        await self._threads.run(lambda: links.delete(strangers))
        for container_id in self._table.containers():
            networks = (endpoint.network for endpoint in self._table.of_container(container_id))
            self._health.attached(container_id, *networks)
        for record in self._table.networks():
            await self._ensure(record)
            await self._mend(record)
        for publication in self._table.publications():
            with contextlib.suppress(errors.Conflict):  # taken while no agent ran: what runs keeps it, by the firewall
                self._claims.claim(publication.container_id, publication.ports)
        with contextlib.suppress(errors.Unavailable):  # no network is healthy then: mending it will say why
            await self._publish()

    async def leftovers(self, live: Collection[str]) -> tuple[str, ...]:
        """Return what is on the host and belongs to nothing. For the leak check."""
        await self._threads.run(self._health.host.load)
        links = [f"link {name}" for name in sorted(self._present() - self._wiring.expected_links())]
        leases = [f"lease of {container_id}" for container_id in self._table.containers() - set(live)]
        spaces = [f"network namespace {container_id}" for container_id in self._sandboxes.marked() - set(live)]
        tables = ["nft table"] if not self._table.networks() and self._firewall.present() else []
        pids = [server.pid() for server in self._dns.servers if not server.files]
        servers = ["aardvark-dns" for pid in pids if pid is not None]
        return (*links, *leases, *spaces, *tables, *servers)

    def namespace(self, container_id: str) -> pathlib.Path:
        """Return where a container's namespace is kept while it is created, and marked afterwards."""
        return self._sandboxes.path(container_id)

    def nameservers(self, container_id: str) -> tuple[str, ...]:
        """Return a container's DNS servers; none: the host's own resolvers."""
        return self._wiring.nameservers(self._table.of_container(container_id))

    def former_nameservers(self, container_id: str) -> tuple[str, ...]:
        """Return a container's DNS servers as configured by releases with one server for every network."""
        return self._wiring.former_nameservers(self._table.of_container(container_id))

    def _completed(self, network: network_spec.NetworkSpec) -> network_spec.NetworkSpec:
        taken = [*links.networks(), *self._wiring.subnets()]
        return self._drivers.of(network).complete(network, taken)

    async def _ensure(self, record: network_spec.NetworkRecord) -> None:
        """Make what a network is on the host or mend it, and let the host forward what its containers send."""

        def ensure() -> None:
            network_driver.ensure(record)
            if network_driver.is_gateway:
                others = [name for name in links.names() if not name.startswith(self._prefixes) and name != "lo"]
                sysctls.turn_on_forwarding(self._where.forwarding, others)

        network_driver = self._drivers.of(record.spec)
        await self._threads.run(ensure)
        if network_driver.is_gateway:
            self._dns.put_network(record, self._table.of_network(record.name))

    async def _mend(self, record: network_spec.NetworkRecord) -> None:
        """Repair the connections of a network's containers."""
        for connection in await self._health.broken(record):
            await self._sandboxes.mend(connection.endpoint.container_id, connection)
        await self._health.broken(record)  # the cache now has them as intact

    async def _delete_sandbox(self, container_id: str) -> bool:
        """Remove a container's connections, namespace and leases; True where it had published ports."""
        endpoints = self._table.of_container(container_id)
        self._health.detached(container_id)
        if endpoints or self._sandboxes.holds(container_id):
            connections = [self._wiring.connection(endpoint, is_routed=False) for endpoint in endpoints]
            await self._sandboxes.delete(container_id, connections)
        _DETACH.hit()
        for endpoint in endpoints:
            self._table.delete_endpoint(container_id, endpoint.network)
            self._dns.delete_endpoint(endpoint)
        self._claims.release(container_id)
        return self._table.delete_publication(container_id)

    async def _publish(self) -> None:
        if self._table.networks():
            await self._firewall.apply()
        else:
            await self._firewall.remove()
        await self._dns.apply()
        if self._is_tcp_ours:
            await self._tcp.listen({str(gateway): not internal for gateway, internal in self._servers().items()})

    def _ruleset_input(self) -> firewall.RulesetInput:
        return self._wiring.ruleset_input(sysctls.turned_on_for(self._where.forwarding))

    def _servers(self) -> dict[network_spec.Address, bool]:
        """Return the addresses at which DNS servers of ours have port 53, and whether they are internal ones."""
        return {
            subnet.gateway: record.spec.internal
            for record in filter(self._wiring.is_named, self._table.networks())
            for subnet in record.spec.subnets
            if subnet.gateway is not None
        }

    @property
    def _prefixes(self) -> tuple[str, str]:
        """Prefixes of the names of the instance's links."""
        return f"tt{self._where.instance}-", f"v{self._where.instance}"

    def _present(self) -> set[str]:
        return set(self._health.host.named(*self._prefixes))
