"""Short ways to say what a test is about: everything that is not said is what manifests default to."""

import dataclasses
from typing import Any

from agent.kit import canonical
from agent.model import container, health, image, ledger, network, policy, state, volume
from agent.model.key import Ownership, Pairs, ownership_labels, pairs

OWNER = "test1"
IMAGE = "docker.io/library/app:1"
IMAGE_ID = "sha256:app1"
NOW = 1000.0


def config(name: str = "web", **fields: Any) -> container.ContainerConfig:
    """Give a wanted container."""
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


def labels_for(wanted: state.Config, owner: str = OWNER) -> Pairs:
    """Give the labels that mark an object as brought about from a config."""
    return ownership_labels(Ownership(owner, state.key_of(wanted), canonical.digest(wanted)))


def observed(
    wanted: container.ContainerConfig,
    state: container.ContainerState = container.ContainerState.RUNNING,
    **fields: Any,
) -> container.ObservedContainer:
    """Give a container as it is once a config was applied."""
    base = container.ObservedContainer(
        id=f"id-{wanted.name}",
        name=wanted.name,
        config=wanted,
        labels=pairs((*wanted.labels, *labels_for(wanted))),
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
    wanted: container.ContainerConfig, code: int | None, at: float = 990.0, **fields: Any
) -> container.ObservedContainer:
    """Give a container that has ended."""
    return observed(wanted, container.ContainerState.EXITED, exit_code=code, finished_at=at, **fields)


def image_config(reference: str = IMAGE, **fields: Any) -> image.ImageConfig:
    """Give a wanted image that is pulled."""
    base = image.ImageConfig(reference, reference, image.PullSource(""))
    return dataclasses.replace(base, **fields)


def follow(track: str = "", policy: image.PullPolicy = image.PullPolicy.ALWAYS, **fields: Any) -> image.Follow:
    """Give the wish that the image of all builders goes with its registry."""
    base = image.Follow(IMAGE, IMAGE, policy, track)
    return dataclasses.replace(base, **fields)


def observed_image(wanted: image.ImageConfig | None = None, identity: str = IMAGE_ID) -> image.ObservedImage:
    """Give an image that is there."""
    wanted = wanted or image_config()
    return image.ObservedImage(identity, wanted.reference, labels_for(wanted), 1)


def network_config(name: str = "shop", **fields: Any) -> network.NetworkConfig:
    """Give a wanted network."""
    base = network.NetworkConfig(name, network.NetworkDriver.BRIDGE, (), (), internal=False, dns=True, mtu=None)
    return dataclasses.replace(base, **fields)


def observed_network(wanted: network.NetworkConfig, **fields: Any) -> network.ObservedNetwork:
    """Give a network that is there, with a subnet that the runtime chose where none was asked for."""
    chosen = wanted.subnets or (network.Subnet("10.89.0.0/24", None, None),)
    subnets = tuple(dataclasses.replace(one, gateway=one.gateway or "10.89.0.1") for one in chosen)
    complete = dataclasses.replace(wanted, subnets=subnets)
    base = network.ObservedNetwork(f"id-{wanted.name}", wanted.name, complete, labels_for(wanted), healthy=True)
    return dataclasses.replace(base, **fields)


def volume_config(
    name: str = "data", policy: volume.DeletionPolicy = volume.DeletionPolicy.RETAIN
) -> volume.VolumeConfig:
    """Give a wanted volume."""
    return volume.VolumeConfig(name, volume.VolumeDriver.LOCAL, (), policy)


def observed_volume(wanted: volume.VolumeConfig) -> volume.ObservedVolume:
    """Give a volume that is there."""
    return volume.ObservedVolume(wanted.name, wanted, labels_for(wanted), f"/volumes/{wanted.name}", 900.0)


def desired(*configs: state.Config, image: bool = True) -> state.DesiredState:
    """Give a desired state; the image that containers use by default is part of it."""
    kinds: dict[str, list[Any]] = {"containers": [], "images": [], "networks": [], "volumes": []}
    names = {"Container": "containers", "Image": "images", "Network": "networks", "Volume": "volumes"}
    for one in (*configs, *([image_config()] if image and not _has_image(configs) else [])):
        kinds[names[state.key_of(one).kind.value]].append(one)
    return state.DesiredState(
        "r1", **{name: tuple(sorted(ones, key=lambda one: one.name)) for name, ones in kinds.items()}
    )


def world(*objects: Any, image: bool = True, **fields: Any) -> state.ObservedState:
    """Give an observed state at ``NOW``; the default image is there."""
    found = list(objects)
    if image and not any(isinstance(one, _Image) for one in objects):
        found.append(observed_image())
    return state.ObservedState(
        observed_at=fields.pop("now", NOW),
        containers=tuple(one for one in found if isinstance(one, container.ObservedContainer)),
        images=tuple(one for one in found if isinstance(one, _Image)),
        networks=tuple(one for one in found if isinstance(one, network.ObservedNetwork)),
        volumes=tuple(one for one in found if isinstance(one, volume.ObservedVolume)),
        **fields,
    )


def remembered(wanted: state.Config, **fields: Any) -> ledger.LedgerEntry:
    """Give the memory of a config that was brought about."""
    return ledger.LedgerEntry(state.key_of(wanted), canonical.digest(wanted), **fields)


def rules(**fields: Any) -> policy.PlanPolicy:
    """Give a policy for a runtime that can change all in place that any can."""
    return policy.PlanPolicy(OWNER, **{"in_place": frozenset(policy.InPlace), **fields})


_Image = image.ObservedImage


def _has_image(configs: tuple[state.Config, ...]) -> bool:
    return any(isinstance(one, image.ImageConfig) for one in configs)
