"""``config.json`` of a container, by the runtime specification, as a pure function of spec, image and host."""

import dataclasses
import json
import pathlib
from typing import Any

from agent import errors
from agent.engine.bundle import confinement, limits, seccomp, users
from agent.engine.spec import container as container_spec
from agent.kit import atomicfile, frozen
from agent.oci import image_config, sysctls
from agent.reasons import Reason

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHM = 64 * 1024 * 1024
FILE = "config.json"
_NAMESPACES = ("pid", "ipc", "uts", "mount")

Variables = tuple[tuple[str, str], ...]
"""Environment variables with their values."""


@frozen.value
class BundleMount:
    """A mount with everything resolved: a path of the host, or memory."""

    source: str
    """Path on the host; empty for memory."""
    path: str
    read_only: bool = False
    size: int | None = None
    is_folder: bool = False
    """The source is a directory, so that more may be mounted below it."""
    resolved: str = ""
    """Where ``path`` leads in the root file system, its links followed; empty where that is unknown."""


@frozen.value
class Bundle:
    """Inputs of a runtime configuration."""

    spec: container_spec.ContainerSpec
    image: image_config.ImageConfig
    rootfs: str
    namespace: str | None
    """Path of the network namespace; ``None`` for the host's."""
    user: users.User
    mounts: tuple[BundleMount, ...]
    cgroup: str
    filter_ahead: bool
    """The OCI runtime accepts a compiled seccomp filter."""
    pids: int | None = None
    """Default limit of processes; ``None``: unlimited."""
    own_cgroup: bool = False
    """It sees its own cgroup as the root of the hierarchy: where there is v2 only, as Docker does it."""
    env_at_start: Variables = dataclasses.field(default=(), repr=False)
    """Variables that are in no record; they come on top of the others."""
    env: Variables | None = dataclasses.field(default=None, repr=False)
    """All variables there are; ``None``: those of the spec, of the image and of every container."""


def build(bundle: Bundle) -> dict[str, Any]:
    """Return the configuration. Raises ``errors.InvalidArgument`` where there is nothing to run."""
    allowed = confinement.capabilities(bundle.spec.confinement)
    confined = seccomp.confined(allowed, ahead=bundle.filter_ahead) if bundle.spec.confinement.seccomp else None
    own = process(bundle.spec, bundle.image, bundle.user, bundle.env_at_start)
    if bundle.env is not None:
        own["env"] = [f"{name}={value}" for name, value in bundle.env]
    return {
        "ociVersion": "1.0.2",
        "process": own,
        "root": {"path": bundle.rootfs, "readonly": bundle.spec.confinement.read_only_rootfs},
        "hostname": bundle.spec.hostname,
        "mounts": [*_system_mounts(), *(_mount(mount) for mount in sorted(bundle.mounts, key=_depth))],
        "linux": {
            "cgroupsPath": bundle.cgroup,
            "namespaces": _namespaces(bundle),
            "resources": {"devices": confinement.device_rules(), **limits.resources(bundle.spec.limits, bundle.pids)},
            "sysctl": dict(sysctls.OF_NETWORK) if bundle.namespace else {},
            "maskedPaths": list(confinement.masked_paths()),
            "readonlyPaths": list(confinement.READONLY_PATHS),
            **({"seccomp": confined.section} if confined else {}),
        },
        "annotations": dict(confined.annotations) if confined else {},
    }


def write(folder: pathlib.Path, bundle: Bundle) -> None:
    """Write the configuration into a bundle's folder, for its owner only: values of secrets may be in it.

    Raises ``OSError``, and as ``build``.
    """
    atomicfile.write(folder / FILE, json.dumps(build(bundle)).encode(), mode=0o600, durable=False)


def env_of(folder: pathlib.Path, names: tuple[str, ...]) -> Variables:
    """Return some variables of a container that was started, from its bundle. Raises ``errors.Conflict``."""
    if not names:
        return ()
    try:
        entries = json.loads((folder / FILE).read_bytes())["process"]["env"]
        values = dict(entry.partition("=")[::2] for entry in entries)
        return tuple((name, values[name]) for name in names)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise errors.Conflict("the container's environment cannot be read: it has just ended") from error


def command(declared: container_spec.Process, image: image_config.ImageConfig) -> tuple[str, ...]:
    """Return the command line: ``command`` replaces the image's entrypoint and arguments, ``args`` its arguments."""
    if declared.command is not None:
        words = (*declared.command, *(declared.args or ()))
    else:
        words = (*image.entrypoint, *(image.cmd if declared.args is None else declared.args))
    if not words:
        raise errors.InvalidArgument(
            "neither the manifest nor the image says what to run",
            hint="give command or args",
            reason=Reason.START_FAILED,
        )
    return words


def process(
    container: container_spec.ContainerSpec,
    image: image_config.ImageConfig,
    user: users.User,
    env_at_start: Variables = (),
) -> dict[str, Any]:
    """Return ``process``: arguments, environment, user, directory, capabilities. Raises ``errors.InvalidArgument``."""
    variables = {**environment(container, image, user), **dict(env_at_start)}
    names = [f"CAP_{name}" for name in confinement.capabilities(container.confinement)]
    sets = ("bounding", "effective", "permitted") if user.uid == 0 else ("bounding",)
    return {
        "terminal": False,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
        "args": list(command(container.process, image)),
        "env": [f"{name}={value}" for name, value in variables.items()],
        "cwd": container.process.working_dir or image.working_dir or "/",
        "capabilities": dict.fromkeys(sets, names),
        "noNewPrivileges": container.confinement.no_new_privileges,
        "oomScoreAdj": 0,
    }


def environment(
    container: container_spec.ContainerSpec, image: image_config.ImageConfig, user: users.User
) -> dict[str, str]:
    """Return the environment: Docker's defaults, under the image's, under the manifest's."""
    defaults = {"PATH": _PATH, "HOSTNAME": container.hostname, "HOME": user.home}
    images = dict(entry.partition("=")[::2] for entry in image.env)
    return {**defaults, **images, **dict(container.process.env)}


def _namespaces(bundle: Bundle) -> list[dict[str, str]]:
    kinds = [{"type": kind} for kind in _NAMESPACES]
    cgroup = [{"type": "cgroup"}] if bundle.own_cgroup else []
    network = [{"type": "network", "path": bundle.namespace}] if bundle.namespace else []
    return [*kinds, *cgroup, *network]


def _system_mounts() -> list[dict[str, Any]]:
    """Return what every container has. ``/sys`` is always a new sysfs: the host's would bring what is mounted below."""
    table = [
        ("proc", "proc", "/proc", ["nosuid", "noexec", "nodev"]),
        ("tmpfs", "tmpfs", "/dev", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ("devpts", "devpts", "/dev/pts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        ("tmpfs", "shm", "/dev/shm", ["nosuid", "noexec", "nodev", "mode=1777", f"size={_SHM}"]),  # noqa: S108
        ("mqueue", "mqueue", "/dev/mqueue", ["nosuid", "noexec", "nodev"]),
        ("sysfs", "sysfs", "/sys", ["nosuid", "noexec", "nodev", "ro"]),
        ("cgroup", "cgroup", "/sys/fs/cgroup", ["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ]
    return [
        {"type": kind, "source": source, "destination": path, "options": options}
        for kind, source, path, options in table
    ]


def _mount(mount: BundleMount) -> dict[str, Any]:
    """Return a mount.

    ``rro`` holds for what is mounted below the source too, as ``ro`` does not; crun takes it for folders only.
    """
    if mount.source:
        read_only = ["ro", *(["rro"] if mount.is_folder else [])]
        options = ["rbind", "rprivate", *(read_only if mount.read_only else ["rw"])]
        return {"type": "bind", "source": mount.source, "destination": mount.path, "options": options}
    size = [f"size={mount.size}"] if mount.size is not None else []
    options = ["nosuid", "nodev", "mode=1777", "ro" if mount.read_only else "rw", *size]
    return {"type": "tmpfs", "source": "tmpfs", "destination": mount.path, "options": options}


def _depth(mount: BundleMount) -> tuple[int, str]:
    """Sort mounts so that one below another comes after it, by whatever name either is called."""
    path = (mount.resolved or mount.path).rstrip("/")
    return path.count("/"), path
