"""From what people wrote to what is meant: the only place for defaults and translation."""

import posixpath
from collections.abc import Iterable, Iterator, Mapping

from agent.manifests import registry
from agent.manifests.v1 import container as v1_container
from agent.manifests.v1 import forms
from agent.manifests.v1 import image as v1_image
from agent.manifests.v1 import network as v1_network
from agent.manifests.v1 import secret as v1_secret
from agent.manifests.v1 import volume as v1_volume
from agent.model import container, health, image, network, secret, state, volume
from agent.model.key import Kind, ObjectKey, pairs
from agent.oci import capabilities, reference

DEFAULT_NETWORK = ObjectKey(Kind.NETWORK, "bridge")
"""The network of containers that name none; it is there when somebody uses it."""


def lower(
    manifests: Iterable[registry.Manifest],
    revision: str,
    stamps: Mapping[str, str],
    default_registry: str = reference.DEFAULT_REGISTRY,
) -> state.DesiredState:
    """Say what a sound set of manifests means. ``stamps`` tell archives apart by what they were when they were seen.

    ``default_registry``: of images whose references tell none.
    """
    images: dict[str, image.ImageConfig] = {}
    follows: list[image.Follow] = []
    networks: dict[str, network.NetworkConfig] = {}
    volumes: list[volume.VolumeConfig] = []
    logins: list[secret.Login] = []
    wanted: list[v1_container.Container] = []
    for manifest in manifests:
        match manifest.object:
            case v1_image.Image():
                lowered = _image(manifest.object, manifest.directory, stamps, default_registry)
                images[lowered.name] = lowered
                follows += _follows(manifest.object, lowered)
            case v1_network.Network():
                networks[manifest.key.name] = _network(manifest.object)
            case v1_volume.Volume():
                volumes.append(_volume(manifest.object))
            case v1_secret.Secret():
                logins += _logins(manifest.object)
            case v1_container.Container():
                wanted.append(manifest.object)
    containers = [_container(one, images, default_registry) for one in wanted]
    declared = {one.reference for one in images.values()}
    implicit = {one.image for one in containers} - declared
    images |= {name: image.ImageConfig(name, name, _PULLED) for name in implicit}
    if any(one.network == DEFAULT_NETWORK.name for config in containers for one in config.networks):
        networks.setdefault(DEFAULT_NETWORK.name, _BRIDGE)
    return state.DesiredState(
        revision=revision,
        containers=tuple(sorted(containers, key=lambda one: one.name)),
        images=tuple(images[name] for name in sorted(images)),
        networks=tuple(networks[name] for name in sorted(networks)),
        volumes=tuple(sorted(volumes, key=lambda one: one.name)),
        follows=tuple(sorted(follows, key=lambda one: one.name)),
        logins=tuple(sorted(logins)),
    )


def archive_path(manifest: registry.Manifest) -> str | None:
    """Give the absolute path of an Image's archive; ``None`` for everything else."""
    if isinstance(manifest.object, v1_image.Image) and manifest.object.spec.archive is not None:
        return _absolute(manifest.object.spec.archive.path, manifest.directory)
    return None


def port(written: str | v1_container.PortSpec) -> container.PortMapping:
    """Read a published port, long or short."""
    if isinstance(written, v1_container.PortSpec):
        protocol = container.TransportProtocol(written.protocol)
        return container.PortMapping(written.host, written.container, protocol, written.address)
    rest, _, protocol_name = written.partition("/")
    address, host, inside = ([v1_container.EVERYWHERE, *rest.split(":")])[-3:]
    protocol = container.TransportProtocol(protocol_name or "tcp")
    return container.PortMapping(int(host), int(inside), protocol, address)


def subnet(written: str | v1_network.SubnetSpec) -> network.Subnet:
    """Read a subnet, long or short."""
    if isinstance(written, str):
        return network.Subnet(written, None, None)
    return network.Subnet(written.subnet, written.gateway, written.range)


_PULLED = image.PullSource("")
_BRIDGE = network.NetworkConfig(
    name=DEFAULT_NETWORK.name,
    driver=network.NetworkDriver.BRIDGE,
    labels=(),
    subnets=(),
    internal=False,
    dns=True,
    mtu=None,
)


def _container(
    written: v1_container.Container, images: Mapping[str, image.ImageConfig], default_registry: str
) -> container.ContainerConfig:
    spec = written.spec
    named = spec.image.name if isinstance(spec.image, v1_container.ImageName) else None
    return container.ContainerConfig(
        name=written.metadata.name,
        image=images[named].reference if named else str(reference.parse(str(spec.image), default_registry)),
        labels=pairs(written.metadata.labels),
        command=None if spec.command is None else tuple(spec.command),
        args=None if spec.args is None else tuple(spec.args),
        env=pairs({name: str(value) for name, value in spec.env.items()}),
        working_dir=spec.working_dir,
        hostname=spec.hostname or written.metadata.name,
        ports=tuple(sorted(port(one) for one in spec.ports)),
        network_mode=_MODES.get(str(spec.networks), container.NetworkMode.NETWORKS),
        networks=_attachments(spec.networks),
        mounts=tuple(_mount(one) for one in spec.mounts),
        restart=_restart(spec.restart),
        health=health.HealthConfig(
            _probe(spec.health.startup), _probe(spec.health.readiness), _probe(spec.health.liveness)
        ),
        resources=container.Resources(
            spec.resources.cpus, spec.resources.memory, spec.resources.memory_reservation, spec.resources.pids
        ),
        security=_security(spec.security),
        stop=container.StopConfig(spec.stop.signal, spec.stop.grace_period),
        update=container.UpdateStrategy.RECREATE,
        depends_on=tuple(
            sorted(
                container.Dependency(one.container, container.DependencyCondition(one.condition))
                for one in spec.depends_on
            )
        ),
    )


_MODES = {"host": container.NetworkMode.HOST, "none": container.NetworkMode.NONE}


def _attachments(written: str | list[str | v1_container.NetworkRef]) -> tuple[container.NetworkAttachment, ...]:
    if isinstance(written, str):
        used = written == DEFAULT_NETWORK.name
        return (container.NetworkAttachment(written),) if used else ()
    entries = [v1_container.NetworkRef(name=one) if isinstance(one, str) else one for one in written]
    return tuple(sorted(container.NetworkAttachment(one.name, tuple(sorted(one.aliases)), one.ipv4) for one in entries))


def _mount(written: v1_container.MountSpec) -> container.Mount:
    path = forms.normal_path(written.path)
    if written.volume is not None:
        return container.VolumeMount(written.volume, path, written.read_only)
    if written.bind is not None:
        return container.BindMount(written.bind, path, written.read_only)
    return container.TmpfsMount(path, written.tmpfs, written.read_only)


def _restart(written: v1_container.RestartSpec) -> container.RestartConfig:
    waits = written.backoff
    return container.RestartConfig(
        container.RestartPolicy(written.policy), container.BackoffConfig(waits.initial, waits.max, waits.reset)
    )


def _probe(written: v1_container.ProbeSpec | None) -> health.Probe | None:
    if written is None:
        return None
    action: health.ProbeAction
    if written.http is not None:
        get = written.http
        action = health.HttpProbe(get.port, get.path, get.scheme, pairs(get.headers))
    elif written.tcp is not None:
        action = health.TcpProbe(written.tcp.port)
    else:
        action = health.ExecProbe(tuple(written.exec or ()))
    return health.Probe(
        action=action,
        initial_delay=written.initial_delay,
        period=written.period,
        timeout=written.timeout,
        success_threshold=written.success_threshold,
        failure_threshold=written.failure_threshold,
    )


def _security(written: v1_container.SecuritySpec) -> container.Security:
    return container.Security(
        user=written.user,
        cap_add=_capabilities(written.capabilities.add),
        cap_drop=_capabilities(written.capabilities.drop),
        read_only_rootfs=written.read_only_rootfs,
        no_new_privileges=written.no_new_privileges,
        seccomp=container.SeccompProfile(written.seccomp),
    )


def _capabilities(written: list[str]) -> tuple[str, ...]:
    return tuple(sorted({capabilities.named(name) for name in written}))


def _image(
    written: v1_image.Image, directory: str, stamps: Mapping[str, str], default_registry: str
) -> image.ImageConfig:
    name, spec = written.metadata.name, written.spec
    if spec.archive is not None:
        path = _absolute(spec.archive.path, directory)
        return image.ImageConfig(name, f"localhost/{name}:latest", image.ArchiveSource(path, stamps.get(path, "")))
    pull = spec.pull or v1_image.PullSpec(reference="")
    return image.ImageConfig(
        name, str(reference.parse(pull.reference, default_registry)), image.PullSource(pull.platform)
    )


def _follows(written: v1_image.Image, lowered: image.ImageConfig) -> Iterator[image.Follow]:
    pull = written.spec.pull
    policy = image.PullPolicy(pull.policy if pull else image.PullPolicy.IF_NOT_PRESENT)
    if pull is None or (pull.update is None and policy is image.PullPolicy.IF_NOT_PRESENT):
        return
    track = pull.update.track if pull.update and pull.update.track != v1_image.TAG else ""
    yield image.Follow(lowered.name, lowered.reference, policy, track, pull.update.interval if pull.update else None)


def _logins(written: v1_secret.Secret) -> Iterator[secret.Login]:
    for place, known in written.auths().entries.items():
        yield secret.Login(place, written.metadata.name, known.user, known.password, known.identity_token)


def _network(written: v1_network.Network) -> network.NetworkConfig:
    spec = written.spec
    return network.NetworkConfig(
        name=written.metadata.name,
        driver=network.NetworkDriver(spec.driver),
        labels=pairs(written.metadata.labels),
        subnets=tuple(sorted((subnet(one) for one in spec.subnets), key=str)),
        internal=spec.internal,
        dns=spec.dns,
        mtu=spec.mtu,
    )


def _volume(written: v1_volume.Volume) -> volume.VolumeConfig:
    return volume.VolumeConfig(
        name=written.metadata.name,
        driver=volume.VolumeDriver(written.spec.driver),
        labels=pairs(written.metadata.labels),
        deletion_policy=volume.DeletionPolicy(written.spec.deletion_policy),
    )


def _absolute(path: str, directory: str) -> str:
    return posixpath.normpath(posixpath.join(directory, path))
