"""What of somebody else's objects no manifest can say yet: such an object is not adopted. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from agent.model.key import PREFIX

Json = Mapping[str, Any]

_SHM = (0, 64 << 20, 65_536_000)
"""Sizes of /dev/shm that engines choose by themselves."""
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
"""Options of a tmpfs that it has anyway, or that are said."""
_PROPAGATIONS = frozenset({"", "private", "rprivate"})
_BY_DOCKER = "rslave"
_SECURITY = ("no-new-privileges", "seccomp=unconfined", "seccomp:unconfined")
_RELABELS = frozenset({"z", "Z"})
"""Modes of a mount that SELinux heeds; volumes have one of them by themselves."""
_MTU = frozenset({"com.docker.network.driver.mtu", "mtu"})
_USUAL = frozenset({("com.docker.network.enable_ipv4", "true"), ("com.docker.network.enable_ipv6", "false")})
"""Options of a network that it has anyway."""


def of(found: Json) -> Iterator[str]:
    """Name what cannot be said of an inspected container."""
    told, host = found.get("Config") or {}, found.get("HostConfig") or {}
    labels = told.get("Labels") or {}
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
    if any(one.get("Name") not in _PODMANS_LIMITS for one in host.get("Ulimits") or ()):
        yield "it has ulimits"
    if str(host.get("Runtime") or "") not in _RUNTIMES:
        yield f"its runtime is {host['Runtime']}"
    if (host.get("RestartPolicy") or {}).get("MaximumRetryCount"):
        yield "it is only restarted so many times"
    yield from _of_config(told)
    yield from _security(host)
    yield from _mounts(found)
    yield from _places(found)


def of_network(found: Json) -> Iterator[str]:
    """Name what cannot be said of a network."""
    if found.get("EnableIPv6"):
        yield "has IPv6"
    options = {(name, str(value)) for name, value in (found.get("Options") or {}).items() if name not in _MTU}
    yield from (f"has the option {name}" for name, _ in sorted(options - _USUAL))
    if (found.get("IPAM") or {}).get("Driver") not in {"default", "", None}:
        yield "has a driver for addresses"


def of_volume(found: Json) -> Iterator[str]:
    """Name what cannot be said of a volume."""
    if found.get("Driver") not in {"local", "", None}:
        yield f"is of driver {found['Driver']}"
    if found.get("Options"):
        yield "has options"


def _of_config(told: Json) -> Iterator[str]:
    if told.get("Tty") or told.get("OpenStdin"):
        yield "it has a terminal or an open standard input"
    if told.get("Domainname"):
        yield "it has a domain name"
    if told.get("MacAddress"):
        yield "it has a hardware address of its own"
    yield from (
        f"it takes {entry} out of its image's environment" for entry in told.get("Env") or () if "=" not in entry
    )


def _security(host: Json) -> Iterator[str]:
    yield from (f"it has the security option {one}" for one in _options(host) if not one.startswith(_SECURITY))
    if not host.get("Privileged") and (host.get("MaskedPaths") == [] or host.get("ReadonlyPaths") == []):
        yield "it sees all of /proc and /sys"


def _options(host: Json) -> tuple[str, ...]:
    return tuple(str(one) for one in host.get("SecurityOpt") or ())


def _mounts(found: Json) -> Iterator[str]:
    for one in found.get("Mounts") or ():
        if one.get("Type") not in {"volume", "bind", "tmpfs"}:
            yield f"it has a mount of type {one.get('Type')}"
        if one.get("Type") == "bind" and _is_propagated(one, found.get("HostConfig") or {}):
            yield f"its mount {one.get('Destination')} is {one['Propagation']}"
        if one.get("Type") == "bind" and _RELABELS & set(str(one.get("Mode") or "").split(",")):
            yield f"its mount {one.get('Destination')} is labelled for SELinux"
    host = found.get("HostConfig") or {}
    for path, written in (host.get("Tmpfs") or {}).items():
        more = [word for word in str(written).split(",") if word not in _TMPFS and not word.startswith("size=")]
        yield from (f"its tmpfs {path} has the option {word}" for word in more)
    for one in host.get("Mounts") or ():
        more = [name for name in ("Subpath", "NoCopy") if (one.get("VolumeOptions") or {}).get(name)]
        more += [name for name in ("NonRecursive",) if (one.get("BindOptions") or {}).get(name)]
        yield from (f"its mount {one.get('Target')} has {name}" for name in more)


def _is_propagated(mount: Json, host: Json) -> bool:
    """Tell whether somebody wants mounts to travel; Docker does so by itself where its own root is among them."""
    how = str(mount.get("Propagation") or "")
    if how != _BY_DOCKER:
        return how not in _PROPAGATIONS
    asked = [str(one).rpartition(":")[2].split(",") for one in host.get("Binds") or ()]
    asked += [[str((one.get("BindOptions") or {}).get("Propagation"))] for one in host.get("Mounts") or ()]
    return any(how in words for words in asked)


def _places(found: Json) -> Iterator[str]:
    for name, place in ((found.get("NetworkSettings") or {}).get("Networks") or {}).items():
        told = place or {}
        if told.get("Links") or told.get("DriverOpts"):
            yield f"it has settings of its own in network {name}"
        if any((told.get("IPAMConfig") or {}).get(key) for key in ("IPv6Address", "LinkLocalIPs")):
            yield f"it has fixed addresses in network {name}"
