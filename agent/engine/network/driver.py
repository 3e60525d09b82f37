"""What makes networks of one kind on the host and connects containers to them, behind one Protocol.

Calls of a driver block and are quick: they are made on the network room's threads, for different containers at the same
time. Each may be repeated after a crash, and makes then what is missing. ``tests/conformance/test_network_drivers.py``
says what every driver has to do.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

from agent import errors
from agent.engine.network import hostlinks, ipam, netlink
from agent.engine.spec import network as network_spec
from agent.kit import frozen


@frozen.value
class Namespace:
    """A container's network namespace, by a descriptor of it, and a netlink socket in it."""

    descriptor: int
    inside: netlink.Netlink


@frozen.value
class Connection:
    """An endpoint as it is to be on the host."""

    endpoint: network_spec.Endpoint
    network: network_spec.NetworkRecord
    gateway: network_spec.Address | None = None
    """The gateway of the container's default route; ``None`` where that is by another endpoint, or by none."""


class NetworkDriver(Protocol):
    """Networks of one kind."""

    @property
    def is_gateway(self) -> bool:
        """Whether the host is every network's gateway: published ports, rules and names are the engine's then."""

    def complete(
        self, network: network_spec.NetworkSpec, taken: Collection[network_spec.Range]
    ) -> network_spec.NetworkSpec:
        """Return a new network with what is chosen for it: subnets that are not taken, gateways.

        Raises ``errors.Conflict`` (``SubnetInUse``), ``errors.InvalidArgument`` for what the driver cannot do.
        """

    def lease(
        self,
        pool: ipam.Addresses,
        fixed: network_spec.Address | None,
        held: Collection[network_spec.Address],
    ) -> tuple[network_spec.Address, ...]:
        """Return the addresses that an endpoint is to have; none where ``connect`` says what they are.

        ``held``: those that the container has already, which are free for it. Raises as ``ipam.Addresses.choose``.
        """

    def ensure(self, record: network_spec.NetworkRecord) -> None:
        """Make what a network is on the host, or mend it."""

    def remove(self, record: network_spec.NetworkRecord) -> None:
        """Remove what a network is on the host; where nothing is left, that is no failure."""

    def connect(self, namespace: Namespace, connection: Connection) -> tuple[network_spec.Address, ...]:
        """Connect a namespace to a network, and return the addresses that it has there. A failure leaves nothing."""

    def mend(self, namespace: Namespace, connection: Connection) -> None:
        """Restore what a connection lacks, on the host and inside of the container."""

    def disconnect(self, connections: Sequence[Connection]) -> None:
        """Remove connections of one or more containers, together; missing ones are no failure.

        Their namespaces may be gone already.
        """

    def links(self, record: network_spec.NetworkRecord) -> Collection[str]:
        """Return the host's links that a network accounts for."""

    def link(self, endpoint: network_spec.Endpoint) -> str | None:
        """Return the host's link that an endpoint accounts for; ``None`` where it has none."""

    def problems(self, record: network_spec.NetworkRecord, host: hostlinks.HostLinks) -> Iterator[str]:
        """Yield what is wrong with a network itself, in a few words each, as the kernel's events tell it."""

    def settings_problems(self, record: network_spec.NetworkRecord) -> Sequence[str]:
        """Return what is wrong with a network itself that no event tells."""

    def connection_problems(self, connection: Connection, host: hostlinks.HostLinks) -> Iterator[str]:
        """Yield what is wrong with a connection on the host."""


class Drivers:
    """The drivers of an instance, by the names that networks have for them."""

    def __init__(self, drivers: Mapping[str, NetworkDriver]) -> None:
        """Take the drivers."""
        self._drivers = drivers

    def of(self, network: network_spec.NetworkSpec) -> NetworkDriver:
        """Return a network's driver. Raises ``errors.InvalidArgument`` where there is none of that name."""
        try:
            return self._drivers[network.driver]
        except KeyError as error:
            raise errors.InvalidArgument(
                f"network {network.name} needs the driver {network.driver}, which this release does not have",
                hint=f"choose one of {', '.join(sorted(self._drivers))}",
            ) from error

    def has(self, network: network_spec.NetworkSpec) -> bool:
        """Return whether there is a driver of a network's name for it."""
        return network.driver in self._drivers

    def of_connections(self, connections: Collection[Connection]) -> list[tuple[NetworkDriver, list[Connection]]]:
        """Return connections by their drivers."""
        grouped: dict[str, list[Connection]] = {}
        for connection in connections:
            grouped.setdefault(connection.network.spec.driver, []).append(connection)
        return [(self.of(group[0].network.spec), group) for group in grouped.values()]
