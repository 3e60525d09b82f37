"""What was bound into a created container, compared with what was to be bound, before its program begins.

OCI runtimes mount by name. Between the look at a source and the mount another container may put a symlink in its place,
so what counts is what is mounted in the end: nobody can change that any more.
"""

import os
import pathlib
from collections.abc import Iterable, Mapping

from agent import errors
from agent.engine.kernel import api
from agent.engine.spec import container as container_spec
from agent.reasons import Reason

Sources = Mapping[str, tuple[int, int] | None]
"""Device and inode of each source that is bound; ``None`` for one that was not there."""


def check(kernel: api.Kernel, pid: int, mounts: Iterable[container_spec.Mount], sources: Sources) -> None:
    """Raise ``errors.Conflict`` (``BindNotAdmitted``) where a bind is another file or directory than its source was.

    ``pid`` is the container's first process. Each bind has to be a mount of its own: a path below another bind may lead
    elsewhere by now than to what was mounted there. Raises ``OSError`` where the process has ended.
    """
    mount_ids: set[str] = set()
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for mount in mounts:
            if mount.type == "bind":
                mounted, mount_id = _opened(kernel, root, mount.path)
                if mounted is None or mounted != sources.get(mount.source) or mount_id in mount_ids:
                    raise _changed(mount.source)
                mount_ids.add(mount_id)
    finally:
        os.close(root)


def _opened(kernel: api.Kernel, root: int, path: str) -> tuple[tuple[int, int] | None, str]:
    """Return device and inode of what a path of the container leads to, and the mount that it lies on."""
    try:
        descriptor = kernel.open_in_root(root, path, os.O_PATH)
    except OSError:
        return None, ""
    try:
        status = os.fstat(descriptor)
        details = pathlib.Path(f"/proc/self/fdinfo/{descriptor}").read_text()
    finally:
        os.close(descriptor)
    mount_id = next(line.split()[1] for line in details.splitlines() if line.startswith("mnt_id:"))
    return (status.st_dev, status.st_ino), mount_id


def _changed(source: str) -> errors.Conflict:
    return errors.Conflict(
        f"the bind source {source} has become another one while the container was made: it is not admitted",
        hint="something that can write to the directory of the source puts other things in its place",
        reason=Reason.BIND_NOT_ADMITTED,
    )
