"""The freezer: no process of a frozen cgroup runs, and with cgroup v1 none dies either, not even by SIGKILL."""

import pathlib

from agent.engine.cgroups import hierarchy

_V1 = ("freezer.state", "THAWED")
_V2 = ("cgroup.freeze", "0")


def thaw(host: hierarchy.Hierarchy, cgroup: str) -> bool:
    """Thaw a cgroup; return whether it was frozen. Raises ``OSError``, not where there is none."""
    directory = host.directory("freezer", cgroup)
    if directory is None:
        return False
    name, thawed = _V1 if host.legacy else _V2
    path = pathlib.Path(directory, name)
    try:
        if path.read_text().strip() == thawed:
            return False
        path.write_text(thawed)
    except FileNotFoundError:
        return False
    return True
