"""The config of a foreign container, read from the engine's inspection, for adoption. Pure.

A container with a setting that no manifest supports is not adopted: it would lose that setting when it is replaced
one day.
"""

import dataclasses
import re
import signal
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agent.drivers.docker import foreign, limits, references, unsupported
from agent.drivers.docker import names as tables
from agent.kit import frozen
from agent.model import container, health
from agent.model.key import Pairs, pairs

Json = Mapping[str, Any]

_PROTOCOLS = frozenset(container.TransportProtocol)
_NO_LABEL = re.compile(r"[^a-z0-9]+")
_LONGEST_NAME = 63
_SHORT_ID = 12
_NANOSECONDS = 1e9
_GRACE = 10.0
"""Seconds between signal and kill where nobody has set them."""
_POLICIES = {
    "always": container.RestartPolicy.ALWAYS,
    "unless-stopped": container.RestartPolicy.UNLESS_STOPPED,
    "on-failure": container.RestartPolicy.ON_FAILURE,
}
_ADDED_BY_ENGINES = frozenset(
    {
        *(("TERM", "xterm"), ("container", "podman"), ("container", "oci"), ("HOME", "/root"), ("HOME", "/")),
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    }
)
"""Variables that engines set by themselves."""
_READ_ONLY_TMPFS = frozenset({"/run", "/tmp", "/var/tmp"})  # noqa: S108 - places in a container
"""Directories that Podman makes writable by itself in a container with a read-only root."""


@frozen.value
class Candidate:
    """A foreign container's config, and what of it no manifest supports."""

    config: container.ContainerConfig
    unsupported: tuple[str, ...]
    """Settings that no manifest can express yet, as sentences; empty for an adoptable container."""


def candidate(inspected: Json, image: Json, names: tables.Names) -> Candidate:
    """Return the config of an inspected container; values that equal those of its inspected ``image`` are left out."""
    settings, base, host = inspected.get("Config") or {}, image.get("Config") or {}, inspected.get("HostConfig") or {}
    command, args = _program(inspected, base)
    name = names.declared_container(str(inspected["Name"]).removeprefix("/"))
    config = dataclasses.replace(
        foreign.UNDECLARED,
        name=name,
        image=references.name_of(str(settings.get("Image", "")), image),
        labels=pairs(_without_inherited(settings.get("Labels") or {}, base.get("Labels") or {})),
        command=command,
        args=args,
        env=_environment(inspected, base),
        working_dir=_unless_inherited(settings.get("WorkingDir"), base.get("WorkingDir"), "/"),
        hostname=_hostname(inspected, name),
        ports=tuple(sorted({port for _, _, port in published(inspected) if port is not None})),
        network_mode=_mode(str(host.get("NetworkMode", ""))),
        networks=_networks(inspected, names),
        mounts=tuple(_mounts(inspected, names)),
        restart=dataclasses.replace(
            foreign.UNDECLARED.restart,
            policy=_POLICIES.get(str((host.get("RestartPolicy") or {}).get("Name")), container.RestartPolicy.NEVER),
        ),
        health=_health(settings.get("Healthcheck") or {}, base.get("Healthcheck") or {}),
        resources=limits.read(host),
        security=_security(settings, base, host),
        stop=container.StopConfig(
            _unless_inherited(_signal(settings.get("StopSignal")), _signal(base.get("StopSignal")), "SIGTERM"),
            _GRACE if settings.get("StopTimeout") is None else float(settings["StopTimeout"]),
        ),
    )
    return Candidate(
        config, tuple(dict.fromkeys((*unsupported.of(inspected), *_unsupported_config(config, inspected))))
    )


def name_for(engine_name: str, taken: Iterable[str]) -> str:
    """Return a manifest name: the engine's own if it is valid, else the nearest free one."""
    cleaned = _NO_LABEL.sub("-", engine_name.lower()).strip("-")[:_LONGEST_NAME].strip("-") or "unnamed"
    taken_names, number, name = set(taken), 2, cleaned
    while name in taken_names:
        name, number = f"{cleaned[: _LONGEST_NAME - 5]}-{number}", number + 1
    return name


def _words(value: object) -> tuple[str, ...]:
    return tuple(str(word) for word in value) if isinstance(value, list) else (str(value),) if value else ()


def _program(inspected: Json, base: Json) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """Return command and arguments; ``None`` where they are the image's.

    The entrypoint is taken from ``Path`` and ``Args``: Podman 4 splits the one in its config at spaces.
    """
    config = inspected.get("Config") or {}
    entrypoint, cmd = _words(config.get("Entrypoint")), _words(config.get("Cmd"))
    whole = tuple(filter(None, (inspected.get("Path"),))) + _words(inspected.get("Args"))
    if whole and whole[len(whole) - len(cmd) :] == cmd:
        entrypoint = whole[: len(whole) - len(cmd)]
    inherited, usual = (_words(base.get(name)) for name in ("Entrypoint", "Cmd"))
    if entrypoint == inherited:
        return None, None if cmd == usual else cmd
    return entrypoint, cmd or None


def _signal(value: object) -> str:
    """Return a signal's name: Podman returns its number."""
    try:
        return signal.Signals(int(str(value))).name
    except ValueError:
        return str(value or "")


def _unless_inherited(value: object, inherited: object, default: str = "") -> str:
    """Return a value; empty if it is the image's, or the engine's default where the image has none."""
    return "" if not value or value == (inherited or default) else str(value)


def _without_inherited(labels: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    return {key: text for key, text in labels.items() if inherited.get(key) != text}


def _environment(inspected: Json, base: Json) -> Pairs:
    config = inspected.get("Config") or {}
    inherited = set(base.get("Env") or ())
    declared = [entry.partition("=")[::2] for entry in config.get("Env") or () if entry not in inherited]
    added = {*_ADDED_BY_ENGINES, ("HOSTNAME", str(config.get("Hostname")))}
    return pairs((name, value) for name, value in declared if (name, value) not in added)


def _hostname(inspected: Json, name: str) -> str:
    """Return the hostname that somebody chose, else the container's name: engines fill in the id."""
    hostname = str((inspected.get("Config") or {}).get("Hostname") or "")
    of_the_host = (inspected.get("HostConfig") or {}).get("NetworkMode") == "host"
    return name if of_the_host or hostname in ("", str(inspected["Id"])[:_SHORT_ID]) else hostname


def _mode(mode: str) -> container.NetworkMode:
    modes = {"host": container.NetworkMode.HOST, "none": container.NetworkMode.NONE}
    return modes.get(mode, container.NetworkMode.NETWORKS)


def _networks(inspected: Json, names: tables.Names) -> tuple[container.NetworkAttachment, ...]:
    implied = {str(inspected["Id"])[:_SHORT_ID], str(inspected["Name"]).removeprefix("/")}
    implied.add(str((inspected.get("Config") or {}).get("Hostname") or ""))
    attachments = []
    for engine_name, endpoint in ((inspected.get("NetworkSettings") or {}).get("Networks") or {}).items():
        if engine_name not in {"none", "host"}:
            aliases = tuple(sorted(set((endpoint or {}).get("Aliases") or ()) - implied))
            fixed = ((endpoint or {}).get("IPAMConfig") or {}).get("IPv4Address") or None
            name = names.declared_network(tables.name_in_lists(engine_name))
            attachments.append(container.NetworkAttachment(name, aliases, fixed))
    return tuple(sorted(attachments, key=lambda attachment: attachment.network))


def published(inspected: Json) -> Iterator[tuple[str, str, container.PortMapping | None]]:
    """Yield (container port, host address, mapping) per published port; ``None``: no manifest supports it."""
    actual = (inspected.get("NetworkSettings") or {}).get("Ports") or {}
    for inside, bindings in ((inspected.get("HostConfig") or {}).get("PortBindings") or {}).items():
        port, _, protocol = inside.partition("/")
        assigned = [binding for binding in actual.get(inside) or () if ":" not in (binding.get("HostIp") or "")]
        for number, binding in enumerate(bindings or ()):
            address, chosen = binding.get("HostIp") or "0.0.0.0", str(binding.get("HostPort") or "")  # noqa: S104
            if chosen in {"", "0"} or not chosen.isdecimal():
                chosen = str(assigned[number].get("HostPort") or "") if number < len(assigned) else ""
            if protocol in _PROTOCOLS and chosen.isdecimal() and ":" not in address:
                kind = container.TransportProtocol(protocol)
                yield inside, address, container.PortMapping(int(chosen), int(port), kind, address)
            else:
                yield inside, address, None


def _mounts(inspected: Json, names: tables.Names) -> Iterator[container.Mount]:
    for mount in inspected.get("Mounts") or ():
        path, read_only = str(mount.get("Destination")), not mount.get("RW", True)
        if mount.get("Type") == "volume":
            yield container.VolumeMount(names.declared_volume(str(mount.get("Name"))), path, read_only)
        elif mount.get("Type") == "bind":
            yield container.BindMount(str(mount.get("Source")), path, read_only)
    host = inspected.get("HostConfig") or {}
    for path, options in (host.get("Tmpfs") or {}).items():
        if not (host.get("ReadonlyRootfs") and path in _READ_ONLY_TMPFS and "tmpcopyup" in str(options)):
            yield container.TmpfsMount(path, _tmpfs_size(str(options)), "ro" in str(options).split(","))
    for mount in host.get("Mounts") or ():
        if mount.get("Type") == "tmpfs":
            size_bytes = (mount.get("TmpfsOptions") or {}).get("SizeBytes")
            yield container.TmpfsMount(str(mount["Target"]), size_bytes or None, bool(mount.get("ReadOnly")))


def _tmpfs_size(options: str) -> int | None:
    """Return a tmpfs' size in bytes; mount(8) takes bytes, or a number with a unit."""
    match = re.search(r"(?:^|,)size=(\d+)([kmg]?)(?:,|$)", options, re.IGNORECASE)
    return int(match[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[match[2].lower()] or None if match else None


def _health(check: Json, inherited: Json) -> health.HealthConfig:
    """Return the container's own health check as a readiness probe: engines do not act on it either."""
    test = _words(check.get("Test"))
    if check == inherited or len(test) < 2 or test[0] not in {"CMD", "CMD-SHELL"}:  # noqa: PLR2004 - kind and command
        return foreign.UNDECLARED.health
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


def _security(settings: Json, base: Json, host: Json) -> container.Security:
    options = [str(option) for option in host.get("SecurityOpt") or ()]
    unconfined = any(option.replace(":", "=") == "seccomp=unconfined" for option in options)
    return container.Security(
        user=_unless_inherited(settings.get("User"), base.get("User")),
        cap_add=_capabilities(host.get("CapAdd")),
        cap_drop=_capabilities(host.get("CapDrop")),
        read_only_rootfs=bool(host.get("ReadonlyRootfs")),
        no_new_privileges=any(
            option.startswith("no-new-privileges") and not option.endswith("false") for option in options
        ),
        seccomp=container.SeccompProfile.UNCONFINED if unconfined else container.SeccompProfile.DEFAULT,
    )


def _capabilities(capabilities: object) -> tuple[str, ...]:
    return tuple(sorted({word.upper().removeprefix("CAP_") for word in _words(capabilities)}))


def _unsupported_config(config: container.ContainerConfig, inspected: Json) -> Iterator[str]:
    if not config.image:
        yield "its image has no name any more"
    if any(isinstance(mount, container.TmpfsMount) and mount.size is None for mount in config.mounts):
        yield "it has a tmpfs without a size"
    for inside, address, port in published(inspected):
        if ":" in address:
            yield "it publishes a port on an IPv6 address"
        elif port is None and inside.partition("/")[2] in _PROTOCOLS:
            yield f"it publishes {inside} wherever the engine likes"
        elif port is None:
            yield f"it publishes {inside}"
