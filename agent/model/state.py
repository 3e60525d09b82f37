"""The two states that a plan is made from. Frozen and sorted, so that equal states are equal values."""

import dataclasses
from collections.abc import Iterator

from agent.model import container, image, network, secret, volume
from agent.model import health as probes
from agent.model import ledger as memory
from agent.model.key import Kind, ObjectKey

Config = container.ContainerConfig | image.ImageConfig | network.NetworkConfig | volume.VolumeConfig


def key_of(config: Config) -> ObjectKey:
    """Name the object that a config describes."""
    match config:
        case container.ContainerConfig():
            return ObjectKey(Kind.CONTAINER, config.name)
        case image.ImageConfig():
            return ObjectKey(Kind.IMAGE, config.name)
        case network.NetworkConfig():
            return ObjectKey(Kind.NETWORK, config.name)
        case volume.VolumeConfig():
            return ObjectKey(Kind.VOLUME, config.name)


def used_by(config: container.ContainerConfig) -> Iterator[ObjectKey]:
    """Name the networks and volumes that a container uses, in its order; which image it is made of is not told here."""
    for attachment in config.networks:
        yield ObjectKey(Kind.NETWORK, attachment.network)
    for mount in config.mounts:
        if isinstance(mount, container.VolumeMount):
            yield ObjectKey(Kind.VOLUME, mount.volume)


@dataclasses.dataclass(frozen=True, slots=True)
class DesiredState:
    """All that a revision of the source declares for this host; each tuple sorted by name."""

    revision: str
    containers: tuple[container.ContainerConfig, ...] = ()
    images: tuple[image.ImageConfig, ...] = ()
    networks: tuple[network.NetworkConfig, ...] = ()
    volumes: tuple[volume.VolumeConfig, ...] = ()
    follows: tuple[image.Follow, ...] = ()
    """Of images that do not just have to be there."""
    logins: tuple[secret.Login, ...] = ()
    """What pulls show to registries."""

    def __iter__(self) -> Iterator[Config]:
        """Go over every declared object, what is depended on first."""
        yield from self.images
        yield from self.networks
        yield from self.volumes
        yield from self.containers


@dataclasses.dataclass(frozen=True, slots=True)
class ObservedState:
    """One consistent reading of the runtime, the probes and the agent's own memory; each tuple sorted."""

    observed_at: float
    containers: tuple[container.ObservedContainer, ...] = ()
    images: tuple[image.ObservedImage, ...] = ()
    networks: tuple[network.ObservedNetwork, ...] = ()
    volumes: tuple[volume.ObservedVolume, ...] = ()
    health: tuple[probes.ObservedHealth, ...] = ()
    ledger: tuple[memory.LedgerEntry, ...] = ()
