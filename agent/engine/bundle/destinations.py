"""Where a mount's path leads in a root file system: images call one folder by several names (``/var/run`` is ``/run``).

The links are the image's own, so they are followed as if its root were ``/``: nothing leads out of it.
"""

import os
import pathlib
import posixpath

from agent import errors
from agent.engine.kernel import api
from agent.reasons import Reason

_SHOWN_BY_PROC = frozenset(
    f"/proc/{name}" for name in ("cpuinfo", "diskstats", "loadavg", "meminfo", "slabinfo", "stat", "swaps", "uptime")
)
"""Files that lxcfs replaces, which runc permits."""
_MOST_LINKS = 40
"""Links in a row, as many as the kernel follows."""
_NODES = frozenset(
    f"/dev/{name}"
    for name in (
        "console",
        "full",
        "null",
        "ptmx",
        "pts",
        "random",
        "stderr",
        "stdin",
        "stdout",
        "tty",
        "urandom",
        "zero",
    )
)


def resolve(kernel: api.Kernel, rootfs: pathlib.Path, path: str) -> str:
    """Return ``path`` with its links followed, those that lead to nothing yet too: what is missing will be made."""
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for _ in range(_MOST_LINKS):
            existing, missing = _divided(kernel, root, path)
            target = _link(kernel, root, f"{existing}/{missing[0]}") if missing else None
            if target is None and ".." not in missing:
                return posixpath.join(existing, *missing)
            path = posixpath.normpath(posixpath.join(existing, *([target, *missing[1:]] if target else missing)))
    finally:
        os.close(root)
    return path


def _divided(kernel: api.Kernel, root: int, path: str) -> tuple[str, list[str]]:
    """Return where the existing part of a path leads, and the names behind it."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    for count in range(len(parts), 0, -1):
        existing = _resolved(kernel, root, "/".join(parts[:count]))
        if existing is not None:
            return existing, parts[count:]
    return "/", parts


def _link(kernel: api.Kernel, root: int, path: str) -> str | None:
    """Return what a link says; ``None`` where there is none."""
    try:
        descriptor = kernel.open_in_root(root, path, os.O_PATH | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return os.readlink("", dir_fd=descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def check(path: str) -> None:
    """Raise ``errors.InvalidArgument`` for paths that confine the container, where nothing may be mounted.

    A /proc of its own would tell OCI runtimes what the container likes (CVE-2019-16884, CVE-2025-52881), and a
    /dev/null of its own is what they put over masked paths (CVE-2025-31133). ``path`` is resolved.
    """
    path = path.rstrip("/")
    in_proc = path == "/proc" or (path.startswith("/proc/") and path not in _SHOWN_BY_PROC)
    if in_proc or path == "/dev" or path in _NODES or path.startswith("/dev/pts/"):
        raise errors.InvalidArgument(
            f"nothing can be mounted on {path} of a container",
            hint="it belongs to what confines the container: mount it elsewhere",
            reason=Reason.START_FAILED,
        )


def _resolved(kernel: api.Kernel, root: int, path: str) -> str | None:
    """Return where a path leads, seen from ``root``; ``None`` where nothing is there."""
    try:
        descriptor = kernel.open_in_root(root, path, os.O_PATH)
    except OSError:
        return None
    try:
        top, target = (os.readlink(f"/proc/self/fd/{number}") for number in (root, descriptor))  # noqa: PTH115 - text
    finally:
        os.close(descriptor)
    return f"/{target.removeprefix(top).lstrip('/')}" if target.startswith(top) else None
