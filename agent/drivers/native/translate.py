"""The one table between the house's nouns and the engine's. ``config(container_spec(c)) == c`` for every field.

What the engine has no noun for (restart policy, probes, grace period, dependencies: the agent's own business) travels
as one annotation, so that an observed container says completely what it was made from.
"""

import dataclasses

import pydantic

from agent.engine.cgroups import usage
from agent.engine.containers import spec as specs
from agent.engine.containers import table
from agent.engine.network import spec as networks
from agent.engine.volumes import volumes
from agent.kit import canonical
from agent.model import container, health, network, volume
from agent.model.key import DELETION_POLICY_LABEL, PREFIX, Pairs, pairs, without_ownership
from agent.runtime import api

_AGENT_SIDE = PREFIX + "agent-side"


@dataclasses.dataclass(frozen=True, slots=True)
class AgentSide:
    """The fields of a container that no engine knows."""

    name: str
    restart: container.RestartConfig
    health: health.HealthConfig
    grace_period: float
    update: container.UpdateStrategy
    depends_on: tuple[container.Dependency, ...]
    no_network: bool


_AGENT_SIDE_TYPE = pydantic.TypeAdapter(AgentSide)


def container_spec(config: container.ContainerConfig, labels: Pairs) -> specs.ContainerSpec:
    """Say a container in the engine's words; ``labels`` are those of the ownership."""
    return specs.ContainerSpec(
        image=config.image,
        process=specs.Process(
            command=config.command,
            args=config.args,
            env=config.env,
            working_dir=config.working_dir,
            user=config.security.user,
        ),
        hostname=config.hostname,
        network_mode=_MODE[config.network_mode],
        attachments=tuple(attachment(one) for one in config.networks),
        ports=tuple(
            specs.Port(one.address, one.host_port, one.container_port, one.protocol.value) for one in config.ports
        ),
        mounts=tuple(_mount(one) for one in config.mounts),
        limits=limits(config.resources),
        confinement=specs.Confinement(
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


def container_config(spec: specs.ContainerSpec) -> container.ContainerConfig:
    """Say a container of the engine in the house's words."""
    ours = _AGENT_SIDE_TYPE.validate_json(dict(spec.annotations)[_AGENT_SIDE])
    return container.ContainerConfig(
        name=ours.name,
        image=spec.image,
        labels=without_ownership(spec.labels),
        command=spec.process.command,
        args=spec.process.args,
        env=spec.process.env,
        working_dir=spec.process.working_dir,
        hostname=spec.hostname,
        ports=tuple(
            container.PortMapping(one.host, one.container, container.TransportProtocol(one.protocol), one.address)
            for one in spec.ports
        ),
        network_mode=container.NetworkMode.NONE if ours.no_network else _MODE_BACK[spec.network_mode],
        networks=tuple(container.NetworkAttachment(one.network, one.aliases, one.ipv4) for one in spec.attachments),
        mounts=tuple(_mount_back(one) for one in spec.mounts),
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
    )


def observed_container(record: table.ContainerRecord) -> container.ObservedContainer:
    """Say a record in the house's words."""
    return container.ObservedContainer(
        id=record.id,
        name=record.name,
        config=container_config(record.spec),
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
        addresses=record.run.addresses if record.run else (),
    )


def network_spec(config: network.NetworkConfig, labels: Pairs) -> networks.NetworkSpec:
    """Say a network in the engine's words."""
    return networks.NetworkSpec(
        name=config.name,
        subnets=tuple(networks.Subnet(one.subnet, one.gateway, one.range) for one in config.subnets),
        internal=config.internal,
        dns=config.dns,
        mtu=config.mtu,
        labels=pairs((*config.labels, *labels)),
    )


def observed_network(record: networks.NetworkRecord, *, healthy: bool) -> network.ObservedNetwork:
    """Say a network of the engine in the house's words."""
    spec = record.spec
    config = network.NetworkConfig(
        name=spec.name,
        driver=network.NetworkDriver.BRIDGE,
        labels=without_ownership(spec.labels),
        subnets=tuple(network.Subnet(one.subnet, one.gateway, one.range) for one in spec.subnets),
        internal=spec.internal,
        dns=spec.dns,
        mtu=spec.mtu,
    )
    return network.ObservedNetwork(record.bridge, spec.name, config, spec.labels, healthy)


def stats(used: usage.Usage) -> api.ContainerStats:
    """Say what a container uses in the runtime's words."""
    return api.ContainerStats(
        cpu_seconds=used.cpu_seconds,
        memory_usage=used.memory_usage,
        memory_working_set=used.memory_working_set,
        memory_limit=used.memory_limit,
        pids=used.pids,
        oom_kills=used.oom_kills,
        networks=tuple(
            api.NetworkStats(
                one.name,
                one.receive_bytes,
                one.receive_packets,
                one.receive_errors,
                one.receive_dropped,
                one.transmit_bytes,
                one.transmit_packets,
                one.transmit_errors,
                one.transmit_dropped,
            )
            for one in used.interfaces
        ),
    )


def observed_volume(record: volumes.VolumeRecord) -> volume.ObservedVolume:
    """Say a volume of the engine in the house's words."""
    policy = dict(record.labels).get(DELETION_POLICY_LABEL, volume.DeletionPolicy.RETAIN.value)
    config = volume.VolumeConfig(
        name=record.name,
        driver=volume.VolumeDriver.LOCAL,
        labels=without_ownership(record.labels),
        deletion_policy=volume.DeletionPolicy(policy),
    )
    return volume.ObservedVolume(record.name, config, record.labels, str(record.path), record.created_at)


def owned(labels: Pairs) -> Pairs:
    """Give the labels that are not the user's."""
    return tuple(pair for pair in labels if pair[0].startswith(PREFIX))


def attachment(one: container.NetworkAttachment) -> specs.Attachment:
    """Say a place in a network in the engine's words."""
    return specs.Attachment(one.network, one.aliases, one.ipv4)


def limits(one: container.Resources) -> specs.Limits:
    """Say limits in the engine's words."""
    return specs.Limits(one.cpu_millis, one.memory, one.memory_reservation, one.pids)


def resources(one: specs.Limits) -> container.Resources:
    """Say limits in the house's words."""
    return container.Resources(one.cpu_millis, one.memory, one.memory_reservation, one.pids)


_MODE = {
    container.NetworkMode.NETWORKS: specs.NetworkMode.ATTACHED,
    container.NetworkMode.NONE: specs.NetworkMode.ATTACHED,
    container.NetworkMode.HOST: specs.NetworkMode.HOST,
}
_MODE_BACK = {
    specs.NetworkMode.ATTACHED: container.NetworkMode.NETWORKS,
    specs.NetworkMode.HOST: container.NetworkMode.HOST,
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
    )


def _mount(one: container.Mount) -> specs.Mount:
    match one:
        case container.VolumeMount():
            return specs.Mount("volume", one.volume, one.path, one.read_only)
        case container.BindMount():
            return specs.Mount("bind", one.source, one.path, one.read_only)
        case container.TmpfsMount():
            return specs.Mount("tmpfs", "", one.path, one.read_only, one.size)


def _mount_back(one: specs.Mount) -> container.Mount:
    match one.type:
        case "volume":
            return container.VolumeMount(one.source, one.path, one.read_only)
        case "bind":
            return container.BindMount(one.source, one.path, one.read_only)
        case _:
            return container.TmpfsMount(one.path, one.size, one.read_only)
