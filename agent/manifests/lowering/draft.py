"""A desired state that is being lowered: what each kind adds to, and what it may look at."""

import dataclasses

from agent.model import container, external_input, image, kinds, network, secret


@dataclasses.dataclass(slots=True)
class Draft:
    """Collects what manifests declare. Not a value: it lives only while one desired state is lowered."""

    inputs: external_input.Inputs
    """What the files are that manifests name."""
    registry: str
    """The registry of image references that name none."""
    host_key: bytes = dataclasses.field(repr=False)
    """Keys the fingerprints of Secrets' values; without it they have none."""
    images: dict[str, image.ImageConfig] = dataclasses.field(default_factory=dict)
    """By name."""
    networks: dict[str, network.NetworkConfig] = dataclasses.field(default_factory=dict)
    """By name."""
    containers: list[container.ContainerConfig] = dataclasses.field(default_factory=list)
    others: list[kinds.Config] = dataclasses.field(default_factory=list)
    """Of every other kind: what no other manifest refers to needs no field of its own."""
    follows: list[image.UpdatePolicy] = dataclasses.field(default_factory=list)
    logins: list[secret.Login] = dataclasses.field(default_factory=list)
    values: dict[tuple[str, str], secret.SecretValue] = dataclasses.field(default_factory=dict)
    """By Secret and key."""
