"""What somebody else has made, as a manifest would say it: for adoption. Pure.

Whatever of it cannot be said is named, and then it is not adopted: a container that loses a setting when it is replaced
one day would be a bad surprise.
"""

import dataclasses
import re
import signal
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agent.drivers.docker import limits, references, survey, unsaid
from agent.drivers.docker import names as tables
from agent.model import container, health
from agent.model.key import Pairs, pairs

Json = Mapping[str, Any]

_PROTOCOLS = frozenset(container.TransportProtocol)
_NO_LABEL = re.compile(r"[^a-z0-9]+")
_LONGEST_NAME = 63
_SHORT_ID = 12
_NANOSECONDS = 1e9
_GRACE = 10.0
"""Seconds between signal and kill where nobody has said it."""
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
"""Variables that engines set by themselves where nobody does."""
_READ_ONLY_TMPFS = frozenset({"/run", "/tmp", "/var/tmp"})  # noqa: S108 - places in a container
"""What Podman makes writable by itself in a container whose root is not."""


@dataclasses.dataclass(frozen=True, slots=True)
class Portrait:
    """A container as a manifest would say it."""

    config: container.ContainerConfig
    unsaid: tuple[str, ...]
    """What of it no manifest can say yet; empty where all can be said."""


def portrait(found: Json, image: Json, names: tables.Names) -> Portrait:
    """Say an inspected container; ``image`` is its image, inspected: what is the image's is not the container's."""
    told, base, host = found.get("Config") or {}, image.get("Config") or {}, found.get("HostConfig") or {}
    command, args = _program(found, base)
    name = names.declared_container(str(found["Name"]).removeprefix("/"))
    config = dataclasses.replace(
        survey.PLAIN,
        name=name,
        image=references.name_of(str(told.get("Image", "")), image),
        labels=pairs(_beyond(told.get("Labels") or {}, base.get("Labels") or {})),
        command=command,
        args=args,
        env=_environment(found, base),
        working_dir=_unless(told.get("WorkingDir"), base.get("WorkingDir"), "/"),
        hostname=_hostname(found, name),
        ports=tuple(sorted({port for _, _, port in published(found) if port is not None})),
        network_mode=_mode(str(host.get("NetworkMode", ""))),
        networks=_networks(found, names),
        mounts=tuple(_mounts(found, names)),
        restart=dataclasses.replace(
            survey.PLAIN.restart,
            policy=_POLICIES.get(str((host.get("RestartPolicy") or {}).get("Name")), container.RestartPolicy.NEVER),
        ),
        health=_health(told.get("Healthcheck") or {}, base.get("Healthcheck") or {}),
        resources=limits.read(host),
        security=_security(told, base, host),
        stop=container.StopConfig(
            _unless(_signal(told.get("StopSignal")), _signal(base.get("StopSignal")), "SIGTERM"),
            _GRACE if told.get("StopTimeout") is None else float(told["StopTimeout"]),
        ),
    )
    return Portrait(config, tuple(dict.fromkeys((*unsaid.of(found), *_unnamed(config, found)))))


def name_for(engine_name: str, taken: Iterable[str]) -> str:
    """Give a name for a manifest: the engine's own where it is one, else the nearest that is free."""
    cleaned = _NO_LABEL.sub("-", engine_name.lower()).strip("-")[:_LONGEST_NAME].strip("-") or "unnamed"
    known, number, name = set(taken), 2, cleaned
    while name in known:
        name, number = f"{cleaned[: _LONGEST_NAME - 5]}-{number}", number + 1
    return name


def _words(value: object) -> tuple[str, ...]:
    return tuple(str(word) for word in value) if isinstance(value, list) else (str(value),) if value else ()


def _program(found: Json, base: Json) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """Give command and arguments; ``None`` where they are the image's.

    The entrypoint is read from what really runs: Podman 4 takes it apart at spaces when it tells of it.
    """
    told = found.get("Config") or {}
    entrypoint, cmd = _words(told.get("Entrypoint")), _words(told.get("Cmd"))
    whole = tuple(filter(None, (found.get("Path"),))) + _words(found.get("Args"))
    if whole and whole[len(whole) - len(cmd) :] == cmd:
        entrypoint = whole[: len(whole) - len(cmd)]
    inherited, usual = (_words(base.get(name)) for name in ("Entrypoint", "Cmd"))
    if entrypoint == inherited:
        return None, None if cmd == usual else cmd
    return entrypoint, cmd or None


def _signal(value: object) -> str:
    """Give a signal's name: Podman tells its number."""
    try:
        return signal.Signals(int(str(value))).name
    except ValueError:
        return str(value or "")


def _unless(value: object, inherited: object, default: str = "") -> str:
    """Give a value; nothing where it is the image's, or the engine's own where the image has none."""
    return "" if not value or value == (inherited or default) else str(value)


def _beyond(labels: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    return {key: text for key, text in labels.items() if inherited.get(key) != text}


def _environment(found: Json, base: Json) -> Pairs:
    told = found.get("Config") or {}
    inherited = set(base.get("Env") or ())
    declared = [entry.partition("=")[::2] for entry in told.get("Env") or () if entry not in inherited]
    added = {*_ADDED_BY_ENGINES, ("HOSTNAME", str(told.get("Hostname")))}
    return pairs((name, value) for name, value in declared if (name, value) not in added)


def _hostname(found: Json, name: str) -> str:
    """Give a hostname that somebody chose; engines use the id where nobody does, we use the name."""
    hostname = str((found.get("Config") or {}).get("Hostname") or "")
    of_the_host = (found.get("HostConfig") or {}).get("NetworkMode") == "host"
    return name if of_the_host or hostname in ("", str(found["Id"])[:_SHORT_ID]) else hostname


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


def published(found: Json) -> Iterator[tuple[str, str, container.PortMapping | None]]:
    """Give (the container's port, the host's address, mapping) of what is published; ``None``: no manifest says it."""
    actual = (found.get("NetworkSettings") or {}).get("Ports") or {}
    for inside, bindings in ((found.get("HostConfig") or {}).get("PortBindings") or {}).items():
        port, _, protocol = inside.partition("/")
        given = [one for one in actual.get(inside) or () if ":" not in (one.get("HostIp") or "")]
        for number, binding in enumerate(bindings or ()):
            address, chosen = binding.get("HostIp") or "0.0.0.0", str(binding.get("HostPort") or "")  # noqa: S104
            if chosen in {"", "0"} or not chosen.isdecimal():
                chosen = str(given[number].get("HostPort") or "") if number < len(given) else ""
            if protocol in _PROTOCOLS and chosen.isdecimal() and ":" not in address:
                kind = container.TransportProtocol(protocol)
                yield inside, address, container.PortMapping(int(chosen), int(port), kind, address)
            else:
                yield inside, address, None


def _mounts(found: Json, names: tables.Names) -> Iterator[container.Mount]:
    for one in found.get("Mounts") or ():
        path, read_only = str(one.get("Destination")), not one.get("RW", True)
        if one.get("Type") == "volume":
            yield container.VolumeMount(names.declared_volume(str(one.get("Name"))), path, read_only)
        elif one.get("Type") == "bind":
            yield container.BindMount(str(one.get("Source")), path, read_only)
    host = found.get("HostConfig") or {}
    for path, options in (host.get("Tmpfs") or {}).items():
        if not (host.get("ReadonlyRootfs") and path in _READ_ONLY_TMPFS and "tmpcopyup" in str(options)):
            yield container.TmpfsMount(path, _tmpfs_size(str(options)), "ro" in str(options).split(","))
    for one in host.get("Mounts") or ():
        if one.get("Type") == "tmpfs":
            size_bytes = (one.get("TmpfsOptions") or {}).get("SizeBytes")
            yield container.TmpfsMount(str(one["Target"]), size_bytes or None, bool(one.get("ReadOnly")))


def _tmpfs_size(options: str) -> int | None:
    """Read a tmpfs' size as mount(8) takes it: bytes, or with a factor."""
    found = re.search(r"(?:^|,)size=(\d+)([kmg]?)(?:,|$)", options, re.IGNORECASE)
    return int(found[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[found[2].lower()] or None if found else None


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


def _unnamed(config: container.ContainerConfig, found: Json) -> Iterator[str]:
    if not config.image:
        yield "its image has no name any more"
    if any(isinstance(one, container.TmpfsMount) and one.size is None for one in config.mounts):
        yield "it has a tmpfs without a size"
    for inside, address, port in published(found):
        if ":" in address:
            yield "it publishes a port on an IPv6 address"
        elif port is None and inside.partition("/")[2] in _PROTOCOLS:
            yield f"it publishes {inside} wherever the engine likes"
        elif port is None:
            yield f"it publishes {inside}"
