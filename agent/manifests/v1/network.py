"""Kind Network."""

import ipaddress
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from agent.manifests.v1 import base, forms
from agent.manifests.v1.base import Model

_UNUSABLE = tuple(
    (ipaddress.IPv4Network(text), what)
    for text, what in (
        ("0.0.0.0/8", "is no network's"),
        ("127.0.0.0/8", "is the loopback's"),
        ("169.254.0.0/16", "is for link-local addresses"),
        ("224.0.0.0/4", "is for multicast"),
        ("240.0.0.0/4", "is reserved"),
    )
)
"""Ranges in which no container can have an address (RFC 6890)."""


def ipv4_network(value: str) -> str:
    """Check an IPv4 network that containers are to be in. Raises ``forms.InvalidField``."""
    try:
        network = ipaddress.ip_network(value)
    except ValueError as error:
        raise forms.InvalidField(f"must be an IPv4 network like 10.90.0.0/24: {error}") from error
    if not isinstance(network, ipaddress.IPv4Network):
        raise forms.InvalidField("must be an IPv4 network: IPv6 is not built yet")
    if network.prefixlen > 30:  # noqa: PLR2004
        raise forms.InvalidField("must have room for a gateway and a container: /30 or larger")
    for unusable, what in _UNUSABLE:
        if network.overlaps(unusable):
            raise forms.InvalidField(f"must be addresses that containers can have: {unusable} {what}", hint=_PRIVATE)
    return str(network)


_PRIVATE = "choose from 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"
Ipv4Network = Annotated[str, pydantic.AfterValidator(ipv4_network)]


class SubnetSpec(Model):
    """An address range."""

    subnet: Ipv4Network = Field(description="The range, as 10.90.0.0/24.")
    gateway: forms.Address | None = Field(
        default=None, description="The host's address in it; without it, the first one."
    )
    range: Ipv4Network | None = Field(
        default=None, description="The part that addresses are assigned from; without it, all."
    )

    @pydantic.model_validator(mode="after")
    def _inside(self) -> "SubnetSpec":
        subnet = ipaddress.IPv4Network(self.subnet)
        if self.gateway is not None:
            gateway = ipaddress.IPv4Address(self.gateway)
            if gateway not in subnet:
                raise forms.InvalidField(f"must be inside of {subnet}", at="gateway")
            if gateway in (subnet.network_address, subnet.broadcast_address):
                raise forms.InvalidField(
                    f"must not be the network's or the broadcast address of {subnet}", at="gateway"
                )
        if self.range is not None and not ipaddress.IPv4Network(self.range).subnet_of(subnet):
            raise forms.InvalidField(f"must be inside of {subnet}", at="range")
        return self


class NetworkSpec(Model):
    """The network's driver, subnets and options."""

    driver: Literal["bridge", "macvlan", "ipvlan", "vxlan"] = Field(
        default="bridge", description="The network's driver. Only bridge is built: the others are refused."
    )
    subnets: list[
        Annotated[
            Annotated[Ipv4Network, base.TEXT] | Annotated[SubnetSpec, base.MAPPING],
            base.by_shape("must be a range like 10.90.0.0/24 or {subnet: 10.90.0.0/24, gateway: 10.90.0.1}"),
        ]
    ] = Field(default_factory=list, description="Its IPv4 ranges; without any, a free one is chosen.")
    internal: bool = Field(default=False, description="Whether containers cannot reach anything outside of the host.")
    ipv6: bool = Field(default=False, description="Not built yet: true is refused.")
    dns: bool = Field(default=True, description="Whether containers resolve each other by name.")
    mtu: int | None = Field(default=None, ge=68, le=65535, description="Largest packet; without it, the kernel's.")
    options: Annotated[object, base.NotBuilt()] = Field(default=None, description="Not built yet: refused.")

    @pydantic.field_validator("driver")
    @classmethod
    def _built(cls, value: str) -> str:
        if value != "bridge":
            raise forms.InvalidField(f"must be bridge: {value} is not built yet")
        return value

    @pydantic.field_validator("ipv6")
    @classmethod
    def _no_ipv6(cls, value: bool) -> bool:  # noqa: FBT001 - pydantic's protocol
        if value:
            raise forms.InvalidField("must be false: IPv6 is not built yet")
        return value


class Network(Model):
    """A network that containers can join."""

    api_version: Literal["trimtab.dev/v1"] = Field(description="The API version of the manifest.")
    kind: Literal["Network"] = Field(description="Network.")
    metadata: base.Metadata = Field(description="Name, labels, annotations.")
    spec: NetworkSpec = Field(default_factory=NetworkSpec, description="The network's configuration.")
