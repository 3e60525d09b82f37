"""A network: what is wanted, and what is there."""

import enum

from agent.kit import frozen
from agent.model.key import Pairs


class NetworkDriver(enum.StrEnum):
    """How a network is made."""

    BRIDGE = "bridge"


@frozen.value(order=True)
class Subnet:
    """An IPv4 range of a network."""

    subnet: str
    gateway: str | None
    """``None``: the first address."""
    range: str | None
    """Where addresses are given out from; ``None``: the whole subnet."""


@frozen.value
class NetworkConfig:
    """A network as it is wanted."""

    name: str
    driver: NetworkDriver
    labels: Pairs
    subnets: tuple[Subnet, ...]
    """Empty: the runtime chooses a free one."""
    internal: bool
    """No way out of the host, and no masquerading."""
    dns: bool
    """Containers resolve each other by name."""
    mtu: int | None


@frozen.value
class ObservedNetwork:
    """A network as the runtime has it."""

    id: str
    name: str
    config: NetworkConfig
    """With the subnets that were really given, gateways filled in."""
    labels: Pairs
    healthy: bool
    """False when the runtime knows it but its device is gone or was changed behind our back."""
