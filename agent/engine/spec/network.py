"""Nouns of container networks: requests and records."""

import dataclasses
import ipaddress
import pathlib
from typing import TypeAlias

from agent.engine.spec import container as container_spec
from agent.kit import canonical, frozen

Address: TypeAlias = container_spec.Address
Range: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@frozen.value
class Subnet:
    """A range of addresses of a network."""

    subnet: Range
    gateway: Address | None = None
    """The host's address in it; ``None``: the network's driver chooses it."""
    range: Range | None = None
    """The part that addresses are given out from; ``None``: all of it."""


@frozen.value
class NetworkSpec:
    """A network as requested."""

    name: str
    subnets: tuple[Subnet, ...] = ()
    internal: bool = False
    dns: bool = True
    mtu: int | None = None
    labels: tuple[tuple[str, str], ...] = ()
    driver: str = dataclasses.field(default="bridge", metadata=canonical.absent("bridge"))
    """The name of the driver that makes it."""


@frozen.value
class NetworkRecord:
    """A created network, with all that its driver has chosen for it: subnets and gateways."""

    number: int
    bridge: str
    spec: NetworkSpec

    @property
    def name(self) -> str:
        """The network's name."""
        return self.spec.name


@frozen.value
class Endpoint:
    """A container's interface in a network."""

    container_id: str
    container_name: str
    network: str
    interface: str
    """Its name inside of the container: ``eth0``, ``eth1`` …"""
    address: Address | None
    """Its first address; ``None`` until its network's driver, where it chooses addresses by itself, has attached it."""
    aliases: tuple[str, ...]
    further: tuple[Address, ...] = dataclasses.field(default=(), metadata=canonical.absent(()))
    """Its other addresses."""

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Return all of its addresses; none until they are chosen."""
        return self.further if self.address is None else (self.address, *self.further)

    def at(self, addresses: tuple[Address, ...]) -> "Endpoint":
        """Return the endpoint with these addresses."""
        if addresses == self.addresses:
            return self
        return dataclasses.replace(self, address=next(iter(addresses), None), further=addresses[1:])


@frozen.value
class Publication:
    """A container's published ports."""

    container_id: str
    ports: tuple[container_spec.Port, ...]


@frozen.value
class AttachRequest:
    """A request to attach a container to networks and publish its ports."""

    container_id: str
    name: str
    attachments: tuple[container_spec.Attachment, ...]
    ports: tuple[container_spec.Port, ...]


@frozen.value
class Sandbox:
    """A container's network, ready to be joined."""

    namespace: pathlib.Path
    addresses: tuple[tuple[str, Address], ...]
    """(network, address): one or more of each network."""
    nameservers: tuple[str, ...]
    """Of its networks; empty: the host's own."""
