"""The one table between the house's nouns and the engine's. ``config(container_spec(c)) == c`` for every field.

What the engine has no noun for (restart policy, probes, grace period, dependencies: the agent's own business) travels
as one annotation, so that an observed container says completely what it was made from.
"""

import dataclasses
import functools
import ipaddress

from agent.engine.containers import table
from agent.engine.spec import container as engine_container
from agent.engine.spec import network as engine_network
from agent.engine.volumes import volumes
from agent.kit import canonical, frozen
from agent.model import container, network, secret, volume
from agent.model import health as probes
from agent.model.key import DELETION_POLICY_LABEL, PREFIX, Pairs, ownership_of, pairs, without_ownership
from agent.oci import reference

_AGENT_SIDE = PREFIX + "agent-side"


_DELETE = volume.DeletionPolicy.DELETE
_UNSUPERVISED = container.RestartConfig(container.RestartPolicy.NEVER, container.BackoffConfig(1.0, 300.0, 600.0))

_UNPROBED = probes.HealthConfig(None, None, None)


@frozen.value
class AgentSide:
    """The fields of a container that no engine knows; the defaults are what their absence means.

    What differs from the declaration is recorded anew, and touches nothing that runs. A container that is no longer
    declared is stopped by them.
    """

    name: str | None = None
    """``None``: the ownership labels say it."""
    restart: container.RestartConfig = _UNSUPERVISED
    health: probes.HealthConfig = _UNPROBED
    grace_period: float = 10.0
    update: container.UpdateStrategy = container.UpdateStrategy.RECREATE
    depends_on: tuple[container.Dependency, ...] = ()
    no_network: bool | None = None
    """``None``: it has none where it is attached to none."""
    secret_env: tuple[secret.SecretVariable, ...] = dataclasses.field(default=(), metadata=canonical.absent(()))


def container_spec(config: container.ContainerConfig, labels: Pairs) -> engine_container.ContainerSpec:
    """Return a container as the engine has it; ``labels`` are those of the ownership."""
    return engine_container.ContainerSpec(
        image=config.image,
        process=engine_container.Process(
            command=config.command,
            args=config.args,
            env=config.env,
            working_dir=config.working_dir,
            user=config.security.user,
            env_at_start=tuple(variable.name for variable in config.secret_env),
        ),
        hostname=config.hostname,
        network_mode=_MODE[config.network_mode],
        attachments=tuple(attachment(network) for network in config.networks),
        ports=tuple(map(_port, config.ports)),
        mounts=tuple(_mount(mount) for mount in config.mounts),
        limits=limits(config.resources),
        confinement=engine_container.Confinement(
            cap_add=config.security.cap_add,
            cap_drop=config.security.cap_drop,
            read_only_rootfs=config.security.read_only_rootfs,
            no_new_privileges=config.security.no_new_privileges,
            seccomp=config.security.seccomp is container.SeccompProfile.DEFAULT,
        ),
        stop_signal=config.stop.signal,
        labels=pairs((*config.labels, *labels)),
        annotations=((_AGENT_SIDE, canonical.dumps(_agent_side(config)).decode()),),
    )


def container_config(spec: engine_container.ContainerSpec) -> container.ContainerConfig:
    """Return the config of a container of the engine. Raises ``kit.canonical.Unknown``."""
    ours = agent_side(dict(spec.annotations).get(_AGENT_SIDE, ""))
    owned = ownership_of(spec.labels)
    no_network = not spec.attachments if ours.no_network is None else ours.no_network
    none = no_network and spec.network_mode is engine_container.NetworkMode.ATTACHED
    return container.ContainerConfig(
        name=("" if owned is None else owned.key.name) if ours.name is None else ours.name,
        image=reference.canonical(spec.image),
        labels=without_ownership(spec.labels),
        command=spec.process.command,
        args=spec.process.args,
        env=spec.process.env,
        working_dir=spec.process.working_dir,
        hostname=spec.hostname,
        ports=tuple(
            container.PortMapping(port.host, port.container, _protocol(port.protocol), str(port.address))
            for port in spec.ports
        ),
        network_mode=container.NetworkMode.NONE if none else _MODE_BACK[spec.network_mode],
        networks=tuple(
            container.NetworkAttachment(attachment.network, attachment.aliases, _text(attachment.ipv4))
            for attachment in spec.attachments
        ),
        mounts=mounts(spec),
        restart=ours.restart,
        health=ours.health,
        resources=resources(spec.limits),
        security=container.Security(
            user=spec.process.user,
            cap_add=spec.confinement.cap_add,
            cap_drop=spec.confinement.cap_drop,
            read_only_rootfs=spec.confinement.read_only_rootfs,
            no_new_privileges=spec.confinement.no_new_privileges,
            seccomp=container.SeccompProfile.DEFAULT
            if spec.confinement.seccomp
            else container.SeccompProfile.UNCONFINED,
        ),
        stop=container.StopConfig(spec.stop_signal, ours.grace_period),
        update=ours.update,
        depends_on=ours.depends_on,
        secret_env=ours.secret_env,
        ordinal=0 if owned is None else owned.key.ordinal,
    )


@functools.lru_cache(maxsize=4096)
def agent_side(text: str) -> AgentSide:
    """Read the annotation; one that is damaged or missing says nothing, and is written anew from the declaration.

    Raises ``kit.canonical.Unknown`` for what a newer release has written.
    """
    try:
        return canonical.loads(AgentSide, text)
    except canonical.Unknown:
        raise
    except canonical.Unreadable:
        return AgentSide()


def secret_env(spec: engine_container.ContainerSpec) -> tuple[secret.SecretVariable, ...]:
    """Return a container's variables with values of Secrets. Raises ``kit.canonical.Unknown``."""
    return agent_side(dict(spec.annotations).get(_AGENT_SIDE, "")).secret_env


def mounts(spec: engine_container.ContainerSpec) -> tuple[container.Mount, ...]:
    """Return a container's mounts in the house's words."""
    return tuple(_mount_back(mount) for mount in spec.mounts)


def supervised(
    spec: engine_container.ContainerSpec, supervision: container.Supervision
) -> engine_container.ContainerSpec:
    """Return a container of the engine under another supervision, with all else as it is.

    Raises ``kit.canonical.Unknown``.
    """
    config = container_config(spec).supervised(supervision)
    annotations = {**dict(spec.annotations), _AGENT_SIDE: canonical.dumps(_agent_side(config)).decode()}
    return dataclasses.replace(spec, stop_signal=supervision.stop.signal, annotations=pairs(annotations))


def observed_container(record: table.ContainerRecord) -> container.ObservedContainer:
    """Return a container of the engine as it is observed. Raises ``kit.canonical.Unknown``."""
    try:
        config = container_config(record.spec)
    except canonical.Unknown as error:
        error.below(f"container {record.name}: ")
        raise
    return container.ObservedContainer(
        id=record.id,
        name=record.name,
        config=config,
        labels=record.spec.labels,
        image_id=record.image_id,
        state=_STATE[record.phase],
        pid=record.run.pid if record.run else None,
        exit_code=record.exit_code,
        oom_killed=record.oom_killed,
        stop_requested=record.stop_requested,
        created_at=record.created_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        addresses=_addresses(record.run),
    )


def network_spec(config: network.NetworkConfig, labels: Pairs) -> engine_network.NetworkSpec:
    """Return a network as the engine has it."""
    return engine_network.NetworkSpec(
        name=config.name,
        subnets=tuple(map(_subnet, config.subnets)),
        internal=config.internal,
        dns=config.dns,
        mtu=config.mtu,
        labels=pairs((*config.labels, *labels)),
        driver=config.driver.value,
    )


def observed_network(record: engine_network.NetworkRecord, *, healthy: bool) -> network.ObservedNetwork:
    """Return a network of the engine as it is observed."""
    spec = record.spec
    config = network.NetworkConfig(
        name=spec.name,
        driver=network.NetworkDriver(spec.driver),
        labels=without_ownership(spec.labels),
        subnets=tuple(map(_subnet_back, spec.subnets)),
        internal=spec.internal,
        dns=spec.dns,
        mtu=spec.mtu,
    )
    return network.ObservedNetwork(record.bridge, spec.name, config, spec.labels, healthy)


def observed_volume(record: volumes.VolumeRecord) -> volume.ObservedVolume:
    """Return a volume of the engine as it is observed. A policy that is not known deletes nothing."""
    policy = dict(record.labels).get(DELETION_POLICY_LABEL)
    config = volume.VolumeConfig(
        name=record.name,
        driver=volume.VolumeDriver(record.driver),
        labels=without_ownership(record.labels),
        deletion_policy=_DELETE if policy == _DELETE.value else volume.DeletionPolicy.RETAIN,
    )
    return volume.ObservedVolume(record.name, config, record.labels, str(record.path), record.created_at)


def owned(labels: Pairs) -> Pairs:
    """Return the labels that are not the user's."""
    return tuple(pair for pair in labels if pair[0].startswith(PREFIX))


def attachment(config: container.NetworkAttachment) -> engine_container.Attachment:
    """Return an attachment to a network as the engine has it."""
    ipv4 = None if config.ipv4 is None else ipaddress.IPv4Address(config.ipv4)
    return engine_container.Attachment(config.network, config.aliases, ipv4)


def limits(config: container.Resources) -> engine_container.Limits:
    """Return limits as the engine has them."""
    return engine_container.Limits(config.cpu_millis, config.memory, config.memory_reservation, config.pids)


def resources(effective: engine_container.Limits) -> container.Resources:
    """Return limits of the engine as a config has them."""
    return container.Resources(effective.cpu_millis, effective.memory, effective.memory_reservation, effective.pids)


_MODE = {
    container.NetworkMode.NETWORKS: engine_container.NetworkMode.ATTACHED,
    container.NetworkMode.NONE: engine_container.NetworkMode.ATTACHED,
    container.NetworkMode.HOST: engine_container.NetworkMode.HOST,
}
_MODE_BACK = {
    engine_container.NetworkMode.ATTACHED: container.NetworkMode.NETWORKS,
    engine_container.NetworkMode.HOST: container.NetworkMode.HOST,
}
_STATE = {
    table.Phase.CREATED: container.ContainerState.CREATED,
    table.Phase.STARTING: container.ContainerState.CREATED,
    table.Phase.RUNNING: container.ContainerState.RUNNING,
    table.Phase.EXITED: container.ContainerState.EXITED,
    table.Phase.REMOVING: container.ContainerState.EXITED,
}


def _agent_side(config: container.ContainerConfig) -> AgentSide:
    return AgentSide(
        name=config.name,
        restart=config.restart,
        health=config.health,
        grace_period=config.stop.grace_period,
        update=config.update,
        depends_on=config.depends_on,
        no_network=config.network_mode is container.NetworkMode.NONE,
        secret_env=config.secret_env,
    )


def _mount(config: container.Mount) -> engine_container.Mount:
    match config:
        case container.VolumeMount():
            return engine_container.Mount("volume", config.volume, config.path, config.read_only)
        case container.BindMount():
            return engine_container.Mount("bind", config.source, config.path, config.read_only)
        case container.TmpfsMount():
            return engine_container.Mount("tmpfs", "", config.path, config.read_only, config.size)


def _mount_back(mount: engine_container.Mount) -> container.Mount:
    match mount.type:
        case "volume":
            return container.VolumeMount(mount.source, mount.path, mount.read_only)
        case "bind":
            return container.BindMount(mount.source, mount.path, mount.read_only)
        case "tmpfs":
            return container.TmpfsMount(mount.path, mount.size, mount.read_only)
        case _:
            raise canonical.Unknown(f"there is no mount of type {mount.type!r}")


def _protocol(name: str) -> container.TransportProtocol:
    try:
        return container.TransportProtocol(name)
    except ValueError as error:
        raise canonical.Unknown(f"there is no protocol {name!r}") from error


def _port(port: container.PortMapping) -> engine_container.Port:
    address = ipaddress.ip_address(port.address)
    return engine_container.Port(address, port.host_port, port.container_port, port.protocol.value)


def _subnet(subnet: network.Subnet) -> engine_network.Subnet:
    gateway = None if subnet.gateway is None else ipaddress.ip_address(subnet.gateway)
    part = None if subnet.range is None else ipaddress.ip_network(subnet.range)
    return engine_network.Subnet(ipaddress.ip_network(subnet.subnet), gateway, part)


def _subnet_back(subnet: engine_network.Subnet) -> network.Subnet:
    return network.Subnet(str(subnet.subnet), _text(subnet.gateway), _text(subnet.range))


def _addresses(run: table.Run | None) -> tuple[tuple[str, str], ...]:
    return () if run is None else tuple((name, str(address)) for name, address in run.addresses)


def _text(value: engine_network.Address | engine_network.Range | None) -> str | None:
    return None if value is None else str(value)
