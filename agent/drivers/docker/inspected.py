"""What somebody else has made, as a manifest would say it: for adoption. Pure.

Whatever of it cannot be said is named, and then it is not adopted: a container that loses a setting when it is replaced
one day would be a bad surprise.
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agent.drivers.docker import names as tables
from agent.drivers.docker import survey, translate
from agent.model import container, health
from agent.model.key import Pairs, pairs
from agent.oci import reference

Json = Mapping[str, Any]

_NO_LABEL = re.compile(r"[^a-z0-9]+")
_LONGEST_NAME = 63
_SHORT_ID = 12
_NANOSECONDS = 1e9
_SHM = (0, 64 << 20, 65_536_000)
"""Sizes of /dev/shm that engines choose by themselves."""
_POLICIES = {
    "always": container.RestartPolicy.ALWAYS,
    "unless-stopped": container.RestartPolicy.UNLESS_STOPPED,
    "on-failure": container.RestartPolicy.ON_FAILURE,
}
_ADDED_BY_ENGINES = frozenset({"TERM", "container", "HOSTNAME", "HOME", "PATH"})
"""Variables that engines set by themselves where nobody does."""
_UNSAID = (
    ("Privileged", "it is privileged"),
    ("Devices", "it has devices"),
    ("DeviceRequests", "it has devices"),
    ("ExtraHosts", "it has entries in /etc/hosts"),
    ("Dns", "it has DNS servers of its own"),
    ("DnsSearch", "it has DNS search domains of its own"),
    ("Links", "it has links"),
    ("VolumesFrom", "it has the volumes of another container"),
    ("Sysctls", "it has sysctls"),
    ("GroupAdd", "it has more groups"),
    ("CpusetCpus", "it is bound to certain cores"),
    ("CpuShares", "it has CPU shares"),
    ("BlkioWeight", "it has an I/O weight"),
    ("OomScoreAdj", "it has an OOM score of its own"),
    ("AutoRemove", "it is removed when it ends"),
    ("UsernsMode", "it has a user namespace of its own"),
    ("Init", "it has an init of the engine's"),
)
_NAMESPACES = (("PidMode", {"", "private"}), ("IpcMode", {"", "private", "shareable"}), ("UTSMode", {"", "private"}))


@dataclasses.dataclass(frozen=True, slots=True)
class Portrait:
    """A container as a manifest would say it."""

    config: container.ContainerConfig
    unsaid: tuple[str, ...]
    """What of it no manifest can say yet; empty where all can be said."""


def portrait(found: Json, image: Json, names: tables.Names) -> Portrait:
    """Say an inspected container; ``image`` is its image, inspected: what is the image's is not the container's."""
    told, base, host = found.get("Config") or {}, image.get("Config") or {}, found.get("HostConfig") or {}
    entrypoint, cmd = _words(told.get("Entrypoint")), _words(told.get("Cmd"))
    command = entrypoint if entrypoint and entrypoint != _words(base.get("Entrypoint")) else None
    name = names.declared_container(str(found["Name"]).removeprefix("/"))
    config = dataclasses.replace(
        survey.PLAIN,
        name=name,
        image=image_name(str(told.get("Image", "")), image),
        labels=pairs(_beyond(told.get("Labels") or {}, base.get("Labels") or {})),
        command=command,
        args=cmd if cmd and (command is not None or cmd != _words(base.get("Cmd"))) else None,
        env=_environment(told, base),
        working_dir=_unless(told.get("WorkingDir"), base.get("WorkingDir"), "/"),
        hostname=_hostname(found, name),
        ports=tuple(sorted(_ports(found))),
        network_mode=_mode(str(host.get("NetworkMode", ""))),
        networks=_networks(found, names),
        mounts=tuple(_mounts(found, names)),
        restart=dataclasses.replace(
            survey.PLAIN.restart,
            policy=_POLICIES.get(str((host.get("RestartPolicy") or {}).get("Name")), container.RestartPolicy.NEVER),
        ),
        health=_health(told.get("Healthcheck") or {}, base.get("Healthcheck") or {}),
        resources=translate.resources_of(host),
        security=_security(told, base, host),
        stop=container.StopConfig(
            _unless(told.get("StopSignal"), base.get("StopSignal"), "SIGTERM", "15"),
            float(told.get("StopTimeout") or 10),
        ),
    )
    return Portrait(config, tuple(dict.fromkeys((*_unsaid(found), *_unnamed(config)))))


def name_for(engine_name: str, taken: Iterable[str]) -> str:
    """Give a name for a manifest: the engine's own where it is one, else the nearest that is free."""
    cleaned = _NO_LABEL.sub("-", engine_name.lower()).strip("-")[:_LONGEST_NAME].strip("-") or "unnamed"
    known, number, name = set(taken), 2, cleaned
    while name in known:
        name, number = f"{cleaned[: _LONGEST_NAME - 5]}-{number}", number + 1
    return name


def image_name(written: str, image: Json) -> str:
    """Give a reference that means exactly this image now: its tag, or its digest where the tag has moved on."""
    tags = [text for text in image.get("RepoTags") or () if "<none>" not in text]
    digests = list(image.get("RepoDigests") or ())
    for text in (*(tag for tag in tags if translate.same_reference(tag, _canonical(written))), *digests, *tags):
        if _canonical(text):
            return _canonical(text)
    return ""


def _canonical(text: str) -> str:
    try:
        return str(reference.parse(text))
    except reference.InvalidReference:
        return ""


def _words(value: object) -> tuple[str, ...]:
    return tuple(str(word) for word in value) if isinstance(value, list) else (str(value),) if value else ()


def _unless(value: object, inherited: object, *defaults: str) -> str:
    """Give a value; nothing where it is the image's, or the engine's own."""
    return "" if value in (None, inherited, *defaults) else str(value)


def _beyond(labels: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    return {key: text for key, text in labels.items() if inherited.get(key) != text}


def _environment(told: Json, base: Json) -> Pairs:
    inherited = set(base.get("Env") or ())
    declared = [entry.partition("=")[::2] for entry in told.get("Env") or () if entry not in inherited]
    return pairs((name, value) for name, value in declared if name not in _ADDED_BY_ENGINES)


def _hostname(found: Json, name: str) -> str:
    """Give a hostname that somebody chose; engines use the id where nobody does, we use the name."""
    hostname = str((found.get("Config") or {}).get("Hostname") or "")
    return name if hostname in ("", str(found["Id"])[:_SHORT_ID]) else hostname


def _mode(mode: str) -> container.NetworkMode:
    modes = {"host": container.NetworkMode.HOST, "none": container.NetworkMode.NONE}
    return modes.get(mode, container.NetworkMode.NETWORKS)


def _networks(found: Json, names: tables.Names) -> tuple[container.NetworkAttachment, ...]:
    implied = {str(found["Id"])[:_SHORT_ID], str(found["Name"]).removeprefix("/")}
    implied.add(str((found.get("Config") or {}).get("Hostname") or ""))
    attachments = []
    for engine_name, place in ((found.get("NetworkSettings") or {}).get("Networks") or {}).items():
        if engine_name not in {"none", "host"}:
            aliases = tuple(sorted(set((place or {}).get("Aliases") or ()) - implied))
            fixed = ((place or {}).get("IPAMConfig") or {}).get("IPv4Address") or None
            name = names.declared_network(tables.usual(engine_name))
            attachments.append(container.NetworkAttachment(name, aliases, fixed))
    return tuple(sorted(attachments, key=lambda one: one.network))


def _ports(found: Json) -> Iterator[container.PortMapping]:
    actual = (found.get("NetworkSettings") or {}).get("Ports") or {}
    for inside, bindings in ((found.get("HostConfig") or {}).get("PortBindings") or {}).items():
        port, _, protocol = inside.partition("/")
        if protocol not in {"tcp", "udp"}:
            continue
        for number, binding in enumerate(bindings or ()):
            chosen = binding.get("HostPort") or next(
                (one.get("HostPort") for one in (actual.get(inside) or ())[number:]), ""
            )
            if str(chosen).isdecimal() and ":" not in (binding.get("HostIp") or ""):
                yield container.PortMapping(
                    int(chosen),
                    int(port),
                    container.TransportProtocol(protocol),
                    binding.get("HostIp") or "0.0.0.0",  # noqa: S104 - what no address means
                )


def _mounts(found: Json, names: tables.Names) -> Iterator[container.Mount]:
    for one in found.get("Mounts") or ():
        path, read_only = str(one.get("Destination")), not one.get("RW", True)
        if one.get("Type") == "volume":
            yield container.VolumeMount(names.declared_volume(str(one.get("Name"))), path, read_only)
        elif one.get("Type") == "bind":
            yield container.BindMount(str(one.get("Source")), path, read_only)
    host = found.get("HostConfig") or {}
    for path, options in (host.get("Tmpfs") or {}).items():
        yield container.TmpfsMount(path, _tmpfs_size(str(options)), "ro" in str(options).split(","))
    for one in host.get("Mounts") or ():
        if one.get("Type") == "tmpfs":
            size_bytes = (one.get("TmpfsOptions") or {}).get("SizeBytes")
            yield container.TmpfsMount(str(one["Target"]), size_bytes or None, bool(one.get("ReadOnly")))


def _tmpfs_size(options: str) -> int | None:
    """Read a tmpfs' size as mount(8) takes it: bytes, or with a factor."""
    found = re.search(r"(?:^|,)size=(\d+)([kmg]?)(?:,|$)", options, re.IGNORECASE)
    return int(found[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[found[2].lower()] if found else None


def _health(check: Json, inherited: Json) -> health.HealthConfig:
    """Take a health check of the container's own for a readiness probe: engines do not act on it either."""
    test = _words(check.get("Test"))
    if check == inherited or len(test) < 2 or test[0] not in {"CMD", "CMD-SHELL"}:  # noqa: PLR2004 - kind and command
        return survey.PLAIN.health
    command = test[1:] if test[0] == "CMD" else ("/bin/sh", "-c", test[1])
    probe = health.Probe(
        action=health.ExecProbe(command),
        initial_delay=0.0,
        period=(check.get("Interval") or 30e9) / _NANOSECONDS,
        timeout=(check.get("Timeout") or 30e9) / _NANOSECONDS,
        success_threshold=1,
        failure_threshold=int(check.get("Retries") or 3),
    )
    return health.HealthConfig(None, probe, None)


def _security(told: Json, base: Json, host: Json) -> container.Security:
    options = [str(one) for one in host.get("SecurityOpt") or ()]
    unconfined = any(one.replace(":", "=") == "seccomp=unconfined" for one in options)
    return container.Security(
        user=_unless(told.get("User"), base.get("User")),
        cap_add=_capabilities(host.get("CapAdd")),
        cap_drop=_capabilities(host.get("CapDrop")),
        read_only_rootfs=bool(host.get("ReadonlyRootfs")),
        no_new_privileges=any(one.startswith("no-new-privileges") and not one.endswith("false") for one in options),
        seccomp=container.SeccompProfile.UNCONFINED if unconfined else container.SeccompProfile.DEFAULT,
    )


def _capabilities(written: object) -> tuple[str, ...]:
    return tuple(sorted({word.upper().removeprefix("CAP_") for word in _words(written)}))


def _unsaid(found: Json) -> Iterator[str]:
    """Name what no manifest can say yet."""
    told, host = found.get("Config") or {}, found.get("HostConfig") or {}
    labels = told.get("Labels") or {}
    if "com.docker.swarm.task.id" in labels or "io.podman.annotations" in labels:
        yield "it belongs to an orchestrator"
    yield from (words for key, words in _UNSAID if host.get(key))
    yield from (f"its {key} is {host[key]}" for key, common in _NAMESPACES if str(host.get(key) or "") not in common)
    if str(host.get("NetworkMode", "")).startswith("container:"):
        yield "it is in the network of another container"
    if (host.get("ShmSize") or 0) not in _SHM:
        yield "its /dev/shm has a size of its own"
    if told.get("Tty") or told.get("OpenStdin"):
        yield "it has a terminal or an open standard input"
    yield from _unsaid_security(host)
    yield from _unsaid_ports(host)
    yield from _unsaid_mounts(found)


def _unsaid_security(host: Json) -> Iterator[str]:
    known = ("no-new-privileges", "seccomp=unconfined", "seccomp:unconfined")
    for one in host.get("SecurityOpt") or ():
        if not one.startswith(known):
            yield f"it has the security option {one}"


def _unsaid_ports(host: Json) -> Iterator[str]:
    for inside, bindings in (host.get("PortBindings") or {}).items():
        if inside.partition("/")[2] not in {"tcp", "udp"}:
            yield f"it publishes {inside}"
        if any(":" in (one.get("HostIp") or "") for one in bindings or ()):
            yield "it publishes a port on an IPv6 address"


def _unsaid_mounts(found: Json) -> Iterator[str]:
    for one in found.get("Mounts") or ():
        if one.get("Type") not in {"volume", "bind", "tmpfs"}:
            yield f"it has a mount of type {one.get('Type')}"
        if one.get("Type") == "volume" and one.get("Driver") not in {"local", "", None}:
            yield f"it has a volume of driver {one.get('Driver')}"


def _unnamed(config: container.ContainerConfig) -> Iterator[str]:
    if not config.image:
        yield "its image has no name any more"
    if any(isinstance(one, container.TmpfsMount) and one.size is None for one in config.mounts):
        yield "it has a tmpfs without a size"
