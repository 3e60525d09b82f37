"""From configs back to manifests: they lower to the config, and leave defaults out."""

import dataclasses
import re
from typing import Any, assert_never

import yaml

from agent.manifests import pipeline
from agent.model import container, health, image, network, state, volume

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
        """Represent a text, quoted where it must be."""
        style = '"' if _LINE_ENDS.search(value) else "'" if _LIKE_A_NUMBER.fullmatch(value) else None
        return self.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


def text(documents: list[Json]) -> str:
    """Return the text of a file of several documents."""
    return str(yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110))


def documents(desired: state.DesiredState) -> list[Json]:
    """Return manifests that lower to a desired state, in an order in which people read them.

    Secrets are left out, as their passwords must not be printed; images that only containers name need no manifest.
    """
    follows = {follow.name: follow for follow in desired.follows}
    images = [config for config in desired.images if not _is_implicit(config)]
    return [
        *(image_manifest(config, follows.get(config.name)) for config in images),
        *map(network_manifest, desired.networks),
        *map(volume_manifest, desired.volumes),
        *map(container_manifest, desired.containers),
    ]


def image_manifest(config: image.ImageConfig, follow: image.UpdatePolicy | None = None) -> Json:
    """Return an image's manifest; ``follow`` says how it follows its registry."""
    match config.source:
        case image.ArchiveSource():
            return _document("Image", config.name, {}, {"archive": {"path": config.source.path}})
        case image.PullSource():
            pull: Json = {"reference": config.reference}
            if config.source.platform:
                pull["platform"] = config.source.platform
            return _document("Image", config.name, {}, {"pull": pull | _follow(follow)})
        case image.BuildSource():
            return _document("Image", config.name, {}, {"build": _build(config.source)})
        case _:
            assert_never(config.source)


def _build(source: image.BuildSource) -> Json:
    fields: Json = {
        "dockerfile": "" if source.inline else source.dockerfile,
        "dockerfileInline": source.inline,
        "target": source.target,
        "args": dict(source.args),
        "labels": dict(source.labels),
        "platform": source.platform,
        "network": "" if source.network is image.BuildNetwork.DEFAULT else source.network.value,
        "pull": source.pulls,
        "cacheFrom": list(source.cache_from),
        "cacheTo": list(source.cache_to),
    }
    return {"context": source.context, **{name: value for name, value in fields.items() if value}}


def _follow(follow: image.UpdatePolicy | None) -> Json:
    if follow is None:
        return {}
    policy = {} if follow.policy is image.PullPolicy.IF_NOT_PRESENT else {"policy": follow.policy.value}
    if follow.interval is None:
        return policy
    track = {"track": follow.track} if follow.track else {}
    return {**policy, "update": {**track, "interval": _duration(follow.interval)}}


def _is_implicit(config: image.ImageConfig) -> bool:
    """Return whether an image is only named by containers."""
    return config.name == config.reference


def container_manifest(config: container.ContainerConfig) -> Json:
    """Return a container's manifest without the fields that have their default."""
    plain = _plain(config.name, config.image)
    spec: Json = {"image": config.image}
    for field, name, value in (
        ("command", "command", _list(config.command)),
        ("args", "args", _list(config.args)),
        ("env", "env", dict(config.env)),
        ("secret_env", "env", _with_secrets(config)),
        ("working_dir", "workingDir", config.working_dir),
        ("hostname", "hostname", config.hostname),
        ("ports", "ports", [str(port) for port in config.ports]),
        ("mounts", "mounts", [_mount(mount) for mount in config.mounts]),
        ("restart", "restart", _restart(config.restart, plain.restart)),
        ("health", "health", _health(config.health)),
        ("resources", "resources", _resources(config.resources)),
        ("security", "security", _security(config.security, plain.security)),
        ("stop", "stop", _stop(config.stop, plain.stop)),
        ("depends_on", "dependsOn", [_dependency(dependency) for dependency in config.depends_on]),
    ):
        if getattr(config, field) != getattr(plain, field):
            spec[name] = value
    if (config.network_mode, config.networks) != (plain.network_mode, plain.networks):
        spec["networks"] = _networks(config)
    return _document("Container", config.name, dict(config.labels), spec)


def _with_secrets(config: container.ContainerConfig) -> Json:
    """Return all variables of a container, of some only where their values are."""
    references = {variable.name: {"secret": variable.secret, "key": variable.key} for variable in config.secret_env}
    return {**dict(config.env), **references}


def network_manifest(config: network.NetworkConfig) -> Json:
    """Return a network's manifest."""
    spec: Json = {}
    if config.subnets:
        spec["subnets"] = [_subnet(subnet) for subnet in config.subnets]
    fields = {"internal": config.internal or None, "dns": None if config.dns else False, "mtu": config.mtu}
    spec |= {name: value for name, value in fields.items() if value is not None}
    return _document("Network", config.name, dict(config.labels), spec)


def volume_manifest(config: volume.VolumeConfig) -> Json:
    """Return a volume's manifest."""
    delete = config.deletion_policy is volume.DeletionPolicy.DELETE
    spec = {"deletionPolicy": config.deletion_policy.value} if delete else {}
    return _document("Volume", config.name, dict(config.labels), spec)


def _document(kind: str, name: str, labels: Json, spec: Json) -> Json:
    metadata = {"name": name, **({"labels": labels} if labels else {})}
    return {"apiVersion": _VERSION, "kind": kind, "metadata": metadata, **({"spec": spec} if spec else {})}


def _plain(name: str, image: str) -> container.ContainerConfig:
    """Return the config of a manifest that has only an image: so defaults are defined in ``lower`` alone."""
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
    entries: list[object] = []
    for attachment in config.networks:
        more = {"aliases": list(attachment.aliases), "ipv4": attachment.ipv4}
        options = {name: value for name, value in more.items() if value}
        entries.append({"name": attachment.network, **options} if options else attachment.network)
    return entries


def _mount(mount: container.Mount) -> Json:
    read_only = {"readOnly": True} if mount.read_only else {}
    match mount:
        case container.VolumeMount():
            return {"volume": mount.volume, "path": mount.path, **read_only}
        case container.BindMount():
            return {"bind": mount.source, "path": mount.path, **read_only}
        case container.TmpfsMount():
            return {"tmpfs": mount.size, "path": mount.path, **read_only}


def _restart(config: container.RestartConfig, plain: container.RestartConfig) -> Json:
    spec: Json = {} if config.policy is plain.policy else {"policy": config.policy.value}
    if config.backoff != plain.backoff:
        waits = {"initial": config.backoff.initial, "max": config.backoff.maximum, "reset": config.backoff.reset}
        spec["backoff"] = {name: _duration(value) for name, value in waits.items()}
    return spec


def _health(config: health.HealthConfig) -> Json:
    probes = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {name: _probe(probe) for name, probe in probes.items() if probe is not None}


def _probe(probe: health.Probe) -> Json:
    spec: Json
    match probe.action:
        case health.ExecProbe():
            spec = {"exec": list(probe.action.command)}
        case health.HttpProbe():
            get = probe.action
            spec = {"http": {"port": get.port, "path": get.path, "scheme": get.scheme, "headers": dict(get.headers)}}
        case health.TcpProbe():
            spec = {"tcp": {"port": probe.action.port}}
    durations = {"initialDelay": probe.initial_delay, "period": probe.period, "timeout": probe.timeout}
    counts = {"successThreshold": probe.success_threshold, "failureThreshold": probe.failure_threshold}
    return {**spec, **{name: _duration(value) for name, value in durations.items()}, **counts}


def _resources(resources: container.Resources) -> Json:
    cpus = None if resources.cpu_millis is None else f"{resources.cpu_millis}m"
    fields = {
        "cpus": cpus,
        "memory": _size(resources.memory),
        "memoryReservation": _size(resources.memory_reservation),
        "pids": resources.pids,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _security(security: container.Security, plain: container.Security) -> Json:
    spec: Json = {"user": security.user} if security.user else {}
    capabilities = {"add": list(security.cap_add), "drop": list(security.cap_drop)}
    if security.cap_add or security.cap_drop:
        spec["capabilities"] = {name: words for name, words in capabilities.items() if words}
    for field, name in (("read_only_rootfs", "readOnlyRootfs"), ("no_new_privileges", "noNewPrivileges")):
        if getattr(security, field) != getattr(plain, field):
            spec[name] = getattr(security, field)
    if security.seccomp is not plain.seccomp:
        spec["seccomp"] = security.seccomp.value
    return spec


def _stop(config: container.StopConfig, plain: container.StopConfig) -> Json:
    spec: Json = {"signal": config.signal} if config.signal else {}
    if config.grace_period != plain.grace_period:
        spec["gracePeriod"] = _duration(config.grace_period)
    return spec


def _dependency(dependency: container.Dependency) -> Json:
    return {"container": dependency.container, "condition": dependency.condition.value}


def _subnet(subnet: network.Subnet) -> object:
    more = {"gateway": subnet.gateway, "range": subnet.range}
    options = {name: value for name, value in more.items() if value is not None}
    return {"subnet": subnet.subnet, **options} if options else subnet.subnet


def _duration(seconds: float) -> str:
    """Write a duration, to the microsecond."""
    return f"{seconds:.6f}".rstrip("0").removesuffix(".") + "s"


def _size(size: int | None) -> str | int | None:
    return f"{size // _MEBI}Mi" if size and size % _MEBI == 0 else size
