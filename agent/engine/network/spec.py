"""What the network room is asked for, and what it tells."""

import dataclasses
import pathlib

from agent.engine.containers import spec


@dataclasses.dataclass(frozen=True, slots=True)
class Subnet:
    """An IPv4 range."""

    subnet: str
    gateway: str | None = None
    range: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A bridge network as it is asked for."""

    name: str
    subnets: tuple[Subnet, ...] = ()
    internal: bool = False
    dns: bool = True
    mtu: int | None = None
    labels: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class NetworkRecord:
    """A network that is there; its subnets are complete, gateways included."""

    number: int
    bridge: str
    spec: NetworkSpec

    @property
    def name(self) -> str:
        """The network's name."""
        return self.spec.name


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """A container's place in a network."""

    container_id: str
    container_name: str
    network: str
    interface: str
    """Its name inside of the container: ``eth0``, ``eth1`` …"""
    address: str
    aliases: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Publication:
    """A container's ports that the host answers for."""

    container_id: str
    ports: tuple[spec.Port, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class AttachRequest:
    """What a container needs of the network."""

    container_id: str
    name: str
    attachments: tuple[spec.Attachment, ...]
    ports: tuple[spec.Port, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Sandbox:
    """A container's network, ready to be joined."""

    namespace: pathlib.Path
    addresses: tuple[tuple[str, str], ...]
    """(network, IPv4 address)."""
    nameservers: tuple[str, ...]
    """Of its networks; empty: the host's own."""
