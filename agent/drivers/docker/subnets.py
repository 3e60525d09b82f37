"""The IPv4 ranges of an engine's networks. Pure."""

import dataclasses
import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from agent.model import network


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
