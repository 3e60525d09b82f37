"""From manifests to the desired state: the only place for defaults and translation."""

from collections.abc import Iterable, Iterator, Mapping

from agent.manifests import inputs, registry
from agent.manifests.v1 import container as v1_container
from agent.manifests.v1 import forms
from agent.manifests.v1 import image as v1_image
from agent.manifests.v1 import network as v1_network
from agent.manifests.v1 import secret as v1_secret
from agent.manifests.v1 import volume as v1_volume
from agent.model import container, external_input, health, image, instances, network, secret, state, volume
from agent.model.key import Kind, ObjectKey, Pairs, pairs
from agent.oci import capabilities, reference

DEFAULT_NETWORK = ObjectKey(Kind.NETWORK, "bridge")
"""The network of containers that name none; created when a container uses it."""
_INSTANCES: Mapping[str, int] = {}
"""How many instances containers have, by name, where it is not one: no manifest can say so yet."""


def lower(
    manifests: Iterable[registry.Manifest],
    revision: str,
    states: external_input.Inputs,
    default_registry: str = reference.DEFAULT_REGISTRY,
    host_key: bytes = b"",
) -> state.DesiredState:
    """Return the desired state of valid manifests. ``states`` says what the files are that they name.

    ``default_registry`` is the registry of image references that name none. ``host_key`` keys the fingerprints of
    Secrets' values; without it they have none.
    """
    images: dict[str, image.ImageConfig] = {}
    follows: list[image.UpdatePolicy] = []
    networks: dict[str, network.NetworkConfig] = {}
    volumes: list[volume.VolumeConfig] = []
    logins: list[secret.Login] = []
    values: dict[tuple[str, str], secret.SecretValue] = {}
    container_manifests: list[tuple[v1_container.Container, Pairs]] = []
    for manifest in manifests:
        match manifest.object:
            case v1_image.Image():
                lowered = _image(manifest.object, inputs.archive(manifest, states), default_registry)
                images[lowered.name] = lowered
                follows += _follows(manifest.object, lowered)
            case v1_network.Network():
                networks[manifest.key.name] = _network(manifest.object)
            case v1_volume.Volume():
                volumes.append(_volume(manifest.object))
            case v1_secret.Secret():
                logins += _logins(manifest.object)
                values |= {value.reference: value for value in _values(manifest.object, host_key)}
            case v1_container.Container():
                container_manifests.append((manifest.object, inputs.environment(manifest, states)))
    containers = instances.expand(
        (_container(spec, variables, images, values, default_registry) for spec, variables in container_manifests),
        _INSTANCES,
    )
    used = {variable.reference for config in containers for variable in config.secret_env}
    declared = {image.reference for image in images.values()}
    implicit = {container.image for container in containers} - declared
    images |= {name: image.ImageConfig(name, name, _PULLED) for name in implicit}
    if any(network.network == DEFAULT_NETWORK.name for config in containers for network in config.networks):
        networks.setdefault(DEFAULT_NETWORK.name, _BRIDGE)
    return state.DesiredState.of(
        revision,
        (*containers, *images.values(), *networks.values(), *volumes),
        follows=tuple(sorted(follows, key=lambda follow: follow.name)),
        logins=tuple(sorted(logins)),
        secrets=tuple(values[reference] for reference in sorted(used & values.keys())),
    )


def port(spec: str | v1_container.PortSpec) -> container.PortMapping:
    """Read a published port, long or short."""
    if isinstance(spec, v1_container.PortSpec):
        protocol = container.TransportProtocol(spec.protocol)
        return container.PortMapping(spec.host, spec.container, protocol, spec.address)
    ports, _, protocol_name = spec.partition("/")
    address, host, inside = ([v1_container.EVERYWHERE, *ports.split(":")])[-3:]
    protocol = container.TransportProtocol(protocol_name or "tcp")
    return container.PortMapping(int(host), int(inside), protocol, address)


def subnet(spec: str | v1_network.SubnetSpec) -> network.Subnet:
    """Read a subnet, long or short."""
    if isinstance(spec, str):
        return network.Subnet(spec, None, None)
    return network.Subnet(spec.subnet, spec.gateway, spec.range)


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
    manifest: v1_container.Container,
    file_variables: Pairs,
    images: Mapping[str, image.ImageConfig],
    values: Mapping[tuple[str, str], secret.SecretValue],
    default_registry: str,
) -> container.ContainerConfig:
    spec = manifest.spec
    named = spec.image.name if isinstance(spec.image, v1_container.ImageName) else None
    return container.ContainerConfig(
        name=manifest.metadata.name,
        image=images[named].reference if named else str(reference.parse(str(spec.image), default_registry)),
        labels=pairs(manifest.metadata.labels),
        command=None if spec.command is None else tuple(spec.command),
        args=None if spec.args is None else tuple(spec.args),
        env=_env(spec, file_variables),
        working_dir=spec.working_dir,
        hostname=spec.hostname or manifest.metadata.name,
        ports=tuple(sorted(port(entry) for entry in spec.ports)),
        network_mode=_MODES.get(str(spec.networks), container.NetworkMode.NETWORKS),
        networks=_attachments(spec.networks),
        mounts=tuple(_mount(mount) for mount in spec.mounts),
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
                container.Dependency(dependency.container, container.DependencyCondition(dependency.condition))
                for dependency in spec.dependencies
            )
        ),
        secret_env=_secret_env(spec, values),
    )


def _env(spec: v1_container.ContainerSpec, file_variables: Pairs) -> Pairs:
    """Return the variables whose values stand in the source; what ``env`` says wins over the files."""
    others = {name: value for name, value in file_variables if name not in spec.env}
    own = {name: value for name, value in spec.env.items() if not isinstance(value, v1_container.EnvironmentSource)}
    return pairs(others | own)


def _secret_env(
    spec: v1_container.ContainerSpec, values: Mapping[tuple[str, str], secret.SecretValue]
) -> tuple[secret.SecretVariable, ...]:
    fingerprints = {reference: value.fingerprint for reference, value in values.items()}
    return tuple(
        secret.SecretVariable(name, source.secret, source.key, fingerprints.get((source.secret, source.key), ""))
        for name, source in sorted(spec.sources.items())
    )


_MODES = {"host": container.NetworkMode.HOST, "none": container.NetworkMode.NONE}


def _attachments(spec: str | list[str | v1_container.NetworkRef]) -> tuple[container.NetworkAttachment, ...]:
    if isinstance(spec, str):
        used = spec == DEFAULT_NETWORK.name
        return (container.NetworkAttachment(spec),) if used else ()
    entries = [v1_container.NetworkRef(name=entry) if isinstance(entry, str) else entry for entry in spec]
    return tuple(
        sorted(container.NetworkAttachment(entry.name, tuple(sorted(entry.aliases)), entry.ipv4) for entry in entries)
    )


def _mount(spec: v1_container.MountSpec) -> container.Mount:
    path = forms.normal_path(spec.path)
    if spec.volume is not None:
        return container.VolumeMount(spec.volume, path, spec.read_only)
    if spec.bind is not None:
        return container.BindMount(spec.bind, path, spec.read_only)
    return container.TmpfsMount(path, spec.tmpfs, spec.read_only)


def _restart(spec: v1_container.RestartSpec) -> container.RestartConfig:
    waits = spec.backoff
    return container.RestartConfig(
        container.RestartPolicy(spec.policy), container.BackoffConfig(waits.initial, waits.max, waits.reset)
    )


def _probe(spec: v1_container.ProbeSpec | None) -> health.Probe | None:
    if spec is None:
        return None
    action: health.ProbeAction
    if spec.http is not None:
        get = spec.http
        action = health.HttpProbe(get.port, get.path, get.scheme, pairs(get.headers))
    elif spec.tcp is not None:
        action = health.TcpProbe(spec.tcp.port)
    else:
        action = health.ExecProbe(tuple(spec.exec or ()))
    return health.Probe(
        action=action,
        initial_delay=spec.initial_delay,
        period=spec.period,
        timeout=spec.timeout,
        success_threshold=spec.success_threshold,
        failure_threshold=spec.failure_threshold,
    )


def _security(spec: v1_container.SecuritySpec) -> container.Security:
    return container.Security(
        user=spec.user,
        cap_add=_capabilities(spec.capabilities.add),
        cap_drop=_capabilities(spec.capabilities.drop),
        read_only_rootfs=spec.read_only_rootfs,
        no_new_privileges=spec.no_new_privileges,
        seccomp=container.SeccompProfile(spec.seccomp),
    )


def _capabilities(names: list[str]) -> tuple[str, ...]:
    return tuple(sorted({capabilities.named(name) for name in names}))


def _image(manifest: v1_image.Image, archive: image.ArchiveSource | None, default_registry: str) -> image.ImageConfig:
    name, spec = manifest.metadata.name, manifest.spec
    if archive is not None:
        return image.ImageConfig(name, f"localhost/{name}:latest", archive)
    pull = spec.pull or v1_image.PullSpec(reference="")
    return image.ImageConfig(
        name, str(reference.parse(pull.reference, default_registry)), image.PullSource(pull.platform)
    )


def _follows(manifest: v1_image.Image, lowered: image.ImageConfig) -> Iterator[image.UpdatePolicy]:
    pull = manifest.spec.pull
    policy = image.PullPolicy(pull.policy if pull else image.PullPolicy.IF_NOT_PRESENT)
    if pull is None or (pull.update is None and policy is image.PullPolicy.IF_NOT_PRESENT):
        return
    track = pull.update.track if pull.update and pull.update.track != v1_image.TAG else ""
    yield image.UpdatePolicy(
        lowered.name, lowered.reference, policy, track, pull.update.interval if pull.update else None
    )


def _logins(manifest: v1_secret.Secret) -> Iterator[secret.Login]:
    for prefix, login in manifest.auths().entries.items():
        yield secret.Login(prefix, manifest.metadata.name, login.user, login.password, login.identity_token)


def _values(manifest: v1_secret.Secret, host_key: bytes) -> Iterator[secret.SecretValue]:
    name = manifest.metadata.name
    for key, value in manifest.values().items():
        yield secret.SecretValue(name, key, secret.fingerprint(host_key, name, key, value), value)


def _network(manifest: v1_network.Network) -> network.NetworkConfig:
    spec = manifest.spec
    return network.NetworkConfig(
        name=manifest.metadata.name,
        driver=network.NetworkDriver(spec.driver),
        labels=pairs(manifest.metadata.labels),
        subnets=tuple(sorted((subnet(entry) for entry in spec.subnets), key=str)),
        internal=spec.internal,
        dns=spec.dns,
        mtu=spec.mtu,
    )


def _volume(manifest: v1_volume.Volume) -> volume.VolumeConfig:
    return volume.VolumeConfig(
        name=manifest.metadata.name,
        driver=volume.VolumeDriver(manifest.spec.driver),
        labels=pairs(manifest.metadata.labels),
        deletion_policy=volume.DeletionPolicy(manifest.spec.deletion_policy),
    )
