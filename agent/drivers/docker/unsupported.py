"""Settings of foreign objects that no manifest supports yet: such an object is not adopted. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from agent.model.key import PREFIX

Json = Mapping[str, Any]

_SHM = (0, 64 << 20, 65_536_000)
"""Default sizes of /dev/shm, in bytes."""
_SETTINGS = (
    ("Privileged", "it is privileged"),
    ("Devices", "it has devices"),
    ("DeviceRequests", "it has devices"),
    ("DeviceCgroupRules", "it has rules for devices"),
    ("ExtraHosts", "it has entries in /etc/hosts"),
    ("Dns", "it has DNS servers of its own"),
    ("DnsSearch", "it has DNS search domains of its own"),
    ("DnsOptions", "it has DNS options of its own"),
    ("Links", "it has links"),
    ("VolumesFrom", "it has the volumes of another container"),
    ("Sysctls", "it has sysctls"),
    ("GroupAdd", "it has more groups"),
    ("CpusetCpus", "it is bound to certain cores"),
    ("CpusetMems", "it is bound to certain memory"),
    ("CpuShares", "it has CPU shares"),
    ("CpuRealtimeRuntime", "it has real-time CPU"),
    ("BlkioWeight", "it has an I/O weight"),
    ("BlkioWeightDevice", "it has an I/O weight"),
    ("BlkioDeviceReadBps", "it has I/O limits"),
    ("BlkioDeviceWriteBps", "it has I/O limits"),
    ("BlkioDeviceReadIOps", "it has I/O limits"),
    ("BlkioDeviceWriteIOps", "it has I/O limits"),
    ("OomScoreAdj", "it has an OOM score of its own"),
    ("OomKillDisable", "it is not killed when memory is short"),
    ("StorageOpt", "it has storage options"),
    ("AutoRemove", "it is removed when it ends"),
    ("PublishAllPorts", "it publishes all ports wherever the engine likes"),
    ("UsernsMode", "it has a user namespace of its own"),
    ("Init", "it has an init of the engine's"),
)
_NAMESPACES = (("PidMode", {"", "private"}), ("IpcMode", {"", "private", "shareable"}), ("UTSMode", {"", "private"}))
_RUNTIMES = frozenset({"", "runc", "crun", "oci", "io.containerd.runc.v2"})
_PODMANS_LIMITS = frozenset({"RLIMIT_NOFILE", "RLIMIT_NPROC"})
"""Podman has them in every container."""
_TMPFS = frozenset(
    {*("", "rw", "ro", "noexec", "nosuid", "nodev", "rprivate", "tmpcopyup"), *("mode=1777", "mode=01777")}
)
"""Options of a tmpfs that are defaults, or that manifests support."""
_PROPAGATIONS = frozenset({"", "private", "rprivate"})
_BY_DOCKER = "rslave"
_SECURITY = ("no-new-privileges", "seccomp=unconfined", "seccomp:unconfined")
_RELABELS = frozenset({"z", "Z"})
"""Mount modes that relabel for SELinux; volumes have one of them by default."""
_MTU = frozenset({"com.docker.network.driver.mtu", "mtu"})
_USUAL = frozenset({("com.docker.network.enable_ipv4", "true"), ("com.docker.network.enable_ipv6", "false")})
"""Default options of a network."""


def of(inspected: Json) -> Iterator[str]:
    """Yield what is unsupported in an inspected container, as sentences."""
    config, host = inspected.get("Config") or {}, inspected.get("HostConfig") or {}
    labels = config.get("Labels") or {}
    if "com.docker.swarm.task.id" in labels or "io.podman.annotations" in labels:
        yield "it belongs to an orchestrator"
    if any(str(label).startswith(PREFIX) for label in labels):
        yield f"it has labels that begin with {PREFIX}"
    yield from (words for key, words in _SETTINGS if host.get(key))
    yield from (f"its {key} is {host[key]}" for key, common in _NAMESPACES if str(host.get(key) or "") not in common)
    if str(host.get("NetworkMode", "")).startswith("container:"):
        yield "it is in the network of another container"
    if (host.get("ShmSize") or 0) not in _SHM:
        yield "its /dev/shm has a size of its own"
    if any(ulimit.get("Name") not in _PODMANS_LIMITS for ulimit in host.get("Ulimits") or ()):
        yield "it has ulimits"
    if str(host.get("Runtime") or "") not in _RUNTIMES:
        yield f"its runtime is {host['Runtime']}"
    if (host.get("RestartPolicy") or {}).get("MaximumRetryCount"):
        yield "it is only restarted so many times"
    yield from _of_config(config)
    yield from _security(host)
    yield from _mounts(inspected)
    yield from _endpoints(inspected)


def of_network(network: Json) -> Iterator[str]:
    """Yield what is unsupported in a network, as ends of sentences."""
    if network.get("EnableIPv6"):
        yield "has IPv6"
    options = {(name, str(value)) for name, value in (network.get("Options") or {}).items() if name not in _MTU}
    yield from (f"has the option {name}" for name, _ in sorted(options - _USUAL))
    if (network.get("IPAM") or {}).get("Driver") not in {"default", "", None}:
        yield "has a driver for addresses"


def of_volume(volume: Json) -> Iterator[str]:
    """Yield what is unsupported in a volume, as ends of sentences."""
    if volume.get("Driver") not in {"local", "", None}:
        yield f"is of driver {volume['Driver']}"
    if volume.get("Options"):
        yield "has options"


def _of_config(config: Json) -> Iterator[str]:
    if config.get("Tty") or config.get("OpenStdin"):
        yield "it has a terminal or an open standard input"
    if config.get("Domainname"):
        yield "it has a domain name"
    if config.get("MacAddress"):
        yield "it has a hardware address of its own"
    yield from (
        f"it takes {entry} out of its image's environment" for entry in config.get("Env") or () if "=" not in entry
    )


def _security(host: Json) -> Iterator[str]:
    yield from (f"it has the security option {option}" for option in _options(host) if not option.startswith(_SECURITY))
    if not host.get("Privileged") and (host.get("MaskedPaths") == [] or host.get("ReadonlyPaths") == []):
        yield "it sees all of /proc and /sys"


def _options(host: Json) -> tuple[str, ...]:
    return tuple(str(option) for option in host.get("SecurityOpt") or ())


def _mounts(inspected: Json) -> Iterator[str]:
    for mount in inspected.get("Mounts") or ():
        if mount.get("Type") not in {"volume", "bind", "tmpfs"}:
            yield f"it has a mount of type {mount.get('Type')}"
        if mount.get("Type") == "bind" and _is_propagated(mount, inspected.get("HostConfig") or {}):
            yield f"its mount {mount.get('Destination')} is {mount['Propagation']}"
        if mount.get("Type") == "bind" and _RELABELS & set(str(mount.get("Mode") or "").split(",")):
            yield f"its mount {mount.get('Destination')} is labelled for SELinux"
    host = inspected.get("HostConfig") or {}
    for path, options in (host.get("Tmpfs") or {}).items():
        more = [word for word in str(options).split(",") if word not in _TMPFS and not word.startswith("size=")]
        yield from (f"its tmpfs {path} has the option {word}" for word in more)
    for mount in host.get("Mounts") or ():
        more = [name for name in ("Subpath", "NoCopy") if (mount.get("VolumeOptions") or {}).get(name)]
        more += [name for name in ("NonRecursive",) if (mount.get("BindOptions") or {}).get(name)]
        yield from (f"its mount {mount.get('Target')} has {name}" for name in more)


def _is_propagated(mount: Json, host: Json) -> bool:
    """Return whether mount propagation was requested; Docker sets ``rslave`` itself on a bind of its own root."""
    how = str(mount.get("Propagation") or "")
    if how != _BY_DOCKER:
        return how not in _PROPAGATIONS
    asked = [str(bind).rpartition(":")[2].split(",") for bind in host.get("Binds") or ()]
    asked += [[str((declared.get("BindOptions") or {}).get("Propagation"))] for declared in host.get("Mounts") or ()]
    return any(how in words for words in asked)


def _endpoints(inspected: Json) -> Iterator[str]:
    for name, endpoint in ((inspected.get("NetworkSettings") or {}).get("Networks") or {}).items():
        settings = endpoint or {}
        if settings.get("Links") or settings.get("DriverOpts"):
            yield f"it has settings of its own in network {name}"
        if any((settings.get("IPAMConfig") or {}).get(key) for key in ("IPv6Address", "LinkLocalIPs")):
            yield f"it has fixed addresses in network {name}"
