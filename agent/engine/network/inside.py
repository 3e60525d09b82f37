"""What is inside of a container's network namespace, whichever driver has connected it: addresses and routes."""

import ipaddress
import socket
import struct
from collections.abc import Sequence

from agent.engine.kernel import api
from agent.engine.network import driver, links, namespaces, netlink
from agent.engine.spec import network as network_spec

_GET_ADDRESS = 22
_ADDRESS = struct.Struct("=BBBBi")
_PEER, _LOCAL = 1, 2
"""Attributes with an address: IPv6 has it in the first where the second is missing."""


def problems(kernel: api.Kernel, descriptor: int, connections: Sequence[driver.Connection]) -> list[str]:
    """Return what is wrong inside of a namespace, given by a descriptor, in a few words each."""
    try:
        with namespaces.visited(kernel, descriptor), netlink.Netlink() as inside:
            routes = links.default_routes()
            held = _addresses(inside)
            interfaces = {connection.endpoint.interface for connection in connections}
            addresses = {name: held.get(inside.find(name) or 0, set()) for name in interfaces}
    except OSError as error:
        return [f"its namespace cannot be entered: {error.strerror}"]
    missing = [
        f"{connection.endpoint.interface} has no address {address}"
        for connection in connections
        for address in connection.endpoint.addresses
        if address not in addresses[connection.endpoint.interface]
    ]
    return missing + [
        f"no default route by {connection.gateway}"
        for connection in connections
        if isinstance(connection.gateway, ipaddress.IPv4Address)
        and (connection.endpoint.interface, connection.gateway) not in routes
    ]


def _addresses(inside: netlink.Netlink) -> dict[int, set[network_spec.Address]]:
    """Return the addresses of each link, by its index."""
    addresses: dict[int, set[network_spec.Address]] = {}
    for body in inside.listed(_GET_ADDRESS, _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        *_, index = _ADDRESS.unpack_from(body)
        attributes = netlink.attributes(body, _ADDRESS.size)
        packed = attributes.get(_LOCAL) or attributes.get(_PEER)
        if packed is not None:
            addresses.setdefault(index, set()).add(ipaddress.ip_address(packed))
    return addresses
