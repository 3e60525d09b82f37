"""The instance's networks: made and removed, attached and detached, and the host made to agree after anything."""

import contextlib
import dataclasses
import hashlib
import ipaddress
import pathlib
from collections.abc import Collection, Iterable, Sequence
from typing import Self

from agent.engine import errors, layout, records
from agent.engine.containers import spec as containers
from agent.engine.kernel import api
from agent.engine.network import dns, firewall, ipam, links, namespaces, ports, spec, table
from agent.kit import failpoint

SCHEMA = table.SCHEMA

_LEASE = failpoint.register("network.lease")
_ATTACH = failpoint.register("network.attach")
_DETACH = failpoint.register("network.detach")
_CREATE = failpoint.register("network.create")
_REMOVE = failpoint.register("network.remove")


class Networks:
    """All networks of an instance."""

    def __init__(self, where: layout.Layout, database: records.Database, kernel: api.Kernel) -> None:
        """Read the records; nothing on the host is looked at or changed yet."""
        self._where = where
        self._table = table.Table(database, where.instance)
        self._kernel = kernel
        self._threads = namespaces.Threads()
        self._claims = ports.Claims()
        self._firewall = firewall.Firewall(f"trimtab-{where.instance}", self._picture)
        self._dns = dns.Dns(where.dns, self._dns_files)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._claims.close()
        self._threads.close()

    def list(self) -> tuple[spec.NetworkRecord, ...]:
        """Give all networks, sorted by name."""
        return self._table.networks()

    def healthy(self, record: spec.NetworkRecord) -> bool:
        """Tell whether all is there that a network needs: its bridge, the firewall, the DNS server."""
        served = not record.spec.dns or self._dns.serves(record.name)
        return served and links.whole(record) and self._firewall.present()

    async def create(self, wanted: spec.NetworkSpec) -> spec.NetworkRecord:
        """Make a network, or mend one that is there and give it its labels.

        Raises ``errors.Conflict`` (``SubnetInUse``).
        """
        present = self._table.find(wanted.name)
        if present is None:
            record = self._table.put_network(self._completed(wanted))
        elif present.spec.labels != wanted.labels:
            record = self._table.put_network(dataclasses.replace(present.spec, labels=wanted.labels))
        else:
            record = present
        _CREATE.hit()
        await self._ensure(record)
        await self._publish()
        return record

    async def remove(self, name: str) -> None:
        """Remove a network. Raises ``errors.NotFound``, ``errors.InUse`` while containers are attached."""
        record = self._table.network(name)
        users = sorted(one.container_name for one in self._table.of_network(name))
        if users:
            raise errors.InUse(f"network {name} is used by {', '.join(users)}", hint="stop them first")
        await self._threads.run(lambda: links.delete([record.bridge]))
        _REMOVE.hit()
        self._table.delete_network(name)
        await self._publish()

    async def attach(self, request: spec.AttachRequest) -> spec.Sandbox:
        """Make a container's namespace and connect it; others find it after ``announce``.

        Raises ``errors.Conflict`` (``PortInUse``, ``AddressInUse``).
        """
        self._claims.claim(request.container_id, request.ports)
        endpoints = [self._lease(request.container_id, request.name, one) for one in request.attachments]
        _LEASE.hit()
        path = self.namespace(request.container_id)
        way_out = self._way_out(endpoints)
        cables = [self._cable(endpoint, routed=endpoint == way_out) for endpoint in endpoints]
        await self._threads.run(lambda: links.plug_in(self._kernel, path, cables))
        _ATTACH.hit()
        if request.ports:
            self._check_reachable(endpoints)
            self._table.put_publication(spec.Publication(request.container_id, request.ports))
        return spec.Sandbox(path, tuple((one.network, one.address) for one in endpoints), self._nameservers(endpoints))

    async def announce(self, container_id: str) -> None:
        """Let an attached container be found: its name by DNS, its published ports through the firewall."""
        endpoints = self._table.of_container(container_id)
        if any(one.container_id == container_id for one in self._table.publications()):
            await self._firewall.apply()
        if self._nameservers(endpoints):
            await self._dns.apply()

    async def detach(self, container_id: str) -> None:
        """Take a container's network away; one that has none is no failure."""
        named = bool(self._table.of_container(container_id))
        if await self._unplug(container_id):
            await self._firewall.apply()
        if named:
            await self._dns.apply()

    async def connect(self, container_id: str, name: str, attachment: containers.Attachment) -> str:
        """Connect a running container to one more network and give its address there."""
        endpoint = self._lease(container_id, name, attachment)
        routed = endpoint == self._way_out(self._table.of_container(container_id))
        cable, path = self._cable(endpoint, routed=routed), self.namespace(container_id)
        try:
            await self._threads.run(lambda: links.add_cable(self._kernel, path, cable))
        except BaseException:
            self._table.delete_endpoint(container_id, attachment.network)
            raise
        await self._publish()
        return endpoint.address

    async def disconnect(self, container_id: str, network: str) -> None:
        """Disconnect a running container from a network; one that is not connected is no failure."""
        held = self._table.of_container(container_id)
        found = [one for one in held if one.network == network]
        if not found:
            return
        veths = [self._veth(one) for one in found]
        way_out = self._way_out([one for one in held if one.network != network])

        def unplug() -> None:
            links.delete(veths)
            if way_out is not None:
                links.route_by(self._kernel, self.namespace(container_id), self._gateway(way_out))

        await self._threads.run(unplug)
        self._table.delete_endpoint(container_id, network)
        await self._publish()

    async def rename(self, container_id: str, name: str) -> None:
        """Let DNS know a container by another name."""
        for endpoint in self._table.of_container(container_id):
            self._table.put_endpoint(dataclasses.replace(endpoint, container_name=name))
        await self._dns.apply()

    async def restore(self, live: Collection[str]) -> None:
        """Make the host agree with the records: what belongs to no live container goes, all else is there and whole."""
        for container_id in (self._table.containers() | self._namespaces()) - set(live):
            await self._unplug(container_id)
        strangers = [name for name in await self._threads.run(self._present) if name not in self._expected()]
        await self._threads.run(lambda: links.delete(strangers))
        for record in self._table.networks():
            await self._ensure(record)
        for publication in self._table.publications():
            with contextlib.suppress(errors.Conflict):  # taken while no agent ran: what runs keeps it, by the firewall
                self._claims.claim(publication.container_id, publication.ports)
        with contextlib.suppress(errors.Unavailable):  # no network is healthy then: mending it will say why
            await self._publish()

    async def leftovers(self, live: Collection[str]) -> tuple[str, ...]:
        """Name what is on the host and belongs to nothing. For the leak check."""
        links_left = [f"link {name}" for name in await self._threads.run(self._present) if name not in self._expected()]
        leases = [f"lease of {container_id}" for container_id in self._table.containers() - set(live)]
        spaces = [f"network namespace {container_id}" for container_id in self._namespaces() - set(live)]
        table_left = not self._table.networks() and self._firewall.present()
        server_left = not self._table.networks() and self._dns.pid() is not None
        others = ["nft table"] * table_left + ["aardvark-dns"] * server_left
        return (*links_left, *leases, *spaces, *others)

    def namespace(self, container_id: str) -> pathlib.Path:
        """Give where a container's namespace is kept."""
        return self._where.namespaces / container_id

    def _completed(self, wanted: spec.NetworkSpec) -> spec.NetworkSpec:
        own = [ipaddress.IPv4Network(one.subnet) for record in self._table.networks() for one in record.spec.subnets]
        taken = [*links.host_networks(), *own]
        subnets = ipam.complete(wanted.subnets, taken, int(self._where.instance, 16))
        return dataclasses.replace(wanted, subnets=subnets)

    async def _ensure(self, record: spec.NetworkRecord) -> None:
        veths = [self._veth(endpoint) for endpoint in self._table.of_network(record.name)]
        mended = not links.whole(record)

        def ensure() -> None:
            links.ensure_bridge(record)
            if mended:
                links.plug_into(record.bridge, veths)

        await self._threads.run(ensure)

    async def _unplug(self, container_id: str) -> bool:
        """Take a container's cables, namespace and leases away; True where it had published ports."""
        endpoints = self._table.of_container(container_id)
        path = self.namespace(container_id)
        if endpoints or path.exists():
            veths = [self._veth(one) for one in endpoints]
            await self._threads.run(lambda: links.unplug(self._kernel, path, veths))
        _DETACH.hit()
        for endpoint in endpoints:
            self._table.delete_endpoint(container_id, endpoint.network)
        self._claims.release(container_id)
        return self._table.delete_publication(container_id)

    async def _publish(self) -> None:
        if self._table.networks():
            await self._firewall.apply()
        else:
            await self._firewall.remove()
        await self._dns.apply()

    def _lease(self, container_id: str, name: str, attachment: containers.Attachment) -> spec.Endpoint:
        record = self._table.network(attachment.network)
        held = self._table.of_container(container_id)
        own = next((one for one in held if one.network == attachment.network), None)
        used = {one.interface for one in held}
        interface = own.interface if own else next(f"eth{n}" for n in range(len(used) + 1) if f"eth{n}" not in used)
        taken = {one.address for one in self._table.of_network(record.name) if one.container_id != container_id}
        address = ipam.address(record.spec.subnets, taken, attachment.ipv4, self._table.last_address(record.name))
        endpoint = spec.Endpoint(container_id, name, record.name, interface, address, attachment.aliases)
        self._table.put_endpoint(endpoint)
        return endpoint

    def _cable(self, endpoint: spec.Endpoint, *, routed: bool) -> links.Cable:
        record = self._table.network(endpoint.network)
        return links.Cable(
            veth=self._veth(endpoint),
            bridge=record.bridge,
            interface=endpoint.interface,
            address=endpoint.address,
            prefix=ipam.prefix(record.spec.subnets, endpoint.address),
            gateway=self._gateway(endpoint) if routed else None,
            mtu=record.spec.mtu,
        )

    def _way_out(self, endpoints: Iterable[spec.Endpoint]) -> spec.Endpoint | None:
        """Give where a container's default route leads, and where its published ports are: none if all are internal."""
        return next((one for one in endpoints if not self._table.network(one.network).spec.internal), None)

    def _gateway(self, endpoint: spec.Endpoint) -> str:
        return ipam.gateway(self._table.network(endpoint.network).spec.subnets, endpoint.address)

    def _veth(self, endpoint: spec.Endpoint) -> str:
        mark = hashlib.sha256(f"{endpoint.container_id}/{endpoint.network}".encode()).hexdigest()
        return f"v{self._where.instance}{mark[:8]}"

    def _check_reachable(self, endpoints: Collection[spec.Endpoint]) -> None:
        if self._way_out(endpoints) is None:
            raise errors.Refused(
                "ports can only be published by a container in a network that is not internal", reason="PortUnreachable"
            )

    def _nameservers(self, endpoints: Collection[spec.Endpoint]) -> tuple[str, ...]:
        return tuple(self._gateway(one) for one in endpoints if self._table.network(one.network).spec.dns)

    def _picture(self) -> firewall.Picture:
        forwardings = []
        for publication in self._table.publications():
            way_in = self._way_out(self._table.of_container(publication.container_id))
            if way_in is not None:
                forwardings += [firewall.Forwarding(port, way_in.address) for port in publication.ports]
        return firewall.Picture(self._table.networks(), tuple(forwardings))

    def _dns_files(self) -> dict[str, str]:
        return {
            record.name: dns.text(record, self._table.of_network(record.name))
            for record in self._table.networks()
            if record.spec.dns
        }

    def _present(self) -> Sequence[str]:
        return links.names((f"tt{self._where.instance}-", f"v{self._where.instance}"))

    def _expected(self) -> set[str]:
        bridges = {record.bridge for record in self._table.networks()}
        return bridges | {self._veth(endpoint) for endpoint in self._table.endpoints()}

    def _namespaces(self) -> frozenset[str]:
        return frozenset(entry.name for entry in self._where.namespaces.iterdir())
