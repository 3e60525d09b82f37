"""The containers in RAM, found by id, name, port and address without looking through all of them."""

import collections
import ipaddress
from collections.abc import Iterator

from agent.model import container

Claim = tuple[int, container.TransportProtocol]
"""A port of the host."""


class Containers(dict[str, container.ObservedContainer]):
    """Containers by id, with indexes by name, port and address that follow each change."""

    def __init__(self) -> None:
        """Start without containers."""
        super().__init__()
        self._names: dict[str, set[str]] = collections.defaultdict(set)
        self._ports: dict[Claim, set[str]] = collections.defaultdict(set)
        self._addresses: dict[str, dict[str, str]] = collections.defaultdict(dict)
        self._lowest: dict[str, int] = {}
        """Below it, no address of a network is free."""

    def __setitem__(self, key: str, value: container.ObservedContainer) -> None:
        """Put a container in, in place of what had its id."""
        self._forget(key)
        super().__setitem__(key, value)
        self._names[value.name].add(key)
        for claim in _claims(value):
            self._ports[claim].add(key)
        for network, address in _addresses(value):
            self._addresses[network][address] = key

    def __delitem__(self, key: str) -> None:
        """Take a container out. Raises ``KeyError``."""
        self._forget(key)
        super().__delitem__(key)

    def named(self, name: str) -> container.ObservedContainer | None:
        """Return the container of a name; ``None`` where there is none."""
        return next((self[key] for key in self._names.get(name, ())), None)

    def with_port(self, config: container.ContainerConfig) -> container.ObservedContainer | None:
        """Return a running container that has one of a config's ports."""
        keys = (key for port in config.ports for key in self._ports.get((port.host_port, port.protocol), ()))
        return next((self[key] for key in keys), None)

    def is_taken(self, network: str, address: str) -> bool:
        """Return whether a running container has an address."""
        return address in self._addresses.get(network, {})

    def attached(self, network: str) -> list[container.ObservedContainer]:
        """Return the running containers of a network, in no order."""
        return [self[key] for key in self._addresses.get(network, {}).values()]

    def free_address(self, network: str, subnet: ipaddress.IPv4Network) -> str | None:
        """Return the lowest free address behind the gateway's, which is the first; ``None`` where there is none."""
        taken = self._addresses.get(network, {})
        first = int(subnet.network_address)
        for number in range(max(self._lowest.get(network, 0), first + 2), int(subnet.broadcast_address)):
            address = str(ipaddress.IPv4Address(number))
            if address not in taken:
                self._lowest[network] = number
                return address
        return None

    def _forget(self, key: str) -> None:
        before = self.get(key)
        if before is None:
            return
        self._names[before.name].discard(key)
        if not self._names[before.name]:
            del self._names[before.name]
        for claim in _claims(before):
            self._ports[claim].discard(key)
        for network, address in _addresses(before):
            self._addresses[network].pop(address, None)
            self._lowest[network] = min(self._lowest.get(network, 0), int(ipaddress.IPv4Address(address)))


def _claims(observed: container.ObservedContainer) -> Iterator[Claim]:
    if observed.state is container.ContainerState.RUNNING:
        yield from ((port.host_port, port.protocol) for port in observed.config.ports)


def _addresses(observed: container.ObservedContainer) -> Iterator[tuple[str, str]]:
    if observed.state is container.ContainerState.RUNNING:
        yield from observed.addresses
