"""Links and routes of the calling thread's namespace: blocking and quick calls, for the network room's threads."""

import ipaddress
import pathlib
import secrets
import socket
import struct
from collections.abc import Sequence

from agent.engine.network import netlink

_ROUTES = pathlib.Path("/proc/thread-self/net/route")
_FIRST_GROUP = 1 << 30
"""Groups of links from here on are ours, for a moment, by a random number each: nobody numbers his own so high."""
_NETWORK_PREFIX = 8
"""Shorter ones lead out, whole or in halves (0.0.0.0/1 and 128.0.0.0/1: how VPNs overrule a default route)."""


def delete(names: Sequence[str]) -> None:
    """Remove links, all of them together; missing ones are no failure."""
    indexes = [index for index in map(index_of, names) if index is not None]
    if not indexes:
        return
    group = _FIRST_GROUP + secrets.randbelow(_FIRST_GROUP)
    with netlink.Netlink() as host:
        for index in indexes:
            with netlink.absent_is_fine():
                host.perform([netlink.set_group(index, group)])
        with netlink.absent_is_fine():
            host.perform([netlink.delete_group(group)])


def names() -> list[str]:
    """Return the names of all links."""
    return [name for _, name in socket.if_nameindex()]


def index_of(name: str) -> int | None:
    """Return a link's index, or ``None``."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


def networks() -> list[ipaddress.IPv4Network]:
    """Return the networks that there are routes to, without default routes."""
    return [network for _, network in routes(_ROUTES.read_text()) if network.prefixlen >= _NETWORK_PREFIX]


def default_routes() -> set[tuple[str, ipaddress.IPv4Address]]:
    """Return the default routes: (link, gateway)."""
    return gateways(_ROUTES.read_text())


def routes(text: str) -> list[tuple[str, ipaddress.IPv4Network]]:
    """Read /proc/net/route: (link, destination)."""
    return [
        (fields[0], ipaddress.IPv4Network(f"{_address(fields[1])}/{_address(fields[7])}", strict=False))
        for fields in map(str.split, text.splitlines()[1:])
    ]


def gateways(text: str) -> set[tuple[str, ipaddress.IPv4Address]]:
    """Read the default routes of /proc/net/route: (link, gateway)."""
    lines = map(str.split, text.splitlines()[1:])
    return {(fields[0], _address(fields[2])) for fields in lines if fields[1] == fields[7] == "00000000"}


def _address(word: str) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(struct.pack("=I", int(word, 16)))
