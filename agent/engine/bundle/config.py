"""``config.json`` of a container, by the runtime specification, as a pure function of what is known of it."""

import dataclasses
from typing import Any

from agent.engine import errors
from agent.engine.bundle import confinement, limits, seccomp, users
from agent.engine.containers import spec
from agent.oci import image_config

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHM = 64 * 1024 * 1024
_NAMESPACES = ("pid", "ipc", "uts", "mount")


@dataclasses.dataclass(frozen=True, slots=True)
class BundleMount:
    """A mount with everything resolved: a path of the host, or memory."""

    source: str
    """Empty for memory."""
    path: str
    read_only: bool = False
    size: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Bundle:
    """All that a configuration is made from."""

    spec: spec.ContainerSpec
    image: image_config.ImageConfig
    rootfs: str
    namespace: str | None
    """Path of the network namespace; ``None`` for the host's."""
    user: users.User
    mounts: tuple[BundleMount, ...]
    cgroup: str
    filter_ahead: bool
    """The OCI runtime takes a compiled seccomp filter."""


def build(bundle: Bundle) -> dict[str, Any]:
    """Give the configuration. Raises ``errors.Refused`` where there is nothing to run."""
    allowed = confinement.capabilities(bundle.spec.confinement)
    confined = seccomp.confined(allowed, ahead=bundle.filter_ahead) if bundle.spec.confinement.seccomp else None
    return {
        "ociVersion": "1.0.2",
        "process": process(bundle.spec, bundle.image, bundle.user),
        "root": {"path": bundle.rootfs, "readonly": bundle.spec.confinement.read_only_rootfs},
        "hostname": bundle.spec.hostname,
        "mounts": [*_system_mounts(bundle), *(_mount(one) for one in sorted(bundle.mounts, key=_depth))],
        "linux": {
            "cgroupsPath": bundle.cgroup,
            "namespaces": _namespaces(bundle),
            "resources": {"devices": confinement.device_rules(), **limits.resources(bundle.spec.limits)},
            "maskedPaths": list(confinement.MASKED_PATHS),
            "readonlyPaths": list(confinement.READONLY_PATHS),
            **({"seccomp": confined.section} if confined else {}),
        },
        "annotations": dict(confined.annotations) if confined else {},
    }


def command(wanted: spec.Process, image: image_config.ImageConfig) -> tuple[str, ...]:
    """Give what runs: ``command`` replaces the entrypoint and drops the image's arguments, ``args`` replaces those."""
    if wanted.command is not None:
        words = (*wanted.command, *(wanted.args or ()))
    else:
        words = (*image.entrypoint, *(image.cmd if wanted.args is None else wanted.args))
    if not words:
        raise errors.Refused(
            "neither the manifest nor the image says what to run", hint="give command or args", reason="StartFailed"
        )
    return words


def process(wanted: spec.ContainerSpec, image: image_config.ImageConfig, user: users.User) -> dict[str, Any]:
    """Give ``process``: what runs, as whom, where, and what it may do. Raises ``errors.Refused``."""
    names = [f"CAP_{name}" for name in confinement.capabilities(wanted.confinement)]
    sets = ("bounding", "effective", "permitted") if user.uid == 0 else ("bounding",)
    return {
        "terminal": False,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
        "args": list(command(wanted.process, image)),
        "env": [f"{name}={value}" for name, value in environment(wanted, image, user).items()],
        "cwd": wanted.process.working_dir or image.working_dir or "/",
        "capabilities": dict.fromkeys(sets, names),
        "noNewPrivileges": wanted.confinement.no_new_privileges,
        "oomScoreAdj": 0,
    }


def environment(wanted: spec.ContainerSpec, image: image_config.ImageConfig, user: users.User) -> dict[str, str]:
    """Give the environment: Docker's defaults, under the image's, under the manifest's."""
    defaults = {"PATH": _PATH, "HOSTNAME": wanted.hostname, "HOME": user.home}
    images = dict(entry.partition("=")[::2] for entry in image.env)
    return {**defaults, **images, **dict(wanted.process.env)}


def _namespaces(bundle: Bundle) -> list[dict[str, str]]:
    kinds = [{"type": kind} for kind in _NAMESPACES]
    return [*kinds, {"type": "network", "path": bundle.namespace}] if bundle.namespace else kinds


def _system_mounts(bundle: Bundle) -> list[dict[str, Any]]:
    """Give what every container has; ``/sys`` needs a network namespace of its own and is the host's otherwise."""
    sysfs = ("sysfs", "sysfs", "/sys") if bundle.namespace else ("none", "/sys", "/sys")
    table = [
        ("proc", "proc", "/proc", ["nosuid", "noexec", "nodev"]),
        ("tmpfs", "tmpfs", "/dev", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ("devpts", "devpts", "/dev/pts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        ("tmpfs", "shm", "/dev/shm", ["nosuid", "noexec", "nodev", "mode=1777", f"size={_SHM}"]),  # noqa: S108
        ("mqueue", "mqueue", "/dev/mqueue", ["nosuid", "noexec", "nodev"]),
        (*sysfs, ["nosuid", "noexec", "nodev", "ro", *([] if bundle.namespace else ["rbind"])]),
        ("cgroup", "cgroup", "/sys/fs/cgroup", ["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ]
    return [
        {"type": kind, "source": source, "destination": path, "options": options}
        for kind, source, path, options in table
    ]


def _mount(one: BundleMount) -> dict[str, Any]:
    mode = "ro" if one.read_only else "rw"
    if one.source:
        return {"type": "bind", "source": one.source, "destination": one.path, "options": ["rbind", "rprivate", mode]}
    size = [f"size={one.size}"] if one.size is not None else []
    options = ["nosuid", "nodev", "mode=1777", mode, *size]
    return {"type": "tmpfs", "source": "tmpfs", "destination": one.path, "options": options}


def _depth(one: BundleMount) -> tuple[int, str]:
    """Sort mounts so that one below another comes after it."""
    return one.path.rstrip("/").count("/"), one.path
