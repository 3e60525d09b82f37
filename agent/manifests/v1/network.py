"""Kind Network."""

import ipaddress
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from agent.manifests.v1 import base
from agent.manifests.v1.base import Model


def ipv4_network(value: str) -> str:
    """Check an IPv4 network. Raises ``ValueError``."""
    try:
        network = ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError(f"must be an IPv4 network like 10.90.0.0/24: {error}") from error
    if network.version != 4:  # noqa: PLR2004
        raise ValueError("must be an IPv4 network: IPv6 is not built yet")
    if network.prefixlen > 30:  # noqa: PLR2004
        raise ValueError("must have room for a gateway and a container: /30 or larger")
    return str(network)


class SubnetSpec(Model):
    """An address range."""

    subnet: str = Field(description="The range, as 10.90.0.0/24.")
    gateway: str | None = Field(default=None, description="The host's address in it; without it, the first one.")
    range: str | None = Field(default=None, description="The part that addresses are given out from; without it, all.")

    @pydantic.model_validator(mode="after")
    def _inside(self) -> "SubnetSpec":
        subnet = ipaddress.IPv4Network(ipv4_network(self.subnet))
        if self.gateway is not None and _address(self.gateway) not in subnet:
            raise ValueError(f"must have a gateway inside of {subnet}")
        if self.range is not None and not ipaddress.IPv4Network(ipv4_network(self.range)).subnet_of(subnet):
            raise ValueError(f"must have a range inside of {subnet}")
        return self


def _address(value: str) -> ipaddress.IPv4Address:
    try:
        return ipaddress.IPv4Address(value)
    except ValueError as error:
        raise ValueError(f"must have an IPv4 address as gateway: {error}") from error


class NetworkSpec(Model):
    """What the network is like."""

    driver: Literal["bridge", "macvlan", "ipvlan", "vxlan"] = Field(
        default="bridge", description="How it is made. Only bridge is built: the others are refused."
    )
    subnets: list[str | SubnetSpec] = Field(
        default_factory=list, description="Its IPv4 ranges; without any, a free one is chosen."
    )
    internal: bool = Field(default=False, description="Whether it has no way out of the host.")
    ipv6: bool = Field(default=False, description="Not built yet: true is refused.")
    dns: bool = Field(default=True, description="Whether containers resolve each other by name.")
    mtu: int | None = Field(default=None, ge=68, le=65535, description="Largest packet; without it, the kernel's.")
    options: Annotated[object, base.NotBuilt("options of a network")] = Field(
        default=None, description="Not built yet: refused."
    )

    @pydantic.field_validator("driver")
    @classmethod
    def _built(cls, value: str) -> str:
        if value != "bridge":
            raise ValueError(f"must be bridge: {value} is not built yet")
        return value

    @pydantic.field_validator("ipv6")
    @classmethod
    def _no_ipv6(cls, value: bool) -> bool:  # noqa: FBT001 - pydantic's protocol
        if value:
            raise ValueError("must be false: IPv6 is not built yet")
        return value

    @pydantic.field_validator("subnets")
    @classmethod
    def _networks(cls, value: list[str | SubnetSpec]) -> list[str | SubnetSpec]:
        for entry in value:
            if isinstance(entry, str):
                ipv4_network(entry)
        return value


class Network(Model):
    """A network that containers can be in."""

    api_version: Literal["trimtab.dev/v1"] = Field(description="The version of the manifest's form.")
    kind: Literal["Network"] = Field(description="Network.")
    metadata: base.Metadata = Field(description="Name, labels, annotations.")
    spec: NetworkSpec = Field(default_factory=NetworkSpec, description="What it is like.")
