"""A network driver that chooses addresses only when it connects, two for each container: what CNI plugins may do.

It makes a veth pair whose two ends are both inside of the container: for tests of what the engine makes of addresses.
"""

import contextlib
import ipaddress
import itertools
import subprocess
from collections.abc import Collection, Iterator, Sequence

from agent import errors
from agent.engine.network import driver, hostlinks, ipam
from agent.engine.spec import network as network_spec

NAME = "choosing"


class ChoosingDriver:
    """``driver.NetworkDriver`` of networks that the host is not in."""

    is_gateway = False

    def __init__(self) -> None:
        """No network is there yet."""
        self._networks: set[str] = set()
        self._numbers = itertools.count(2)

    def complete(
        self, network: network_spec.NetworkSpec, taken: Collection[network_spec.Range]
    ) -> network_spec.NetworkSpec:
        """Take a network as it is asked for."""
        for subnet in network.subnets:
            if any(other.overlaps(subnet.subnet) for other in taken):
                raise errors.Conflict(f"{subnet.subnet} is in use", reason="SubnetInUse")
        return network

    def lease(
        self, pool: ipam.Addresses, fixed: network_spec.Address | None, held: Collection[network_spec.Address]
    ) -> tuple[network_spec.Address, ...]:
        """Leave the choice to ``connect``."""
        assert pool is not None
        assert fixed is None or fixed not in held
        return ()

    def ensure(self, record: network_spec.NetworkRecord) -> None:
        """Remember that the network is there."""
        self._networks.add(record.name)

    def remove(self, record: network_spec.NetworkRecord) -> None:
        """Forget it."""
        self._networks.discard(record.name)

    def connect(self, namespace: driver.Namespace, connection: driver.Connection) -> tuple[network_spec.Address, ...]:
        """Make the pair and choose its addresses, unless they are chosen already."""
        if connection.network.name not in self._networks:
            raise errors.Unavailable(f"network {connection.network.name} is gone", reason="NetworkBroken")
        number = next(self._numbers)
        chosen = (ipaddress.ip_address(f"10.250.0.{number}"), ipaddress.ip_address(f"10.251.0.{number}"))
        return self._make(namespace, connection.endpoint.at(connection.endpoint.addresses or chosen))

    def mend(self, namespace: driver.Namespace, connection: driver.Connection) -> None:
        """Make it anew."""
        self._make(namespace, connection.endpoint)

    def disconnect(self, connections: Sequence[driver.Connection]) -> None:
        """Do nothing: a pair goes with its namespace."""

    def links(self, record: network_spec.NetworkRecord) -> Collection[str]:
        """Return nothing: the host has no link of a network."""
        assert record.name
        return ()

    def link(self, endpoint: network_spec.Endpoint) -> str | None:
        """Return nothing: the host has no link of an endpoint."""
        assert endpoint.network
        return None

    def problems(self, record: network_spec.NetworkRecord, host: hostlinks.HostLinks) -> Iterator[str]:
        """Yield that a network is gone."""
        assert host is not None
        if record.name not in self._networks:
            yield f"network {record.name} is gone"

    def settings_problems(self, record: network_spec.NetworkRecord) -> Sequence[str]:
        """Return nothing: there are no settings."""
        assert record.name
        return ()

    def connection_problems(self, connection: driver.Connection, host: hostlinks.HostLinks) -> Iterator[str]:
        """Yield nothing: there is nothing on the host."""
        assert host is not None
        yield from () if connection.endpoint.network else ("it is in no network",)

    def _make(self, namespace: driver.Namespace, endpoint: network_spec.Endpoint) -> tuple[network_spec.Address, ...]:
        interface = endpoint.interface
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip(namespace, "link", "delete", interface)
        _ip(namespace, "link", "add", interface, "type", "veth", "peer", "name", f"{interface}-peer")
        for address in endpoint.addresses:
            _ip(namespace, "address", "add", f"{address}/24", "dev", interface)
        _ip(namespace, "link", "set", interface, "up")
        return endpoint.addresses


def _ip(namespace: driver.Namespace, *words: str) -> None:
    command = ["nsenter", f"--net=/proc/self/fd/{namespace.descriptor}", "ip", *words]
    subprocess.run(command, check=True, capture_output=True, pass_fds=(namespace.descriptor,))
