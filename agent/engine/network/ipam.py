"""Which subnet, which address: pure choices over what is taken."""

import ipaddress
from collections.abc import Collection, Iterable

from agent.engine import errors
from agent.engine.network import spec

_POOL = int(ipaddress.IPv4Address("10.89.0.0"))
_POOL_SIZE = 160 << 8
"""Subnets to choose from: up to 10.248.255.0/24."""


def complete(
    subnets: tuple[spec.Subnet, ...], taken: Collection[ipaddress.IPv4Network], instance: int
) -> tuple[spec.Subnet, ...]:
    """Fill in what was left open: a free subnet, gateways. Raises ``errors.Conflict`` for one that is taken.

    Each instance begins elsewhere in the pool: two that choose at once, or while a bridge of the other one is missing,
    do not see each other's choice.
    """
    if not subnets:
        return (_with_gateway(spec.Subnet(str(_free(taken, instance)))),)
    for subnet in subnets:
        wanted = ipaddress.IPv4Network(subnet.subnet)
        other = next((one for one in taken if one.overlaps(wanted)), None)
        if other is not None:
            raise errors.Conflict(
                f"subnet {wanted} overlaps {other}, which this host has already",
                hint="choose another subnet",
                reason="SubnetInUse",
            )
    return tuple(_with_gateway(subnet) for subnet in subnets)


def address(subnets: Iterable[spec.Subnet], taken: Collection[str], wanted: str | None, last: str | None) -> str:
    """Give an address: the wanted one, or the next free one behind ``last``, so that none is given out again at once.

    Raises ``errors.Conflict`` (``AddressInUse``), ``errors.Refused`` for one outside of the subnets, and
    ``errors.Unavailable`` when all are out.
    """
    ranges = [ipaddress.IPv4Network(subnet.range or subnet.subnet) for subnet in subnets]
    reserved = {int(ipaddress.IPv4Address(subnet.gateway)) for subnet in subnets if subnet.gateway}
    used = reserved | {int(ipaddress.IPv4Address(one)) for one in taken}
    if wanted is not None:
        return _fixed(wanted, subnets, used)
    spans = [_usable(network) for network in ranges]
    for low, high in (*_behind(last, spans), *spans):
        for number in range(low, high + 1):
            if number not in used:
                return str(ipaddress.IPv4Address(number))
    raise errors.Unavailable("the network has no free address", hint="use a larger subnet", reason="AddressesExhausted")


def hardware_address(ipv4: str) -> str:
    """Give a locally administered MAC address made from an IP address: the same one again meets no stale ARP entry."""
    return "02:42:" + ":".join(f"{octet:02x}" for octet in ipaddress.IPv4Address(ipv4).packed)


def prefix(subnets: Iterable[spec.Subnet], ipv4: str) -> int:
    """Give the prefix length of the subnet that an address is in."""
    found = (ipaddress.IPv4Network(subnet.subnet) for subnet in subnets)
    return next(network.prefixlen for network in found if ipaddress.IPv4Address(ipv4) in network)


def gateway(subnets: Iterable[spec.Subnet], ipv4: str) -> str:
    """Give the gateway of the subnet that an address is in."""
    return next(
        str(subnet.gateway) for subnet in subnets if ipaddress.IPv4Address(ipv4) in ipaddress.IPv4Network(subnet.subnet)
    )


def _fixed(wanted: str, subnets: Iterable[spec.Subnet], used: Collection[int]) -> str:
    number = int(ipaddress.IPv4Address(wanted))
    spans = [_usable(ipaddress.IPv4Network(subnet.subnet)) for subnet in subnets]
    if not any(low <= number <= high for low, high in spans):
        raise errors.Refused(f"address {wanted} is none of the network's subnets' to give", reason="AddressOutside")
    if number in used:
        raise errors.Conflict(f"address {wanted} is taken", hint="choose another one, or none", reason="AddressInUse")
    return wanted


def _behind(last: str | None, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Give what follows an address; nothing where it is in no span."""
    number = int(ipaddress.IPv4Address(last)) if last else -1
    for position, (low, high) in enumerate(spans):
        if low <= number <= high:
            return [(number + 1, high), *spans[position + 1 :]]
    return []


def _free(taken: Collection[ipaddress.IPv4Network], instance: int) -> ipaddress.IPv4Network:
    for number in range(_POOL_SIZE):
        candidate = ipaddress.IPv4Network((_POOL + ((instance + number) % _POOL_SIZE << 8), 24))
        if not any(candidate.overlaps(one) for one in taken):
            return candidate
    raise errors.Unavailable(
        "there is no free subnet left", hint="give the network a subnet", reason="SubnetsExhausted"
    )


def _with_gateway(subnet: spec.Subnet) -> spec.Subnet:
    if subnet.gateway is not None:
        return subnet
    low, _ = _usable(ipaddress.IPv4Network(subnet.subnet))
    return spec.Subnet(subnet.subnet, str(ipaddress.IPv4Address(low)), subnet.range)


def _usable(network: ipaddress.IPv4Network) -> tuple[int, int]:
    """Give the first and the last address that a host can have: not the network's own, nor the broadcast's."""
    low, high = int(network.network_address), int(network.broadcast_address)
    return (low, high) if network.prefixlen >= 31 else (low + 1, high - 1)  # noqa: PLR2004 - RFC 3021
