"""Mount points of the controllers. Hybrid hosts have v2 too, but without controllers: v1 counts there.

A hierarchy of v1 that has none of the controllers that limit anything (a VPN's ``net_cls``) makes no hybrid host.
"""

import functools
import pathlib

from agent.kit import frozen

CONTROLLERS = ("cpu", "memory", "pids")
"""The controllers that limit a container."""


@frozen.value
class Hierarchy:
    """The cgroup mounts of a host."""

    v1: tuple[tuple[str, str], ...]
    """(controller, mount point), sorted; ``name=systemd`` has a named hierarchy of its own."""
    v2: str | None

    @property
    def mode(self) -> str:
        """Return ``v1``, ``v2`` or ``hybrid``."""
        if self.v2 is None:
            return "v1"
        return "hybrid" if self.legacy else "v2"

    @property
    def legacy(self) -> bool:
        """Return whether the controllers that limit containers are in v1."""
        return any(controller in CONTROLLERS for controller, _ in self.v1)

    def directory(self, controller: str, cgroup: str) -> pathlib.Path | None:
        """Return a cgroup's directory for a controller; ``None`` where nothing controls it."""
        mount = dict(self.v1).get(controller)
        if mount is None and not self.legacy:
            mount = self.v2
        return pathlib.Path(mount, cgroup) if mount else None

    def roots(self) -> tuple[pathlib.Path, ...]:
        """Return every mount point."""
        points = {point for _, point in self.v1} | ({self.v2} if self.v2 else set())
        return tuple(pathlib.Path(point) for point in sorted(points))


def parse(mountinfo: str) -> Hierarchy:
    """Read the cgroup mounts out of /proc/self/mountinfo (proc_pid_mountinfo(5))."""
    v1: dict[str, str] = {}
    v2 = None
    for line in mountinfo.splitlines():
        mount, _, right = line.partition(" - ")
        kind, _, options = [*right.split(" ", 2), "", "", ""][:3]
        point = mount.split(" ")[4] if len(mount.split(" ")) > 4 else ""  # noqa: PLR2004
        if kind == "cgroup2":
            v2 = v2 or point
        elif kind == "cgroup":
            for option in options.split(","):
                if option not in {"rw", "ro"}:
                    v1.setdefault(option, point)
    return Hierarchy(tuple(sorted(v1.items())), v2)


@functools.cache
def of_host() -> Hierarchy:
    """Read this host's once: it does not change while it runs."""
    return parse(pathlib.Path("/proc/self/mountinfo").read_text())
