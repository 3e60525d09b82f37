"""Address management: pure choices of subnets and addresses among free ones."""

import dataclasses
import ipaddress
from collections.abc import Callable, Collection, Iterable

from agent import errors
from agent.engine.spec import network as network_spec
from agent.reasons import Reason

_PREFIX = 20
"""Prefix length of chosen subnets: 4,093 addresses, four times what the ports of a bridge allow for."""
_POOLS = (("10.89.0.0", 160 << 4), ("172.20.0.0", 12 << 4), ("192.168.0.0", 1 << 4))
"""Where such subnets are chosen from, and how many there are: up to 10.248, and where routes to 10/8 lead elsewhere,
the rest of what is private."""


def complete(
    network: network_spec.NetworkSpec, taken: Collection[network_spec.Range], instance: int
) -> network_spec.NetworkSpec:
    """Return a network with complete subnets: a missing range or gateway is chosen.

    Raises ``errors.Conflict`` where one is taken, ``errors.InvalidArgument`` for one of IPv6. Each instance begins
    elsewhere in the pool: two that choose at once, or while a bridge of the other one is missing, do not see each
    other's choice.
    """
    if not network.subnets:
        return dataclasses.replace(network, subnets=(_with_gateway(network_spec.Subnet(_free(taken, instance))),))
    for subnet in network.subnets:
        if not isinstance(subnet.subnet, ipaddress.IPv4Network):
            message = f"network {network.name} cannot have the subnet {subnet.subnet}: its driver has IPv4 only"
            raise errors.InvalidArgument(message, hint="choose an IPv4 subnet, as 10.90.0.0/24")
        other = next((occupied for occupied in taken if occupied.overlaps(subnet.subnet)), None)
        if other is not None:
            raise errors.Conflict(
                f"subnet {subnet.subnet} overlaps {other}, which this host has already",
                hint="choose another subnet",
                reason=Reason.SUBNET_IN_USE,
            )
    return dataclasses.replace(network, subnets=tuple(map(_with_gateway, network.subnets)))


class Addresses:
    """A network's IPv4 addresses, counted as they are taken and given back: a choice costs the same however many are.

    Addresses that are none of the network's subnets' are passed over.
    """

    def __init__(
        self,
        subnets: Iterable[network_spec.Subnet],
        taken: Iterable[network_spec.Address],
        last: network_spec.Address | None,
    ) -> None:
        """Start from the addresses in use, and the one that was leased last."""
        own = tuple(subnet for subnet in subnets if isinstance(subnet.subnet, ipaddress.IPv4Network))
        self._spans = [_usable(subnet.range or subnet.subnet) for subnet in own]
        self._subnets = [_usable(subnet.subnet) for subnet in own]
        self._gateways = {int(subnet.gateway) for subnet in own if subnet.gateway}
        self._taken = {int(address) for address in taken if isinstance(address, ipaddress.IPv4Address)}
        self.last = last

    def take(self, addresses: Iterable[network_spec.Address]) -> None:
        """Count addresses as taken."""
        self._taken |= {int(address) for address in addresses if isinstance(address, ipaddress.IPv4Address)}

    def give_back(self, addresses: Iterable[network_spec.Address]) -> None:
        """Count addresses as free."""
        self._taken -= {int(address) for address in addresses if isinstance(address, ipaddress.IPv4Address)}

    def choose(
        self, fixed: network_spec.Address | None, held: Collection[network_spec.Address] = ()
    ) -> ipaddress.IPv4Address:
        """Return the fixed address, or the next free one behind the last, so that none is given out again at once.

        ``held``: the addresses that the container has already, which are free for it. Raises ``errors.Conflict``
        (``AddressInUse``), ``errors.InvalidArgument`` for one outside of the subnets, ``errors.Unavailable`` when all
        are out.
        """
        own = {int(address) for address in held}

        def is_free(number: int) -> bool:
            return number not in self._gateways and (number in own or number not in self._taken)

        if fixed is not None:
            return self._fixed(fixed, is_free)
        for low, high in (*_behind(self.last, self._spans), *self._spans):
            number = next(filter(is_free, range(low, high + 1)), None)
            if number is not None:
                return ipaddress.IPv4Address(number)
        raise errors.Unavailable(
            "the network has no free address", hint="use a larger subnet", reason=Reason.ADDRESSES_EXHAUSTED
        )

    def _fixed(self, address: network_spec.Address, is_free: Callable[[int], bool]) -> ipaddress.IPv4Address:
        number = int(address)
        if not isinstance(address, ipaddress.IPv4Address) or not any(
            low <= number <= high for low, high in self._subnets
        ):
            raise errors.InvalidArgument(
                f"address {address} is none of the network's subnets' to give", reason=Reason.ADDRESS_OUTSIDE
            )
        if not is_free(number):
            raise errors.Conflict(
                f"address {address} is taken", hint="choose another one, or none", reason=Reason.ADDRESS_IN_USE
            )
        return address


def hardware_address(addresses: Iterable[network_spec.Address]) -> str | None:
    """Return a locally administered MAC address made from the IPv4 one: reuse of that meets no stale ARP entry.

    ``None`` where there is no IPv4 address: the kernel chooses one.
    """
    ipv4 = next((address for address in addresses if isinstance(address, ipaddress.IPv4Address)), None)
    return None if ipv4 is None else "02:42:" + ":".join(f"{octet:02x}" for octet in ipv4.packed)


def prefix(subnets: Iterable[network_spec.Subnet], address: network_spec.Address) -> int:
    """Return the prefix length of the subnet that an address is in; of one that is in none, its whole length."""
    return next((subnet.subnet.prefixlen for subnet in subnets if address in subnet.subnet), address.max_prefixlen)


def gateway(
    subnets: Iterable[network_spec.Subnet], addresses: Iterable[network_spec.Address]
) -> network_spec.Address | None:
    """Return the gateway of the first of some addresses that is in a subnet with one; ``None`` where none is."""
    offered = tuple(subnets)
    gateways = (subnet.gateway for address in addresses for subnet in offered if address in subnet.subnet)
    return next((address for address in gateways if address is not None), None)


def _behind(last: network_spec.Address | None, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the address after one in a span; nothing where it is in no span."""
    number = int(last) if isinstance(last, ipaddress.IPv4Address) else -1
    for position, (low, high) in enumerate(spans):
        if low <= number <= high:
            return [(number + 1, high), *spans[position + 1 :]]
    return []


def _free(taken: Collection[network_spec.Range], instance: int) -> ipaddress.IPv4Network:
    size = 1 << 32 - _PREFIX
    for begin, count in _POOLS:
        first = int(ipaddress.IPv4Address(begin))
        for number in range(count):
            candidate = ipaddress.IPv4Network((first + (instance + number) % count * size, _PREFIX))
            if not any(candidate.overlaps(network) for network in taken):
                return candidate
    raise errors.Unavailable(
        "there is no free subnet left", hint="give the network a subnet", reason=Reason.SUBNETS_EXHAUSTED
    )


def _with_gateway(subnet: network_spec.Subnet) -> network_spec.Subnet:
    if subnet.gateway is not None:
        return subnet
    low, _ = _usable(subnet.subnet)
    return dataclasses.replace(subnet, gateway=ipaddress.IPv4Address(low))


def _usable(network: network_spec.Range) -> tuple[int, int]:
    """Return the first and the last address that a host can have: not the network's own, nor the broadcast's."""
    low, high = int(network.network_address), int(network.broadcast_address)
    return (low, high) if network.prefixlen >= 31 else (low + 1, high - 1)  # noqa: PLR2004 - RFC 3021
