"""Derivation of the host's state from the records: connections, default routes, forwardings and links."""

import ipaddress
from collections.abc import Collection, Iterable

from agent import errors
from agent.engine.network import driver, firewall, ipam, table
from agent.engine.network.ruleset import Forwarding
from agent.engine.spec import network as network_spec
from agent.reasons import Reason


class Wiring:
    """Derives the host's state from an instance's records, and changes nothing."""

    def __init__(self, records: table.Table, drivers: driver.Drivers) -> None:
        """Take the records, and the drivers of networks."""
        self._table = records
        self._drivers = drivers

    def connections(self, endpoints: Collection[network_spec.Endpoint]) -> list[driver.Connection]:
        """Return the connections of one container's endpoints; the default route leads by one of them."""
        default_route_endpoint = self.default_route_endpoint(endpoints)
        return [self.connection(endpoint, is_routed=endpoint == default_route_endpoint) for endpoint in endpoints]

    def connection(self, endpoint: network_spec.Endpoint, *, is_routed: bool) -> driver.Connection:
        """Return an endpoint's connection."""
        gateway = self.gateway(endpoint) if is_routed else None
        return driver.Connection(endpoint, self._table.network(endpoint.network), gateway)

    def default_route_endpoint(self, endpoints: Iterable[network_spec.Endpoint]) -> network_spec.Endpoint | None:
        """Return the endpoint of a container's default route and published ports; ``None`` if all are internal."""
        return next((end for end in endpoints if not self._table.network(end.network).spec.internal), None)

    def gateway(self, endpoint: network_spec.Endpoint) -> network_spec.Address | None:
        """Return the host's address in an endpoint's subnet; ``None`` where it has none."""
        return ipam.gateway(self._table.network(endpoint.network).spec.subnets, endpoint.addresses)

    def nameservers(self, endpoints: Collection[network_spec.Endpoint]) -> tuple[str, ...]:
        """Return a container's DNS servers: forwarding ones, or internal ones where it has no others.

        A server that forwards knows the names of all of its networks; the others would answer that
        names outside do not exist.
        """
        named = self.named(endpoints)
        forwarding = [endpoint for endpoint in named if not self._table.network(endpoint.network).spec.internal]
        return self._gateways(forwarding or named)

    def former_nameservers(self, endpoints: Collection[network_spec.Endpoint]) -> tuple[str, ...]:
        """Return a container's DNS servers as configured by releases with one server for every network."""
        return self._gateways(self.named(endpoints))

    def named(self, endpoints: Collection[network_spec.Endpoint]) -> list[network_spec.Endpoint]:
        """Return the endpoints in networks that answer for names."""
        return [endpoint for endpoint in endpoints if self.is_named(self._table.network(endpoint.network))]

    def is_named(self, record: network_spec.NetworkRecord) -> bool:
        """Return whether a DNS server of ours answers for names in a network."""
        return record.spec.dns and self._drivers.of(record.spec).is_gateway

    def forwardings(self, container_id: str) -> tuple[Forwarding, ...]:
        """Return where a container's published ports lead."""
        publication = self._table.publication(container_id)
        if publication is None:
            return ()
        address = self._published_address(self._table.of_container(container_id))
        return () if address is None else tuple(Forwarding(port, address) for port in publication.ports)

    def ruleset_input(self, routed: tuple[str, ...]) -> firewall.RulesetInput:
        """Return the inputs of the firewall's ruleset."""
        publications = self._table.publications()
        ports = {publication.container_id: self.forwardings(publication.container_id) for publication in publications}
        ruled = tuple(record for record in self._table.networks() if self._drivers.of(record.spec).is_gateway)
        return firewall.RulesetInput(ruled, ports, routed)

    def check_reachable(self, endpoints: Collection[network_spec.Endpoint]) -> None:
        """Raise ``errors.InvalidArgument`` where ports would be published and nobody could reach them."""
        if self._published_address(endpoints) is None:
            raise errors.InvalidArgument(
                "ports can only be published by a container in a network that is not internal",
                reason=Reason.PORT_UNREACHABLE,
            )

    def subnets(self) -> list[network_spec.Range]:
        """Return the subnets of all networks."""
        return [subnet.subnet for record in self._table.networks() for subnet in record.spec.subnets]

    def expected_links(self) -> set[str]:
        """Return the names of all links that the records account for."""
        records = self._table.networks()
        own = {name for record in records for name in self._drivers.of(record.spec).links(record)}
        return own | set(filter(None, map(self.link, self._table.endpoints())))

    def link(self, endpoint: network_spec.Endpoint) -> str | None:
        """Return the host's link of an endpoint; ``None`` where it has none."""
        return self._drivers.of(self._table.network(endpoint.network).spec).link(endpoint)

    def _gateways(self, endpoints: Iterable[network_spec.Endpoint]) -> tuple[str, ...]:
        return tuple(str(gateway) for gateway in map(self.gateway, endpoints) if gateway is not None)

    def _published_address(self, endpoints: Collection[network_spec.Endpoint]) -> ipaddress.IPv4Address | None:
        """Return the address that published ports lead to; ``None`` where the host leads nothing there."""
        endpoint = self.default_route_endpoint(endpoints)
        if endpoint is None or not self._drivers.of(self._table.network(endpoint.network).spec).is_gateway:
            return None
        return next((address for address in endpoint.addresses if isinstance(address, ipaddress.IPv4Address)), None)
