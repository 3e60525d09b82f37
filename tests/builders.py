"""Short ways to say what a test is about: everything that is not said is what manifests default to."""

import dataclasses
from typing import Any

from agent.kit import canonical
from agent.model import container, health, image, kinds, ledger, network, policy, state, volume
from agent.model.key import Ownership, Pairs, ownership_labels, pairs

OWNER = "test1"
IMAGE = "docker.io/library/app:1"
IMAGE_ID = "sha256:app1"
NOW = 1000.0


def config(name: str = "web", **fields: Any) -> container.ContainerConfig:
    """Return a container's config."""
    base = container.ContainerConfig(
        name=name,
        image=IMAGE,
        labels=(),
        command=None,
        args=None,
        env=(),
        working_dir="",
        hostname=name,
        ports=(),
        network_mode=container.NetworkMode.NETWORKS,
        networks=(),
        mounts=(),
        restart=container.RestartConfig(
            container.RestartPolicy.ALWAYS, container.BackoffConfig(initial=1.0, maximum=300.0, reset=600.0)
        ),
        health=health.HealthConfig(None, None, None),
        resources=container.Resources(None, None, None, None),
        security=container.Security("", (), (), False, True, container.SeccompProfile.DEFAULT),
        stop=container.StopConfig("", 10.0),
        update=container.UpdateStrategy.RECREATE,
        depends_on=(),
    )
    return dataclasses.replace(base, **fields)


def labels_for(config: kinds.Config, owner: str = OWNER) -> Pairs:
    """Return the labels that mark an object as created from a config."""
    return ownership_labels(Ownership(owner, state.key_of(config), canonical.digest(config)))


def observed(
    config: container.ContainerConfig,
    state: container.ContainerState = container.ContainerState.RUNNING,
    **fields: Any,
) -> container.ObservedContainer:
    """Return a container as it is once a config was applied."""
    base = container.ObservedContainer(
        id=f"id-{config.name}",
        name=config.name,
        config=config,
        labels=pairs((*config.labels, *labels_for(config))),
        image_id=IMAGE_ID,
        state=state,
        pid=1 if state is container.ContainerState.RUNNING else None,
        exit_code=None,
        oom_killed=False,
        stop_requested=False,
        created_at=900.0,
        started_at=None if state is container.ContainerState.CREATED else 950.0,
        finished_at=None,
        addresses=(),
    )
    return dataclasses.replace(base, **fields)


def exited(
    config: container.ContainerConfig, code: int | None, at: float = 990.0, **fields: Any
) -> container.ObservedContainer:
    """Return a container that has ended."""
    return observed(config, container.ContainerState.EXITED, exit_code=code, finished_at=at, **fields)


def image_config(reference: str = IMAGE, **fields: Any) -> image.ImageConfig:
    """Return the config of an image that is pulled."""
    base = image.ImageConfig(reference, reference, image.PullSource(""))
    return dataclasses.replace(base, **fields)


def follow(track: str = "", policy: image.PullPolicy = image.PullPolicy.ALWAYS, **fields: Any) -> image.UpdatePolicy:
    """Return the update policy of the builders' image."""
    base = image.UpdatePolicy(IMAGE, IMAGE, policy, track)
    return dataclasses.replace(base, **fields)


def observed_image(config: image.ImageConfig | None = None, identity: str = IMAGE_ID) -> image.ObservedImage:
    """Return an observed image."""
    config = config or image_config()
    return image.ObservedImage(identity, config.reference, labels_for(config), 1)


def network_config(name: str = "shop", **fields: Any) -> network.NetworkConfig:
    """Return a network's config."""
    base = network.NetworkConfig(name, network.NetworkDriver.BRIDGE, (), (), internal=False, dns=True, mtu=None)
    return dataclasses.replace(base, **fields)


def observed_network(config: network.NetworkConfig, **fields: Any) -> network.ObservedNetwork:
    """Return an observed network, with a subnet that the runtime chose where none was asked for."""
    chosen = config.subnets or (network.Subnet("10.89.0.0/24", None, None),)
    subnets = tuple(dataclasses.replace(subnet, gateway=subnet.gateway or "10.89.0.1") for subnet in chosen)
    complete = dataclasses.replace(config, subnets=subnets)
    base = network.ObservedNetwork(f"id-{config.name}", config.name, complete, labels_for(config), healthy=True)
    return dataclasses.replace(base, **fields)


def volume_config(
    name: str = "data", policy: volume.DeletionPolicy = volume.DeletionPolicy.RETAIN
) -> volume.VolumeConfig:
    """Return a volume's config."""
    return volume.VolumeConfig(name, volume.VolumeDriver.LOCAL, (), policy)


def observed_volume(config: volume.VolumeConfig) -> volume.ObservedVolume:
    """Return an observed volume."""
    return volume.ObservedVolume(config.name, config, labels_for(config), f"/volumes/{config.name}", 900.0)


def desired(*configs: kinds.Config, image: bool = True) -> state.DesiredState:
    """Return a desired state; the image that containers use by default is part of it."""
    return state.DesiredState.of("r1", (*configs, *([image_config()] if image and not _has_image(configs) else [])))


def world(*objects: Any, image: bool = True, **fields: Any) -> state.ObservedState:
    """Return an observed state at ``NOW``, with the default image unless ``image`` is false."""
    all_objects = list(objects)
    if image and not any(isinstance(item, _Image) for item in objects):
        all_objects.append(observed_image())
    return state.ObservedState.of(fields.pop("now", NOW), all_objects, **fields)


def remembered(config: kinds.Config, **fields: Any) -> ledger.LedgerEntry:
    """Return the ledger entry of a config that was applied."""
    return ledger.LedgerEntry(state.key_of(config), canonical.digest(config), **fields)


def rules(**fields: Any) -> policy.PlanPolicy:
    """Return a policy for a runtime that can change all in place that any can."""
    return policy.PlanPolicy(OWNER, **{"in_place": frozenset(policy.InPlace), **fields})


_Image = image.ObservedImage


def _has_image(configs: tuple[kinds.Config, ...]) -> bool:
    return any(isinstance(config, image.ImageConfig) for config in configs)
