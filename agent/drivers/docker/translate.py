"""Translation between our model and the Engine API's JSON. Pure.

What cannot change on an existing container is remembered in a label of it (without the values of its environment,
which the engine returns), because engines do not distinguish what was declared from what an image or they themselves
have filled in. What can change (name, limits, networks) is read back, so that drift is detected. Source of all names:
the Engine API's specification, version 1.41.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from agent.drivers.docker import limits, sidecar, subnets
from agent.drivers.docker import names as tables
from agent.kit import canonical, state_format, timestamps
from agent.model import container, network, volume
from agent.model.key import DELETION_POLICY_LABEL, PREFIX, Pairs, pairs, without_ownership
from agent.oci import capabilities, reference

Json = dict[str, Any]

CONFIG_LABEL = PREFIX + "config"
"""The label with the config that a container or network was created from."""
FORMAT_LABEL = PREFIX + "config-format"
"""The label with the format of that config."""
_FORMAT = (FORMAT_LABEL, str(state_format.FORMAT))
_DECLARATION_LABELS = frozenset({CONFIG_LABEL, FORMAT_LABEL})
_MODE = 0o1777
_MTU = "com.docker.network.driver.mtu"
_SHORT_ID = 12
_KILLED = 137
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


def container_body(config: container.ContainerConfig, labels: Pairs, names: tables.Names, secrets: Pairs = ()) -> Json:
    """Return the body of ``POST /containers/create``, attached to the first network.

    ``secrets`` are the variables of ``config.secret_env`` with their values.
    """
    first = [(names.network(attachment.network), endpoint_settings(attachment)) for attachment in config.networks[:1]]
    body: Json = {
        "Image": config.image,
        "Env": [f"{name}={value}" for name, value in (*config.env, *secrets)],
        "WorkingDir": config.working_dir,
        "User": config.security.user,
        "Labels": dict((*config.labels, *labels, (CONFIG_LABEL, remembered(config)), _FORMAT)),
        "StopTimeout": math.ceil(config.stop.grace_period),
        "ExposedPorts": {f"{port.container_port}/{port.protocol.value}": {} for port in config.ports},
        "HostConfig": _host_config(config, names),
        "NetworkingConfig": {"EndpointsConfig": {name: settings for name, settings in first if name != tables.DEFAULT}},
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
        binding = {"HostIp": port.address, "HostPort": str(port.host_port)}
        bindings.setdefault(f"{port.container_port}/{port.protocol.value}", []).append(binding)
    return {
        "NetworkMode": network_mode(config, names),
        "PortBindings": bindings,
        "Mounts": [_mount(mount, names) for mount in config.mounts],
        "RestartPolicy": {"Name": "no"},  # the agent restarts, under one back-off for ends and failed probes
        "ReadonlyRootfs": config.security.read_only_rootfs,
        "SecurityOpt": _security_options(config.security),
        **_capabilities(config.security),
        **limits.at_creation(config.resources),
    }


def network_mode(config: container.ContainerConfig, names: tables.Names) -> str:
    """Return ``HostConfig.NetworkMode``."""
    if config.network_mode is container.NetworkMode.HOST:
        return "host"
    return names.network(config.networks[0].network) if config.networks else "none"


def endpoint_settings(attachment: container.NetworkAttachment) -> Json:
    """Return ``EndpointSettings`` for an attachment to a network."""
    body: Json = {"Aliases": list(attachment.aliases)}
    if attachment.ipv4 is not None:
        body["IPAMConfig"] = {"IPv4Address": attachment.ipv4}
    return body


def _capabilities(security: container.Security) -> Json:
    """Return the full set of capabilities: engines' defaults differ. Raises ``errors.InvalidArgument`` if unknown."""
    every = capabilities.EVERY
    if every in security.cap_add and every not in security.cap_drop:  # the engine's own machine says what all are
        return {"CapAdd": [every], "CapDrop": [name for name in security.cap_drop if name not in security.cap_add]}
    return {"CapAdd": list(capabilities.effective(security.cap_add, security.cap_drop, ())), "CapDrop": [every]}


def _security_options(security: container.Security) -> list[str]:
    options = ["no-new-privileges"] if security.no_new_privileges else []
    if security.seccomp is container.SeccompProfile.UNCONFINED:
        options.append("seccomp=unconfined")
    return options


def _mount(mount: container.Mount, names: tables.Names) -> Json:
    match mount:
        case container.VolumeMount():
            source = names.volume(mount.volume)
            return {"Type": "volume", "Source": source, "Target": mount.path, "ReadOnly": mount.read_only}
        case container.BindMount():
            return {"Type": "bind", "Source": mount.source, "Target": mount.path, "ReadOnly": mount.read_only}
        case container.TmpfsMount():
            size = {} if mount.size is None else {"SizeBytes": mount.size}
            body: Json = {"Type": "tmpfs", "Target": mount.path, "ReadOnly": mount.read_only}
            return {**body, "TmpfsOptions": {**size, "Mode": _MODE}}


def remembered(config: container.ContainerConfig) -> str:
    """Return a config for its label: JSON without the values of its environment."""
    return canonical.dumps(without_values(config)).decode()


def without_values(config: container.ContainerConfig) -> container.ContainerConfig:
    """Return a config without the values of its environment: they may be secrets, and the engine has them."""
    return dataclasses.replace(config, env=tuple((name, "") for name, _ in config.env))


def recalled(labels: Mapping[str, str]) -> container.ContainerConfig | None:
    """Return the config in a container's labels; ``None`` for a foreign container.

    Raises ``kit.canonical.Unreadable`` where it is damaged, or a newer release's.
    """
    if CONFIG_LABEL not in labels:
        return None
    if not is_known_format(labels.get(FORMAT_LABEL, "")):
        raise canonical.Unknown(f"it has format {labels[FORMAT_LABEL]}, and {state_format.FORMAT} is the highest known")
    config = canonical.loads(container.ContainerConfig, labels[CONFIG_LABEL])
    return dataclasses.replace(config, image=reference.canonical(config.image))


def is_known_format(label: str) -> bool:
    """Return whether a declaration label of this format can be read; one without a number is of format 1."""
    return not label.isdecimal() or int(label) <= state_format.FORMAT


def observed_container(
    config: container.ContainerConfig, inspected: Mapping[str, Any], note: sidecar.ContainerNote, names: tables.Names
) -> container.ObservedContainer:
    """Return the observed state of an inspected container; ``config`` is the remembered one."""
    state = inspected.get("State") or {}
    observed_state = state_of(inspected)
    running = observed_state is container.ContainerState.RUNNING
    ended = observed_state is container.ContainerState.EXITED
    labels = dict((inspected.get("Config") or {}).get("Labels") or {})
    places = endpoints_of(inspected, names)
    started_at = timestamps.seconds(str(state.get("StartedAt", "")))
    stop_requested = ended and note.stop_requested_at >= (started_at or math.inf)
    return container.ObservedContainer(
        id=str(inspected["Id"]),
        name=names.declared_container(str(inspected["Name"]).removeprefix("/")),
        config=dataclasses.replace(
            config if note.supervision is None else config.supervised(note.supervision),
            env=_environment(config, inspected),
            resources=limits.read(inspected.get("HostConfig") or {}),
            networks=_attachments(config, inspected, note, names),
        ),
        labels=pairs({**without_declaration(labels), **dict(note.labels)}),
        image_id=str(inspected.get("Image", "")),
        state=observed_state,
        pid=(state.get("Pid") or None) if running else None,
        exit_code=state.get("ExitCode") if ended else None,
        oom_killed=ended and not stop_requested and _is_oom_end(state),
        stop_requested=stop_requested,
        created_at=timestamps.seconds(str(inspected.get("Created", ""))) or 0.0,
        started_at=started_at,
        finished_at=timestamps.seconds(str(state.get("FinishedAt", ""))) if ended else None,
        addresses=pairs(
            (names.declared_network(name), str(endpoint["IPAddress"]))
            for name, endpoint in places.items()
            if running and endpoint.get("IPAddress")
        ),
    )


def state_of(inspected: Mapping[str, Any]) -> container.ContainerState:
    """Return where an inspected container is in its life; one that is paused runs."""
    return _STATES.get(str((inspected.get("State") or {}).get("Status")), container.ContainerState.EXITED)


def _is_oom_end(state: Json) -> bool:
    """Return whether an OOM kill has ended a container: engines report one of any process in it."""
    return bool(state.get("OOMKilled")) and state.get("ExitCode") == _KILLED


def endpoints_of(inspected: Mapping[str, Any], names: tables.Names) -> dict[str, Mapping[str, Any]]:
    """Return a container's endpoints by the engine's network name, without built-in networks."""
    networks = (inspected.get("NetworkSettings") or {}).get("Networks") or {}
    usual = {tables.name_in_lists(name): endpoint or {} for name, endpoint in networks.items()}
    return {name: endpoint for name, endpoint in usual.items() if not names.is_built_in(name)}


def _environment(config: container.ContainerConfig, inspected: Mapping[str, Any]) -> Pairs:
    """Return the declared variables with the engine's values, without those of the image."""
    values = dict(entry.partition("=")[::2] for entry in (inspected.get("Config") or {}).get("Env") or ())
    return tuple((name, values.get(name, "")) for name, _ in config.env)


def _attachments(
    config: container.ContainerConfig, inspected: Mapping[str, Any], note: sidecar.ContainerNote, names: tables.Names
) -> tuple[container.NetworkAttachment, ...]:
    """Return the observed attachments, without the aliases that engines add unless they are declared."""
    asked = {attachment.network: attachment for attachment in config.networks}
    noted, addresses = dict(note.aliases), dict(note.addresses)
    attachments = []
    for engine_name, endpoint in endpoints_of(inspected, names).items():
        name = names.declared_network(engine_name)
        before = asked.get(name)
        declared_aliases = noted.get(name, before.aliases if before is not None else ())
        implied = {str(inspected["Id"])[:_SHORT_ID], config.hostname, str(inspected["Name"]).removeprefix("/")}
        aliases_now = set(endpoint.get("Aliases") or ())
        aliases = (aliases_now & set(declared_aliases)) | (aliases_now - implied - set(declared_aliases))
        fixed = addresses.get(name, (before.ipv4 or "") if before is not None else "")
        attachments.append(container.NetworkAttachment(name, tuple(sorted(aliases)), _fixed(endpoint, fixed)))
    return tuple(sorted(attachments, key=lambda attachment: attachment.network))


def _fixed(endpoint: Mapping[str, Any], declared: str) -> str | None:
    """Return an endpoint's fixed address. Podman returns none: the declared one counts until another is observed."""
    configured = (endpoint.get("IPAMConfig") or {}).get("IPv4Address")
    if configured:
        return str(configured)
    return declared if declared and endpoint.get("IPAddress") in {declared, "", None} else None


def without_declaration(labels: Mapping[str, str]) -> dict[str, str]:
    """Return an object's labels without those of its declaration."""
    return {name: text for name, text in labels.items() if name not in _DECLARATION_LABELS}


def network_body(config: network.NetworkConfig, labels: Pairs, names: tables.Names) -> Json:
    """Return the body of ``POST /networks/create``."""
    ranges = []
    for subnet in config.subnets:
        fields = {"Subnet": subnet.subnet, "Gateway": subnet.gateway, "IPRange": subnet.range}
        ranges.append({key: value for key, value in fields.items() if value is not None})
    options = {} if config.mtu is None else {_MTU: str(config.mtu)}
    return {
        "Name": names.network(config.name),
        "CheckDuplicate": True,
        "Driver": config.driver.value,
        "Internal": config.internal,
        "IPAM": {"Driver": "default", "Config": ranges},
        "Options": options,
        "Labels": dict((*config.labels, *labels, (CONFIG_LABEL, canonical.dumps(config).decode()), _FORMAT)),
    }


def remembered_network(labels: Mapping[str, str]) -> network.NetworkConfig | None:
    """Return the config in a network's labels; ``None`` for a foreign network, or if it cannot be read."""
    try:
        return canonical.loads(network.NetworkConfig, labels[CONFIG_LABEL])
    except (KeyError, canonical.Unreadable):
        return None


def observed_network(inspected: Mapping[str, Any], noted: Pairs, names: tables.Names) -> network.ObservedNetwork:
    """Return the observed state of a network; noted labels replace the engine's, which never change."""
    inspected_labels = dict(inspected.get("Labels") or {})
    labels = noted or pairs(without_declaration(inspected_labels))
    options = inspected.get("Options") or {}
    mtu = str(options.get(_MTU) or options.get("mtu") or "")
    config = network.NetworkConfig(
        name=names.declared_network(str(inspected["Name"])),
        driver=network.NetworkDriver.BRIDGE,
        labels=without_ownership(labels),
        subnets=subnets.observed(inspected, remembered_network(inspected_labels)),
        internal=bool(inspected.get("Internal")),
        dns=True,
        mtu=int(mtu) if mtu.isdecimal() else None,
    )
    return network.ObservedNetwork(str(inspected["Id"]), config.name, config, labels, healthy=True)


def volume_body(config: volume.VolumeConfig, labels: Pairs, names: tables.Names) -> Json:
    """Return the body of ``POST /volumes/create``.

    Its deletion policy is not among the labels: they cannot be changed, and a stale ``Delete`` would cost data.
    """
    return {"Name": names.volume(config.name), "Driver": "local", "Labels": dict((*config.labels, *labels))}


def observed_volume(inspected: Mapping[str, Any], noted: Pairs | None, names: tables.Names) -> volume.ObservedVolume:
    """Return the observed state of a volume; noted labels replace the engine's, which never change.

    The deletion policy ``Delete`` is only ever taken from a note.
    """
    labels = pairs(noted if noted is not None else inspected.get("Labels") or {})
    policy = dict(noted or ()).get(DELETION_POLICY_LABEL)
    config = volume.VolumeConfig(
        name=names.declared_volume(str(inspected["Name"])),
        driver=volume.VolumeDriver.LOCAL,
        labels=without_ownership(labels),
        deletion_policy=_DELETE if policy == _DELETE.value else volume.DeletionPolicy.RETAIN,
    )
    created = timestamps.seconds(str(inspected.get("CreatedAt", ""))) or 0.0
    return volume.ObservedVolume(config.name, config, labels, str(inspected.get("Mountpoint", "")), created)
