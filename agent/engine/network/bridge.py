"""The ``bridge`` driver: a bridge a network, whose addresses are the gateways, and a veth pair a container."""

import contextlib
import errno
import functools
import hashlib
from collections.abc import Collection, Iterator, Sequence

from agent import errors
from agent.engine.network import driver, hostlinks, ipam, links, netlink, sysctls
from agent.engine.spec import network as network_spec
from agent.reasons import Reason

NAME = "bridge"
_EXFULL = 54
"""The error number for a bridge without a free port."""
_PORTS = 1023
"""The kernel's limit of a bridge's ports."""


class BridgeDriver:
    """``driver.NetworkDriver`` by bridges and veth pairs, IPv4 only."""

    is_gateway = True

    def __init__(self, instance: str) -> None:
        """Take the instance, which is part of every name."""
        self._instance = instance

    def complete(
        self, network: network_spec.NetworkSpec, taken: Collection[network_spec.Range]
    ) -> network_spec.NetworkSpec:
        """Choose a subnet where none is asked for, and gateways."""
        return ipam.complete(network, taken, int(self._instance, 16))

    def lease(
        self,
        pool: ipam.Addresses,
        fixed: network_spec.Address | None,
        held: Collection[network_spec.Address],
    ) -> tuple[network_spec.Address, ...]:
        """Choose one address."""
        return (pool.choose(fixed, held),)

    def ensure(self, record: network_spec.NetworkRecord) -> None:
        """Create a bridge with its gateways' addresses, or mend one that lacks them."""
        with netlink.Netlink() as host:
            if links.index_of(record.bridge) is None:
                host.perform([netlink.bridge(record.bridge, record.spec.mtu)])
            index = _require(record.bridge)
            sysctls.set_bridge(record.bridge)
            addresses = [
                netlink.address(index, subnet.gateway, subnet.subnet.prefixlen)
                for subnet in record.spec.subnets
                if subnet.gateway is not None
            ]
            size = [netlink.set_mtu(index, record.spec.mtu)] if record.spec.mtu is not None else []
            host.perform([*size, *addresses, netlink.link_up(index)])

    def remove(self, record: network_spec.NetworkRecord) -> None:
        """Remove the bridge."""
        links.delete([record.bridge])

    def connect(self, namespace: driver.Namespace, connection: driver.Connection) -> tuple[network_spec.Address, ...]:
        """Make a veth pair, with one end on the bridge and the other one, with the endpoint's address, inside."""
        with netlink.Netlink() as host:
            self._connect(host, namespace, connection)
        return connection.endpoint.addresses

    def mend(self, namespace: driver.Namespace, connection: driver.Connection) -> None:
        """Restore a veth pair, or what it lacks: bridge, state, address, route."""
        veth = self.link(connection.endpoint)
        with netlink.Netlink() as host:
            index, inner = links.index_of(veth), namespace.inside.find(connection.endpoint.interface)
            if index is None or inner is None:
                links.delete([veth])
                self._connect(host, namespace, connection)
                return
            bridge = _require(connection.network.bridge)
            host.perform([netlink.set_master(index, bridge), netlink.hairpin(veth), netlink.link_up(index)])
            namespace.inside.perform(_configuration(inner, connection))

    def disconnect(self, connections: Sequence[driver.Connection]) -> None:
        """Remove veth pairs, all in one call of the kernel."""
        links.delete([self.link(connection.endpoint) for connection in connections])

    def links(self, record: network_spec.NetworkRecord) -> Collection[str]:
        """Return the bridge."""
        return (record.bridge,)

    def link(self, endpoint: network_spec.Endpoint) -> str:
        """Return the name of a veth pair's outer end."""
        return _veth(self._instance, endpoint.container_id, endpoint.network)

    def problems(self, record: network_spec.NetworkRecord, host: hostlinks.HostLinks) -> Iterator[str]:
        """Yield what a bridge lacks: itself, its state, its MTU, addresses."""
        bridge = host.links.get(record.bridge)
        if bridge is None:
            yield f"bridge {record.bridge} is gone"
            return
        if not bridge.flags & hostlinks.UP:
            yield f"bridge {record.bridge} is down"
        if record.spec.mtu is not None and bridge.mtu != record.spec.mtu:
            yield f"bridge {record.bridge} has an MTU of {bridge.mtu}"
        held = host.addresses.get(bridge.index, set())
        for subnet in record.spec.subnets:
            address = f"{subnet.gateway}/{subnet.subnet.prefixlen}"
            if address not in held:
                yield f"bridge {record.bridge} lacks its address {address}"

    def settings_problems(self, record: network_spec.NetworkRecord) -> Sequence[str]:
        """Return the bridge's settings that are not as they should be."""
        return [f"{name} is not set" for name in sysctls.of_bridge(record.bridge)]

    def connection_problems(self, connection: driver.Connection, host: hostlinks.HostLinks) -> Iterator[str]:
        """Check a veth pair from the host: one whose inner end is down has no carrier."""
        veth, bridge = host.links.get(self.link(connection.endpoint)), host.links.get(connection.network.bridge)
        if veth is None:
            yield "its veth pair is gone"
        elif bridge is not None and veth.master != bridge.index:
            yield "its veth pair is not on the bridge"
        elif not veth.is_connected and not host.asked(veth.name).is_connected:
            yield "its veth pair is down"

    def _connect(self, host: netlink.Netlink, namespace: driver.Namespace, connection: driver.Connection) -> None:
        record, endpoint = connection.network, connection.endpoint
        veth, hardware = self.link(endpoint), ipam.hardware_address(endpoint.addresses)
        options = (hardware, record.spec.mtu)
        creation = netlink.veth(veth, _require(record.bridge), endpoint.interface, namespace.descriptor, options)
        try:
            host.perform([creation])
        except OSError as error:
            if error.errno == _EXFULL:
                raise errors.Unavailable(
                    f"bridge {record.bridge} has no port left: the kernel's limit is {_PORTS} containers a network",
                    hint="spread the containers over several networks",
                    reason=Reason.NETWORK_FULL,
                ) from error
            if error.errno != errno.EEXIST:
                raise
            links.delete([veth])  # the rest of this pair after a crash
            host.perform([creation])
        messages = _configuration(namespace.inside.index_of(endpoint.interface), connection)
        with contextlib.ExitStack() as undo:
            undo.callback(links.delete, [veth])
            host.perform([netlink.hairpin(veth)])
            namespace.inside.perform(messages)
            undo.pop_all()


def _configuration(index: int, connection: driver.Connection) -> list[netlink.Message]:
    """Return what gives a veth pair's inner end its addresses and route."""
    subnets = connection.network.spec.subnets
    addresses = connection.endpoint.addresses
    messages = [netlink.address(index, address, ipam.prefix(subnets, address)) for address in addresses]
    messages.append(netlink.link_up(index))
    if connection.gateway is not None:
        messages.append(netlink.default_route(connection.gateway))
    return messages


def _require(bridge: str) -> int:
    """Return a bridge's index. Raises ``errors.Unavailable`` where somebody has removed it."""
    index = links.index_of(bridge)
    if index is None:
        raise errors.Unavailable(
            f"bridge {bridge} is gone", hint="its network is mended by the next pass", reason=Reason.NETWORK_BROKEN
        )
    return index


@functools.lru_cache(maxsize=8192)
def _veth(instance: str, container_id: str, network: str) -> str:
    mark = hashlib.sha256(f"{container_id}/{network}".encode()).hexdigest()
    return f"v{instance}{mark[:8]}"
