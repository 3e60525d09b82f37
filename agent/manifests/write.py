"""Back from what is meant to what people would write: manifests that lower to a config, with no default spelled out."""

import dataclasses
import re
from typing import Any

import yaml

from agent.manifests import pipeline
from agent.model import container, health, network, state, volume

Json = dict[str, Any]
_VERSION = "trimtab.dev/v1"
_MEBI = 1024 * 1024
_LINE_ENDS = re.compile("[\r\x85\u2028\u2029]")
_LIKE_A_NUMBER = re.compile(r"[-+.0-9][-+.0-9a-fA-Fxo]*")


class _Dumper(yaml.SafeDumper):
    """Quotes texts that YAML 1.2, by which manifests are read, takes for numbers, and 1.1 does not: ``1e3``.

    What ends a line only in 1.1 is written by its number.
    """

    def represent_text(self, value: str) -> yaml.ScalarNode:
        """Write a text."""
        style = '"' if _LINE_ENDS.search(value) else "'" if _LIKE_A_NUMBER.fullmatch(value) else None
        return self.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


def text(documents: list[Json]) -> str:
    """Give a file of several documents."""
    return str(yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110))


def container_manifest(config: container.ContainerConfig) -> Json:
    """Write a container; what is as it would be anyway is left out."""
    plain = _plain(config.name, config.image)
    spec: Json = {"image": config.image}
    for field, name, told in (
        ("command", "command", _list(config.command)),
        ("args", "args", _list(config.args)),
        ("env", "env", dict(config.env)),
        ("working_dir", "workingDir", config.working_dir),
        ("hostname", "hostname", config.hostname),
        ("ports", "ports", [str(one) for one in config.ports]),
        ("mounts", "mounts", [_mount(one) for one in config.mounts]),
        ("restart", "restart", _restart(config.restart, plain.restart)),
        ("health", "health", _health(config.health)),
        ("resources", "resources", _resources(config.resources)),
        ("security", "security", _security(config.security, plain.security)),
        ("stop", "stop", _stop(config.stop, plain.stop)),
        ("depends_on", "dependsOn", [_dependency(one) for one in config.depends_on]),
    ):
        if getattr(config, field) != getattr(plain, field):
            spec[name] = told
    if (config.network_mode, config.networks) != (plain.network_mode, plain.networks):
        spec["networks"] = _networks(config)
    return _document("Container", config.name, dict(config.labels), spec)


def network_manifest(config: network.NetworkConfig) -> Json:
    """Write a network."""
    spec: Json = {}
    if config.subnets:
        spec["subnets"] = [_subnet(one) for one in config.subnets]
    told = {"internal": config.internal or None, "dns": None if config.dns else False, "mtu": config.mtu}
    spec |= {name: value for name, value in told.items() if value is not None}
    return _document("Network", config.name, dict(config.labels), spec)


def volume_manifest(config: volume.VolumeConfig) -> Json:
    """Write a volume."""
    delete = config.deletion_policy is volume.DeletionPolicy.DELETE
    spec = {"deletionPolicy": config.deletion_policy.value} if delete else {}
    return _document("Volume", config.name, dict(config.labels), spec)


def _document(kind: str, name: str, labels: Json, spec: Json) -> Json:
    metadata = {"name": name, **({"labels": labels} if labels else {})}
    return {"apiVersion": _VERSION, "kind": kind, "metadata": metadata, **({"spec": spec} if spec else {})}


def _plain(name: str, image: str) -> container.ContainerConfig:
    """Give the container that a manifest means which says nothing but its image: defaults are known in one place."""
    document = _document("Container", name, {}, {"image": image})
    parsed = pipeline.parse([pipeline.ManifestFile("plain", "/", text([document]).encode())])
    if parsed.problems:
        raise ValueError(str(parsed.problems[0]))
    desired: state.DesiredState = pipeline.lower(parsed, "", {})
    return desired.containers[0]


def _list(words: tuple[str, ...] | None) -> list[str]:
    return list(words or ())


def _networks(config: container.ContainerConfig) -> object:
    if config.network_mode is not container.NetworkMode.NETWORKS:
        return config.network_mode.value
    told: list[object] = []
    for one in config.networks:
        more = {"aliases": list(one.aliases), "ipv4": one.ipv4}
        said = {name: value for name, value in more.items() if value}
        told.append({"name": one.network, **said} if said else one.network)
    return told


def _mount(one: container.Mount) -> Json:
    read_only = {"readOnly": True} if one.read_only else {}
    match one:
        case container.VolumeMount():
            return {"volume": one.volume, "path": one.path, **read_only}
        case container.BindMount():
            return {"bind": one.source, "path": one.path, **read_only}
        case container.TmpfsMount():
            return {"tmpfs": one.size, "path": one.path, **read_only}


def _restart(one: container.RestartConfig, plain: container.RestartConfig) -> Json:
    told: Json = {} if one.policy is plain.policy else {"policy": one.policy.value}
    if one.backoff != plain.backoff:
        waits = {"initial": one.backoff.initial, "max": one.backoff.maximum, "reset": one.backoff.reset}
        told["backoff"] = {name: _duration(value) for name, value in waits.items()}
    return told


def _health(one: health.HealthConfig) -> Json:
    probes = {field.name: getattr(one, field.name) for field in dataclasses.fields(one)}
    return {name: _probe(probe) for name, probe in probes.items() if probe is not None}


def _probe(one: health.Probe) -> Json:
    told: Json
    match one.action:
        case health.ExecProbe():
            told = {"exec": list(one.action.command)}
        case health.HttpProbe():
            get = one.action
            told = {"http": {"port": get.port, "path": get.path, "scheme": get.scheme, "headers": dict(get.headers)}}
        case health.TcpProbe():
            told = {"tcp": {"port": one.action.port}}
    durations = {"initialDelay": one.initial_delay, "period": one.period, "timeout": one.timeout}
    counts = {"successThreshold": one.success_threshold, "failureThreshold": one.failure_threshold}
    return {**told, **{name: _duration(value) for name, value in durations.items()}, **counts}


def _resources(one: container.Resources) -> Json:
    cpus = None if one.cpu_millis is None else f"{one.cpu_millis}m"
    told = {
        "cpus": cpus,
        "memory": _size(one.memory),
        "memoryReservation": _size(one.memory_reservation),
        "pids": one.pids,
    }
    return {name: value for name, value in told.items() if value is not None}


def _security(one: container.Security, plain: container.Security) -> Json:
    told: Json = {"user": one.user} if one.user else {}
    capabilities = {"add": list(one.cap_add), "drop": list(one.cap_drop)}
    if one.cap_add or one.cap_drop:
        told["capabilities"] = {name: words for name, words in capabilities.items() if words}
    for field, name in (("read_only_rootfs", "readOnlyRootfs"), ("no_new_privileges", "noNewPrivileges")):
        if getattr(one, field) != getattr(plain, field):
            told[name] = getattr(one, field)
    if one.seccomp is not plain.seccomp:
        told["seccomp"] = one.seccomp.value
    return told


def _stop(one: container.StopConfig, plain: container.StopConfig) -> Json:
    told: Json = {"signal": one.signal} if one.signal else {}
    if one.grace_period != plain.grace_period:
        told["gracePeriod"] = _duration(one.grace_period)
    return told


def _dependency(one: container.Dependency) -> Json:
    return {"container": one.container, "condition": one.condition.value}


def _subnet(one: network.Subnet) -> object:
    more = {"gateway": one.gateway, "range": one.range}
    said = {name: value for name, value in more.items() if value is not None}
    return {"subnet": one.subnet, **said} if said else one.subnet


def _duration(seconds: float) -> str:
    """Write a duration, to the microsecond."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def _size(size: int | None) -> str | int | None:
    return f"{size // _MEBI}Mi" if size and size % _MEBI == 0 else size
