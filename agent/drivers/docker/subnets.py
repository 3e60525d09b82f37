"""The IPv4 ranges of an engine's networks. Pure."""

import dataclasses
import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from agent.model import network


def observed(found: Mapping[str, Any], made: network.NetworkConfig | None) -> tuple[network.Subnet, ...]:
    """Give the ranges of a network, sorted; ``made``: what it was made from, for what Podman does not tell."""
    ranges = {one.subnet: one.range for one in (made.subnets if made is not None else ())}
    told = (one if one.range else dataclasses.replace(one, range=ranges.get(one.subnet)) for one in of(found))
    return tuple(sorted(told, key=str))


def of(found: Mapping[str, Any]) -> Iterator[network.Subnet]:
    """Give what an engine tells."""
    for one in (found.get("IPAM") or {}).get("Config") or ():
        if ":" not in str(one.get("Subnet") or ":"):
            gateway = one.get("Gateway") or _usual_gateway(one)
            yield network.Subnet(str(one["Subnet"]), gateway, one.get("IPRange") or None)


def _usual_gateway(one: Mapping[str, Any]) -> str | None:
    """Give a range's first address: Docker does not tell the gateway that it has chosen itself."""
    subnet = ipaddress.IPv4Network(str(one["Subnet"]), strict=False)
    return str(subnet[1]) if not one.get("IPRange") and subnet.num_addresses > 1 else None
