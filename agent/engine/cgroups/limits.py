"""The limits that a container's cgroup really has: what somebody changed behind our back is seen here."""

import pathlib

from agent.engine.cgroups import hierarchy
from agent.engine.containers import spec

_UNLIMITED = 2**60
_MILLI = 1000


def read(host: hierarchy.Hierarchy, cgroup: str) -> spec.Limits | None:
    """Read the limits back; ``None`` where the cgroup is gone."""
    try:
        return _v1(host, cgroup) if host.v1 else _v2(host, cgroup)
    except (OSError, ValueError):
        return None


def _v1(host: hierarchy.Hierarchy, cgroup: str) -> spec.Limits | None:
    cpu, memory, pids = (host.directory(name, cgroup) for name in ("cpu", "memory", "pids"))
    if cpu is None or memory is None or pids is None:
        return None
    quota, period = _number(cpu / "cpu.cfs_quota_us"), _number(cpu / "cpu.cfs_period_us")
    return spec.Limits(
        cpu_millis=quota * _MILLI // period if quota and quota > 0 and period else None,
        memory=_number(memory / "memory.limit_in_bytes"),
        memory_reservation=_number(memory / "memory.soft_limit_in_bytes"),
        pids=_number(pids / "pids.max"),
    )


def _v2(host: hierarchy.Hierarchy, cgroup: str) -> spec.Limits | None:
    directory = host.directory("memory", cgroup)
    if directory is None:
        return None
    quota, period = (directory / "cpu.max").read_text().split()
    return spec.Limits(
        cpu_millis=None if quota == "max" else int(quota) * _MILLI // int(period),
        memory=_number(directory / "memory.max"),
        memory_reservation=_number(directory / "memory.low"),
        pids=_number(directory / "pids.max"),
    )


def _number(path: pathlib.Path) -> int | None:
    text = path.read_text().strip()
    number = 0 if text == "max" else int(text)
    return None if text == "max" or number <= 0 or number >= _UNLIMITED else number
