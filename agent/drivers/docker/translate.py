"""The one table between the house's nouns and the Engine API's. Pure.

What cannot change on a container that exists is remembered in a label of it (without the values of its environment,
which the engine tells), because engines do not keep apart what was asked for and what an image or they themselves have
filled in. What can change (name, limits, networks) is read back, so that a change behind our back is seen. Source of
all names: the Engine API's specification, version 1.41.
"""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from agent.drivers.docker import names as tables
from agent.drivers.docker import notes
from agent.engine.bundle import confinement
from agent.engine.containers import spec
from agent.kit import canonical, timestamps
from agent.model import container, image, network, volume
from agent.model.key import DELETION_POLICY_LABEL, PREFIX, Pairs, pairs, without_ownership
from agent.oci import reference

Json = dict[str, Any]

CONFIG_LABEL = PREFIX + "config"
_PERIOD = 100_000
"""Microseconds over which CPU time is limited."""
_MILLI = 1000
_MODE = 0o1777
_MTU = "com.docker.network.driver.mtu"
_SHORT_ID = 12
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
    first = config.networks[:1]
    body: Json = {
        "Image": config.image,
        "Env": [f"{name}={value}" for name, value in config.env],
        "WorkingDir": config.working_dir,
        "User": config.security.user,
        "Labels": dict((*config.labels, *labels, (CONFIG_LABEL, remembered(config)))),
        "StopTimeout": math.ceil(config.stop.grace_period),
        "ExposedPorts": {f"{port.container_port}/{port.protocol.value}": {} for port in config.ports},
        "HostConfig": _host_config(config, names),
        "NetworkingConfig": {"EndpointsConfig": {names.network(one.network): endpoint(one) for one in first}},
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
        **{name: value for name, value in limits(config.resources).items() if value > 0 or name == "PidsLimit"},
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


def limits(resources: container.Resources) -> dict[str, int]:
    """Say limits for creation and ``update``; -1 lifts one, where an engine can lift it."""
    lifted = -1
    return {
        "CpuPeriod": _PERIOD,
        "CpuQuota": lifted if resources.cpu_millis is None else resources.cpu_millis * _PERIOD // _MILLI,
        "Memory": lifted if resources.memory is None else resources.memory,
        "MemorySwap": lifted if resources.memory is None else resources.memory,
        "MemoryReservation": lifted if resources.memory_reservation is None else resources.memory_reservation,
        "PidsLimit": lifted if resources.pids is None else resources.pids,
    }


def resources_of(host: Mapping[str, Any]) -> container.Resources:
    """Read limits back from ``HostConfig``."""

    def limit(name: str) -> int | None:
        value = host.get(name)
        return value if isinstance(value, int) and value > 0 else None

    quota, period, nano = limit("CpuQuota"), limit("CpuPeriod") or _PERIOD, limit("NanoCpus")
    millis = quota * _MILLI // period if quota else nano // 1_000_000 if nano else None
    return container.Resources(millis, limit("Memory"), limit("MemoryReservation"), limit("PidsLimit"))


def _capabilities(security: container.Security) -> Json:
    """Say capabilities completely: engines' defaults differ. Raises ``engine.errors.Refused`` for an unknown one."""
    if "ALL" in security.cap_add:
        return {"CapAdd": ["ALL"], "CapDrop": list(security.cap_drop)}
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
            told: Json = {"Type": "bind", "Source": one.source, "Target": one.path, "ReadOnly": one.read_only}
            return {**told, "BindOptions": {"Propagation": "rprivate"}}
        case container.TmpfsMount():
            size = {} if one.size is None else {"SizeBytes": one.size}
            told = {"Type": "tmpfs", "Target": one.path, "ReadOnly": one.read_only}
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
    return container.ObservedContainer(
        id=str(found["Id"]),
        name=names.declared_container(str(found["Name"]).removeprefix("/")),
        config=dataclasses.replace(
            config,
            env=_environment(config, found),
            resources=resources_of(found.get("HostConfig") or {}),
            networks=_attachments(config, found, note, names),
        ),
        labels=pairs({**{name: text for name, text in labels.items() if name != CONFIG_LABEL}, **dict(note.labels)}),
        image_id=str(found.get("Image", "")),
        state=seen,
        pid=(state.get("Pid") or None) if running else None,
        exit_code=state.get("ExitCode") if ended else None,
        oom_killed=bool(state.get("OOMKilled")) and ended,
        stop_requested=note.stop_requested and ended,
        created_at=timestamps.seconds(str(found.get("Created", ""))) or 0.0,
        started_at=timestamps.seconds(str(state.get("StartedAt", ""))),
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
    noted = dict(note.aliases)
    told = []
    for engine_name, place in endpoints_of(found, names).items():
        name = names.declared_network(engine_name)
        before = asked.get(name)
        given = noted.get(name, before.aliases if before is not None else ())
        implied = {str(found["Id"])[:_SHORT_ID], config.hostname, str(found["Name"]).removeprefix("/")}
        there = set(place.get("Aliases") or ())
        aliases = (there & set(given)) | (there - implied - set(given))
        fixed = (place.get("IPAMConfig") or {}).get("IPv4Address") or None
        told.append(container.NetworkAttachment(name, tuple(sorted(aliases)), fixed))
    return tuple(sorted(told, key=lambda one: one.network))


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
        "Labels": dict((*config.labels, *labels)),
    }


def observed_network(found: Mapping[str, Any], noted: Pairs, names: tables.Names) -> network.ObservedNetwork:
    """Say a network in the house's words; what was noted last counts more than the labels, which never change."""
    labels = noted or pairs(found.get("Labels") or {})
    options = found.get("Options") or {}
    mtu = str(options.get(_MTU) or options.get("mtu") or "")
    config = network.NetworkConfig(
        name=names.declared_network(str(found["Name"])),
        driver=network.NetworkDriver.BRIDGE,
        labels=without_ownership(labels),
        subnets=tuple(sorted(subnets_of(found), key=str)),
        internal=bool(found.get("Internal")),
        dns=True,
        mtu=int(mtu) if mtu.isdecimal() else None,
    )
    return network.ObservedNetwork(str(found["Id"]), config.name, config, labels, healthy=True)


def subnets_of(found: Mapping[str, Any]) -> Iterable[network.Subnet]:
    """Give the IPv4 ranges of a network."""
    for one in (found.get("IPAM") or {}).get("Config") or ():
        if ":" not in str(one.get("Subnet", ":")):
            yield network.Subnet(str(one["Subnet"]), one.get("Gateway") or None, one.get("IPRange") or None)


def volume_body(config: volume.VolumeConfig, labels: Pairs, names: tables.Names) -> Json:
    """Say a volume as ``POST /volumes/create`` takes it.

    Its deletion policy is not among the labels: they cannot be changed, and a stale ``Delete`` would cost data.
    """
    return {"Name": names.volume(config.name), "Driver": "local", "Labels": dict((*config.labels, *labels))}


def observed_volume(found: Mapping[str, Any], noted: Pairs | None, names: tables.Names) -> volume.ObservedVolume:
    """Say a volume in the house's words; what was noted last counts more than the labels, which never change."""
    labels = pairs(noted if noted is not None else found.get("Labels") or {})
    policy = dict(labels).get(DELETION_POLICY_LABEL, volume.DeletionPolicy.RETAIN.value)
    config = volume.VolumeConfig(
        name=names.declared_volume(str(found["Name"])),
        driver=volume.VolumeDriver.LOCAL,
        labels=without_ownership(labels),
        deletion_policy=volume.DeletionPolicy(policy),
    )
    created = timestamps.seconds(str(found.get("CreatedAt", ""))) or 0.0
    return volume.ObservedVolume(config.name, config, labels, str(found.get("Mountpoint", "")), created)


def observed_images(found: Mapping[str, Any], labels: Mapping[str, Pairs]) -> Iterable[image.ObservedImage]:
    """Say an image once for each of its references; ``labels`` are those that are noted.

    Engines know every image by digest as well. That counts where it was asked for by digest, or has no other name.
    """
    tags = [text for text in found.get("RepoTags") or () if "<none>" not in text]
    for text in dict.fromkeys((*tags, *(found.get("RepoDigests") or ()))):
        try:
            name = str(reference.parse(text))
        except reference.InvalidReference:
            continue  # somebody else's, by a name that no manifest can say
        if text in tags or name in labels or not tags:
            yield image.ObservedImage(str(found["Id"]), name, labels.get(name, ()), int(found.get("Size") or 0))


def same_reference(written: str, name: str) -> bool:
    """Tell whether an engine's way to write a reference means ours."""
    try:
        return str(reference.parse(written)) == name
    except reference.InvalidReference:
        return False
