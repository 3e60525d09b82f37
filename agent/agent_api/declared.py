"""An object's declared configuration in short. Pure. No values of environments, commands, labels or secrets."""

from collections.abc import Iterator
from typing import assert_never

from agent.model import container, health, image, kinds, network, state, volume
from agent.model.key import ObjectKey

Field = tuple[str, tuple[str, ...]]
"""A field's name and its values as text."""


def summary(desired: state.DesiredState, key: ObjectKey) -> tuple[Field, ...] | None:
    """Return the declared fields of an object that say something; ``None`` where it is not declared."""
    config = next((config for config in desired if state.key_of(config) == key), None)
    if config is None:
        return None
    fields = [*_fields(config), *(_update(desired, config) if isinstance(config, image.ImageConfig) else ())]
    return tuple((name, values) for name, values in fields if any(values))


def image_key(desired: state.DesiredState, key: ObjectKey) -> ObjectKey:
    """Return the key of the image that a container is made from, and every other key as it is."""
    config = next((config for config in desired.containers if state.key_of(config) == key), None)
    reference = None if config is None else config.image
    return next((state.key_of(image) for image in desired.images if image.reference == reference), key)


def _fields(config: kinds.Config) -> Iterator[Field]:
    match config:
        case container.ContainerConfig():
            yield from _container(config)
        case image.ImageConfig():
            yield "reference", (config.reference,)
            yield "source", (_source(config.source),)
        case network.NetworkConfig():
            yield "driver", (config.driver.value,)
            yield "subnets", tuple(subnet.subnet for subnet in config.subnets)
            yield "internal", ("true" if config.internal else "",)
        case volume.VolumeConfig():
            yield "driver", (config.driver.value,)
            yield "deletionPolicy", (config.deletion_policy.value,)
        case _:
            assert_never(config)


def _container(config: container.ContainerConfig) -> Iterator[Field]:
    yield "image", (config.image,)
    yield "ports", tuple(str(port) for port in config.ports)
    if config.network_mode is container.NetworkMode.NETWORKS:
        yield "networks", tuple(attachment.network for attachment in config.networks)
    else:
        yield "networks", (config.network_mode.value,)
    yield "secrets", tuple(f"{variable.name} ({variable})" for variable in config.secret_env)
    yield "mounts", tuple(_mount(mount) for mount in config.mounts)
    yield "dependsOn", tuple(f"{item.container} ({item.condition.value})" for item in config.depends_on)
    yield "restart", (config.restart.policy.value,)
    yield "probes", tuple(_probes(config.health))
    yield "resources", tuple(_resources(config.resources))
    yield "user", (config.security.user,)


def _mount(mount: container.Mount) -> str:
    end = " (read-only)" if mount.read_only else ""
    match mount:
        case container.VolumeMount():
            return f"volume {mount.volume} at {mount.path}{end}"
        case container.BindMount():
            return f"bind {mount.source} at {mount.path}{end}"
        case container.TmpfsMount():
            return f"tmpfs at {mount.path}{end}"
        case _:
            assert_never(mount)


def _probes(config: health.HealthConfig) -> Iterator[str]:
    for name, probe in (
        *(("startup", config.startup), ("readiness", config.readiness), ("liveness", config.liveness)),
    ):
        if probe is not None:
            yield f"{name} ({probe.action.type} every {probe.period:g}s)"


def _resources(resources: container.Resources) -> Iterator[str]:
    if resources.cpu_millis is not None:
        yield f"cpu {resources.cpu_millis}m"
    if resources.memory is not None:
        yield f"memory {resources.memory}"
    if resources.memory_reservation is not None:
        yield f"memoryReservation {resources.memory_reservation}"
    if resources.pids is not None:
        yield f"pids {resources.pids}"


def _source(source: image.ImageSource) -> str:
    match source:
        case image.PullSource():
            return f"pull {source.platform}".rstrip()
        case image.ArchiveSource():
            return f"archive {source.path}"
        case image.BuildSource():
            file = "a Dockerfile in the manifest" if source.inline else source.dockerfile
            stage = f", stage {source.target}" if source.target else ""
            return f"build of {source.context} by {file}{stage}"
        case _:
            assert_never(source)


def _update(desired: state.DesiredState, config: image.ImageConfig) -> Iterator[Field]:
    for follow in desired.follows:
        if follow.name == config.name:
            yield "update", (f"{follow.policy.value} {follow.track}".rstrip(),)
