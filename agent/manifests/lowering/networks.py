"""Networks: declared ones, and the one of containers that name none."""

from agent.manifests import registry
from agent.manifests.lowering import draft
from agent.manifests.v1 import network as v1_network
from agent.model import network
from agent.model.key import Kind, ObjectKey, pairs

DEFAULT = ObjectKey(Kind.NETWORK, "bridge")
"""The network of containers that name none; created when a container uses it."""
_BRIDGE = network.NetworkConfig(
    name=DEFAULT.name,
    driver=network.NetworkDriver.BRIDGE,
    labels=(),
    subnets=(),
    internal=False,
    dns=True,
    mtu=None,
)


def lower(_: registry.Manifest, declared: v1_network.Network, sketch: draft.Draft) -> None:
    """Add a Network."""
    sketch.networks[declared.metadata.name] = _network(declared)


def add_implicit(sketch: draft.Draft) -> None:
    """Add the default network where a container uses it and nobody declares it."""
    if any(attachment.network == DEFAULT.name for config in sketch.containers for attachment in config.networks):
        sketch.networks.setdefault(DEFAULT.name, _BRIDGE)


def subnet(spec: str | v1_network.SubnetSpec) -> network.Subnet:
    """Read a subnet, long or short."""
    if isinstance(spec, str):
        return network.Subnet(spec, None, None)
    return network.Subnet(spec.subnet, spec.gateway, spec.range)


def _network(manifest: v1_network.Network) -> network.NetworkConfig:
    spec = manifest.spec
    return network.NetworkConfig(
        name=manifest.metadata.name,
        driver=network.NetworkDriver(spec.driver),
        labels=pairs(manifest.metadata.labels),
        subnets=tuple(sorted(subnet(entry) for entry in spec.subnets)),
        internal=spec.internal,
        dns=spec.dns,
        mtu=spec.mtu,
    )
