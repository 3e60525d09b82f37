"""Bridges and cables: what is done by netlink, blocking and quick, for the network room's threads."""

import contextlib
import dataclasses
import errno
import ipaddress
import pathlib
import socket
import struct
from collections.abc import Sequence

from agent.engine import errors
from agent.engine.kernel import api
from agent.engine.network import ipam, namespaces, netlink, spec
from agent.kit import failpoint

_NAMESPACE = failpoint.register("network.namespace")

_LOOPBACK_INDEX = 1
"""``lo`` is the first link of every namespace."""
_ROUTES = pathlib.Path("/proc/net/route")
_NETWORK_PREFIX = 8
"""Shorter ones lead out, whole or in halves (0.0.0.0/1 and 128.0.0.0/1: how VPNs overrule a default route)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Cable:
    """A veth pair to be: one end on a bridge, the other in a container."""

    veth: str
    bridge: str
    interface: str
    address: str
    prefix: int
    gateway: str | None
    """Where the default route leads; ``None``: no default route by this one."""
    mtu: int | None


def ensure_bridge(record: spec.NetworkRecord) -> None:
    """Make a bridge with its gateways' addresses, or mend one that lacks them."""
    with netlink.Netlink() as host:
        if index_of(record.bridge) is None:
            host.perform([netlink.bridge(record.bridge, record.spec.mtu)])
        index = require(record.bridge)
        addresses = [
            netlink.address(index, str(subnet.gateway), ipaddress.IPv4Network(subnet.subnet).prefixlen)
            for subnet in record.spec.subnets
        ]
        host.perform([*addresses, netlink.link_up(index)])
    for setting in (f"conf/{record.bridge}/route_localnet", "ip_forward"):
        sysctl(setting, "1")


def sysctl(name: str, value: str) -> None:
    """Set one of net.ipv4's settings where it is not so already."""
    path = pathlib.Path("/proc/sys/net/ipv4", name)
    if path.read_text().strip() != value:
        path.write_text(value)


def plug_in(kernel: api.Kernel, path: pathlib.Path, cables: Sequence[Cable]) -> None:
    """Make a container's namespace with loopback and its cables. After a failure nothing of it is left."""
    with namespaces.made(kernel, path) as (namespace, inside), netlink.Netlink() as host:
        _NAMESPACE.hit()
        inside.perform([netlink.link_up(_LOOPBACK_INDEX)])
        for cable in cables:
            _connect(host, inside, namespace, cable)


def add_cable(kernel: api.Kernel, path: pathlib.Path, cable: Cable) -> None:
    """Connect a namespace that is there to one more bridge."""
    with namespaces.entered(kernel, path) as (namespace, inside), netlink.Netlink() as host:
        _connect(host, inside, namespace, cable)


def route_by(kernel: api.Kernel, path: pathlib.Path, gateway: str) -> None:
    """Let a namespace's default route lead to a gateway; one that has just ended with its container needs none."""
    with contextlib.suppress(FileNotFoundError), namespaces.entered(kernel, path) as (_, inside):
        inside.perform([netlink.default_route(gateway)])


def unplug(kernel: api.Kernel, path: pathlib.Path, veths: Sequence[str]) -> None:
    """Take cables and namespace away. The cables go first and at once: a namespace dies when the kernel gets to it."""
    delete(veths)
    namespaces.remove(kernel, path)


def delete(names: Sequence[str]) -> None:
    """Remove links; those that are gone already are no failure."""
    with netlink.Netlink() as host:
        for name in names:
            index = index_of(name)
            if index is not None:
                with netlink.absent_is_fine():
                    host.perform([netlink.delete_link(index)])


def plug_into(bridge: str, veths: Sequence[str]) -> None:
    """Put cables back on a bridge that was made anew."""
    with netlink.Netlink() as host:
        for veth in veths:
            index = index_of(veth)
            if index is not None:
                host.perform([netlink.set_master(index, require(bridge)), netlink.hairpin(veth)])


def names(prefixes: tuple[str, ...]) -> list[str]:
    """Give the links whose names begin so."""
    with netlink.Netlink() as host:
        return sorted(name for name in host.links() if name.startswith(prefixes))


def index_of(name: str) -> int | None:
    """Give a link's index, or ``None``."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


def require(name: str) -> int:
    """Give a link's index. Raises ``errors.Unavailable`` where somebody has removed it."""
    index = index_of(name)
    if index is None:
        raise errors.Unavailable(
            f"bridge {name} is gone", hint="its network is mended by the next pass", reason="NetworkBroken"
        )
    return index


def host_networks() -> list[ipaddress.IPv4Network]:
    """Give the networks that this host has routes to, the ways out apart."""
    return [network for _, network in routes(_ROUTES.read_text()) if network.prefixlen >= _NETWORK_PREFIX]


def whole(record: spec.NetworkRecord) -> bool:
    """Tell whether a bridge is there, up, and has its addresses: only then the kernel has routes to its subnets."""
    there = routes(_ROUTES.read_text())
    return all((record.bridge, ipaddress.IPv4Network(one.subnet)) in there for one in record.spec.subnets)


def routes(text: str) -> list[tuple[str, ipaddress.IPv4Network]]:
    """Read /proc/net/route: (link, destination)."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        destination, mask = (ipaddress.IPv4Address(struct.pack("=I", int(fields[index], 16))) for index in (1, 7))
        found.append((fields[0], ipaddress.IPv4Network(f"{destination}/{mask}", strict=False)))
    return found


def _connect(host: netlink.Netlink, inside: netlink.Netlink, namespace: int, cable: Cable) -> None:
    options = (ipam.hardware_address(cable.address), cable.mtu)
    pair = netlink.veth(cable.veth, require(cable.bridge), cable.interface, namespace, options)
    try:
        host.perform([pair])
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
        delete([cable.veth])  # what a crash has left of this very cable
        host.perform([pair])
    index = inside.links()[cable.interface]
    messages = [netlink.address(index, cable.address, cable.prefix), netlink.link_up(index)]
    if cable.gateway is not None:
        messages.append(netlink.default_route(cable.gateway))
    with contextlib.ExitStack() as undo:
        undo.callback(delete, [cable.veth])
        host.perform([netlink.hairpin(cable.veth)])
        inside.perform(messages)
        undo.pop_all()
