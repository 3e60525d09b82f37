"""The engine's nouns of networks from addresses as people write them."""

import ipaddress

from agent.engine.spec import container as container_spec
from agent.engine.spec import network as network_spec


def subnet(network: str, gateway: str | None = None, part: str | None = None) -> network_spec.Subnet:
    """Return a subnet."""
    return network_spec.Subnet(
        ipaddress.ip_network(network),
        None if gateway is None else ipaddress.ip_address(gateway),
        None if part is None else ipaddress.ip_network(part),
    )


def endpoint(
    container_id: str, name: str, network: str, interface: str, address: str, aliases: tuple[str, ...] = ()
) -> network_spec.Endpoint:
    """Return an endpoint with an address."""
    return network_spec.Endpoint(container_id, name, network, interface, ipaddress.ip_address(address), aliases)


def port(address: str, host: int, inside: int, protocol: str) -> container_spec.Port:
    """Return a published port."""
    return container_spec.Port(ipaddress.ip_address(address), host, inside, protocol)
