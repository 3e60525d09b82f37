"""Containers: they come last, as they refer to Images and Secrets."""

from collections.abc import Mapping

from agent.manifests import inputs, registry
from agent.manifests.lowering import draft, networks
from agent.manifests.v1 import container as v1_container
from agent.manifests.v1 import forms
from agent.model import container, health, secret
from agent.model.key import Pairs, pairs
from agent.oci import capabilities, reference


def lower(manifest: registry.Manifest, declared: v1_container.Container, sketch: draft.Draft) -> None:
    """Add a Container."""
    sketch.containers.append(_container(declared, inputs.environment(manifest, sketch.inputs), sketch))


def port(spec: str | v1_container.PortSpec) -> container.PortMapping:
    """Read a published port, long or short."""
    if isinstance(spec, v1_container.PortSpec):
        protocol = container.TransportProtocol(spec.protocol)
        return container.PortMapping(spec.host, spec.container, protocol, spec.address)
    ports, _, protocol_name = spec.partition("/")
    address, host, inside = ([v1_container.EVERYWHERE, *ports.split(":")])[-3:]
    protocol = container.TransportProtocol(protocol_name or "tcp")
    return container.PortMapping(int(host), int(inside), protocol, address)


def _container(
    manifest: v1_container.Container, file_variables: Pairs, sketch: draft.Draft
) -> container.ContainerConfig:
    spec = manifest.spec
    named = spec.image.name if isinstance(spec.image, v1_container.ImageName) else None
    return container.ContainerConfig(
        name=manifest.metadata.name,
        image=sketch.images[named].reference if named else str(reference.parse(str(spec.image), sketch.registry)),
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
        secret_env=_secret_env(spec, sketch.values),
    )


def _env(spec: v1_container.ContainerSpec, file_variables: Pairs) -> Pairs:
    """Return the variables whose values stand in the source; what ``env`` says wins over the files."""
    others = {name: value for name, value in file_variables if name not in spec.env}
    own = {name: value for name, value in spec.env.items() if not isinstance(value, v1_container.EnvironmentSource)}
    return pairs(others | own)


def _secret_env(
    spec: v1_container.ContainerSpec, values: Mapping[tuple[str, str], secret.SecretValue]
) -> tuple[secret.SecretVariable, ...]:
    return tuple(
        secret.SecretVariable(name, source.secret, source.key, values[source.secret, source.key].fingerprint)
        for name, source in sorted(spec.sources.items())
    )


_MODES = {"host": container.NetworkMode.HOST, "none": container.NetworkMode.NONE}


def _attachments(spec: str | list[str | v1_container.NetworkRef]) -> tuple[container.NetworkAttachment, ...]:
    if isinstance(spec, str):
        used = spec == networks.DEFAULT.name
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
