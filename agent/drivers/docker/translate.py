"""The one table between the house's nouns and the Engine API's. Pure.

What cannot change on a container that exists is remembered in a label of it (without the values of its environment,
which the engine tells), because engines do not keep apart what was asked for and what an image or they themselves have
filled in. What can change (name, limits, networks) is read back, so that a change behind our back is seen. Source of
all names: the Engine API's specification, version 1.41.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from agent.drivers.docker import limits, notes, subnets
from agent.drivers.docker import names as tables
from agent.engine.bundle import confinement
from agent.engine.containers import spec
from agent.kit import canonical, timestamps
from agent.model import container, network, volume
from agent.model.key import DELETION_POLICY_LABEL, PREFIX, Pairs, pairs, without_ownership

Json = dict[str, Any]

CONFIG_LABEL = PREFIX + "config"
_MODE = 0o1777
_MTU = "com.docker.network.driver.mtu"
_SHORT_ID = 12
_DELETE = volume.DeletionPolicy.DELETE
_STATES = {
    "created": container.ContainerState.CREATED,
    "configured": container.ContainerState.CREATED,
    "initialized": container.ContainerState.CREATED,
    "running": container.ContainerState.RUNNING,
    "paused": container.ContainerState.RUNNING,
    "restarting": container.ContainerState.RUNNING,
    "stopping": container.ContainerState.RUNNING,
}


def container_body(config: container.ContainerConfig, labels: Pairs, names: tables.Names) -> Json:
    """Say a container as ``POST /containers/create`` takes it, attached to its first network."""
    first = [(names.network(one.network), endpoint(one)) for one in config.networks[:1]]
    body: Json = {
        "Image": config.image,
        "Env": [f"{name}={value}" for name, value in config.env],
        "WorkingDir": config.working_dir,
        "User": config.security.user,
        "Labels": dict((*config.labels, *labels, (CONFIG_LABEL, remembered(config)))),
        "StopTimeout": math.ceil(config.stop.grace_period),
        "ExposedPorts": {f"{port.container_port}/{port.protocol.value}": {} for port in config.ports},
        "HostConfig": _host_config(config, names),
        "NetworkingConfig": {"EndpointsConfig": {name: place for name, place in first if name != tables.DEFAULT}},
    }
    if config.network_mode is not container.NetworkMode.HOST:
        body["Hostname"] = config.hostname
    if config.command is not None:
        body["Entrypoint"] = list(config.command) or [""]
    if config.args is not None or config.command is not None:
        body["Cmd"] = list(config.args or ())
    if config.stop.signal:
        body["StopSignal"] = config.stop.signal
    return body


def _host_config(config: container.ContainerConfig, names: tables.Names) -> Json:
    bindings: dict[str, list[Json]] = {}
    for port in config.ports:
        told = {"HostIp": port.address, "HostPort": str(port.host_port)}
        bindings.setdefault(f"{port.container_port}/{port.protocol.value}", []).append(told)
    return {
        "NetworkMode": network_mode(config, names),
        "PortBindings": bindings,
        "Mounts": [_mount(one, names) for one in config.mounts],
        "RestartPolicy": {"Name": "no"},  # the agent restarts, under one back-off for ends and failed probes
        "ReadonlyRootfs": config.security.read_only_rootfs,
        "SecurityOpt": _security_options(config.security),
        **_capabilities(config.security),
        **limits.at_creation(config.resources),
    }


def network_mode(config: container.ContainerConfig, names: tables.Names) -> str:
    """Give ``HostConfig.NetworkMode``."""
    if config.network_mode is container.NetworkMode.HOST:
        return "host"
    return names.network(config.networks[0].network) if config.networks else "none"


def endpoint(one: container.NetworkAttachment) -> Json:
    """Say a place in a network."""
    told: Json = {"Aliases": list(one.aliases)}
    if one.ipv4 is not None:
        told["IPAMConfig"] = {"IPv4Address": one.ipv4}
    return told


def _capabilities(security: container.Security) -> Json:
    """Say capabilities completely: engines' defaults differ. Raises ``engine.errors.Refused`` for an unknown one."""
    if "ALL" in security.cap_add and "ALL" not in security.cap_drop:
        return {"CapAdd": ["ALL"], "CapDrop": [name for name in security.cap_drop if name not in security.cap_add]}
    wanted = spec.Confinement(cap_add=security.cap_add, cap_drop=security.cap_drop)
    return {"CapAdd": list(confinement.capabilities(wanted)), "CapDrop": ["ALL"]}


def _security_options(security: container.Security) -> list[str]:
    options = ["no-new-privileges"] if security.no_new_privileges else []
    if security.seccomp is container.SeccompProfile.UNCONFINED:
        options.append("seccomp=unconfined")
    return options


def _mount(one: container.Mount, names: tables.Names) -> Json:
    match one:
        case container.VolumeMount():
            source = names.volume(one.volume)
            return {"Type": "volume", "Source": source, "Target": one.path, "ReadOnly": one.read_only}
        case container.BindMount():
            return {"Type": "bind", "Source": one.source, "Target": one.path, "ReadOnly": one.read_only}
        case container.TmpfsMount():
            size = {} if one.size is None else {"SizeBytes": one.size}
            told: Json = {"Type": "tmpfs", "Target": one.path, "ReadOnly": one.read_only}
            return {**told, "TmpfsOptions": {**size, "Mode": _MODE}}


def remembered(config: container.ContainerConfig) -> str:
    """Give what is kept of a config in a label: all but the values of its environment."""
    return canonical.dumps(without_values(config)).decode()


def without_values(config: container.ContainerConfig) -> container.ContainerConfig:
    """Leave the values of the environment out: they may be secrets, and the engine has them."""
    return dataclasses.replace(config, env=tuple((name, "") for name, _ in config.env))


def recalled(labels: Mapping[str, str]) -> container.ContainerConfig | None:
    """Read a config back from a container's labels; ``None`` where it is somebody else's, or another version's."""
    try:
        return canonical.restore(container.ContainerConfig, json.loads(labels[CONFIG_LABEL]))
    except (KeyError, ValueError):
        return None


def observed_container(
    config: container.ContainerConfig, found: Mapping[str, Any], note: notes.ContainerNote, names: tables.Names
) -> container.ObservedContainer:
    """Say an inspected container in the house's words; ``config`` is what was remembered of it."""
    state = found.get("State") or {}
    seen = _STATES.get(str(state.get("Status")), container.ContainerState.EXITED)
    running, ended = seen is container.ContainerState.RUNNING, seen is container.ContainerState.EXITED
    labels = dict((found.get("Config") or {}).get("Labels") or {})
    places = endpoints_of(found, names)
    started_at = timestamps.seconds(str(state.get("StartedAt", "")))
    return container.ObservedContainer(
        id=str(found["Id"]),
        name=names.declared_container(str(found["Name"]).removeprefix("/")),
        config=dataclasses.replace(
            config,
            env=_environment(config, found),
            resources=limits.read(found.get("HostConfig") or {}),
            networks=_attachments(config, found, note, names),
        ),
        labels=pairs({**{name: text for name, text in labels.items() if name != CONFIG_LABEL}, **dict(note.labels)}),
        image_id=str(found.get("Image", "")),
        state=seen,
        pid=(state.get("Pid") or None) if running else None,
        exit_code=state.get("ExitCode") if ended else None,
        oom_killed=bool(state.get("OOMKilled")) and ended,
        stop_requested=ended and note.stop_requested_at >= (started_at or math.inf),
        created_at=timestamps.seconds(str(found.get("Created", ""))) or 0.0,
        started_at=started_at,
        finished_at=timestamps.seconds(str(state.get("FinishedAt", ""))) if ended else None,
        addresses=pairs(
            (names.declared_network(name), str(place["IPAddress"]))
            for name, place in places.items()
            if running and place.get("IPAddress")
        ),
    )


def endpoints_of(found: Mapping[str, Any], names: tables.Names) -> dict[str, Mapping[str, Any]]:
    """Give a container's places in networks that are objects; by the engine's name."""
    there = (found.get("NetworkSettings") or {}).get("Networks") or {}
    usual = {tables.usual(name): place or {} for name, place in there.items()}
    return {name: place for name, place in usual.items() if not names.is_built_in(name)}


def _environment(config: container.ContainerConfig, found: Mapping[str, Any]) -> Pairs:
    """Give the declared variables as the engine has them, and nothing of the image's."""
    there = dict(entry.partition("=")[::2] for entry in (found.get("Config") or {}).get("Env") or ())
    return tuple((name, there.get(name, "")) for name, _ in config.env)


def _attachments(
    config: container.ContainerConfig, found: Mapping[str, Any], note: notes.ContainerNote, names: tables.Names
) -> tuple[container.NetworkAttachment, ...]:
    """Read networks back. Engines add names of their own to the aliases; those that we gave stay all the same."""
    asked = {one.network: one for one in config.networks}
    noted, addresses = dict(note.aliases), dict(note.addresses)
    told = []
    for engine_name, place in endpoints_of(found, names).items():
        name = names.declared_network(engine_name)
        before = asked.get(name)
        given = noted.get(name, before.aliases if before is not None else ())
        implied = {str(found["Id"])[:_SHORT_ID], config.hostname, str(found["Name"]).removeprefix("/")}
        there = set(place.get("Aliases") or ())
        aliases = (there & set(given)) | (there - implied - set(given))
        fixed = addresses.get(name, (before.ipv4 or "") if before is not None else "")
        told.append(container.NetworkAttachment(name, tuple(sorted(aliases)), _fixed(place, fixed)))
    return tuple(sorted(told, key=lambda one: one.network))


def _fixed(place: Mapping[str, Any], given: str) -> str | None:
    """Give the fixed address of a place. Podman tells none: there it is what was given, until another one is seen."""
    told = (place.get("IPAMConfig") or {}).get("IPv4Address")
    if told:
        return str(told)
    return given if given and place.get("IPAddress") in {given, "", None} else None


def network_body(config: network.NetworkConfig, labels: Pairs, names: tables.Names) -> Json:
    """Say a network as ``POST /networks/create`` takes it."""
    ranges = []
    for one in config.subnets:
        told = {"Subnet": one.subnet, "Gateway": one.gateway, "IPRange": one.range}
        ranges.append({key: value for key, value in told.items() if value is not None})
    options = {} if config.mtu is None else {_MTU: str(config.mtu)}
    return {
        "Name": names.network(config.name),
        "CheckDuplicate": True,
        "Driver": config.driver.value,
        "Internal": config.internal,
        "IPAM": {"Driver": "default", "Config": ranges},
        "Options": options,
        "Labels": dict((*config.labels, *labels, (CONFIG_LABEL, canonical.dumps(config).decode()))),
    }


def remembered_network(labels: Mapping[str, str]) -> network.NetworkConfig | None:
    """Read back what a network was made from; ``None`` where it is somebody else's, or another version's."""
    try:
        return canonical.restore(network.NetworkConfig, json.loads(labels[CONFIG_LABEL]))
    except (KeyError, ValueError):
        return None


def observed_network(found: Mapping[str, Any], noted: Pairs, names: tables.Names) -> network.ObservedNetwork:
    """Say a network in the house's words; what was noted last counts more than the labels, which never change."""
    there = dict(found.get("Labels") or {})
    labels = noted or pairs((name, text) for name, text in there.items() if name != CONFIG_LABEL)
    options = found.get("Options") or {}
    mtu = str(options.get(_MTU) or options.get("mtu") or "")
    config = network.NetworkConfig(
        name=names.declared_network(str(found["Name"])),
        driver=network.NetworkDriver.BRIDGE,
        labels=without_ownership(labels),
        subnets=subnets.observed(found, remembered_network(there)),
        internal=bool(found.get("Internal")),
        dns=True,
        mtu=int(mtu) if mtu.isdecimal() else None,
    )
    return network.ObservedNetwork(str(found["Id"]), config.name, config, labels, healthy=True)


def volume_body(config: volume.VolumeConfig, labels: Pairs, names: tables.Names) -> Json:
    """Say a volume as ``POST /volumes/create`` takes it.

    Its deletion policy is not among the labels: they cannot be changed, and a stale ``Delete`` would cost data.
    """
    return {"Name": names.volume(config.name), "Driver": "local", "Labels": dict((*config.labels, *labels))}


def observed_volume(found: Mapping[str, Any], noted: Pairs | None, names: tables.Names) -> volume.ObservedVolume:
    """Say a volume in the house's words; what was noted last counts more than the labels, which never change.

    That its data may go is only ever taken from a note.
    """
    labels = pairs(noted if noted is not None else found.get("Labels") or {})
    policy = dict(noted or ()).get(DELETION_POLICY_LABEL)
    config = volume.VolumeConfig(
        name=names.declared_volume(str(found["Name"])),
        driver=volume.VolumeDriver.LOCAL,
        labels=without_ownership(labels),
        deletion_policy=_DELETE if policy == _DELETE.value else volume.DeletionPolicy.RETAIN,
    )
    created = timestamps.seconds(str(found.get("CreatedAt", ""))) or 0.0
    return volume.ObservedVolume(config.name, config, labels, str(found.get("Mountpoint", "")), created)
