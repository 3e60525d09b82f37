"""The IPv4 ranges of an engine's networks. Pure."""

import dataclasses
import ipaddress
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agent.model import network

_PREFIX = 20
"""Prefix length of chosen subnets, as natively: 4,093 containers."""
_FIRST, _COUNT = int(ipaddress.IPv4Address("10.89.0.0")), (256 - 89) << 4
"""Where they are chosen from: 10.89 to 10.255, from which Podman itself takes its /24."""


def observed(inspected: Mapping[str, Any], declared: network.NetworkConfig | None) -> tuple[network.Subnet, ...]:
    """Return the subnets of a network, sorted; ``declared`` fills in the ranges that Podman does not return."""
    ranges = {subnet.subnet: subnet.range for subnet in (declared.subnets if declared is not None else ())}
    completed = (
        subnet if subnet.range else dataclasses.replace(subnet, range=ranges.get(subnet.subnet))
        for subnet in of(inspected)
    )
    return tuple(sorted(completed, key=str))


def of(inspected: Mapping[str, Any]) -> Iterator[network.Subnet]:
    """Yield the IPv4 subnets in an engine's answer."""
    for entry in (inspected.get("IPAM") or {}).get("Config") or ():
        if ":" not in str(entry.get("Subnet") or ":"):
            gateway = entry.get("Gateway") or _usual_gateway(entry)
            yield network.Subnet(str(entry["Subnet"]), gateway, entry.get("IPRange") or None)


def _usual_gateway(entry: Mapping[str, Any]) -> str | None:
    """Return a subnet's first address: Docker does not return a gateway that it has chosen itself."""
    subnet = ipaddress.IPv4Network(str(entry["Subnet"]), strict=False)
    return str(subnet[1]) if not entry.get("IPRange") and subnet.num_addresses > 1 else None


def free(inspected: Iterable[Mapping[str, Any]], name: str) -> Iterator[ipaddress.IPv4Network]:
    """Yield subnets that none of an engine's networks has.

    Networks of different names begin elsewhere: two that are made at once do not choose the same.
    """
    taken = [ipaddress.IPv4Network(subnet.subnet, strict=False) for other in inspected for subnet in of(other)]
    begin = zlib.crc32(name.encode())
    for number in range(_COUNT):
        candidate = ipaddress.IPv4Network((_FIRST + (begin + number) % _COUNT * (1 << 32 - _PREFIX), _PREFIX))
        if not any(candidate.overlaps(other) for other in taken):
            yield candidate
