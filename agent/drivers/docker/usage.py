"""An engine's ``stats`` in the runtime's words. Pure; cgroup v1 and v2 differ in what they call inactive cache."""

from collections.abc import Mapping
from typing import Any

from agent.runtime import api

_NANOSECONDS = 1e9


def stats(found: Mapping[str, Any], limit: int | None) -> api.ContainerStats:
    """Say what a container uses; ``limit`` is its own: engines tell the host's memory where there is none."""
    memory = found.get("memory_stats") or {}
    detail = memory.get("stats") or {}
    usage = int(memory.get("usage") or 0)
    inactive = int(detail.get("total_inactive_file") or detail.get("inactive_file") or 0)
    return api.ContainerStats(
        cpu_seconds=int(((found.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage") or 0) / _NANOSECONDS,
        memory_usage=usage,
        memory_working_set=max(usage - inactive, 0),
        memory_limit=limit,
        pids=int((found.get("pids_stats") or {}).get("current") or 0),
        oom_kills=0,
        networks=tuple(_network(name, counters) for name, counters in sorted((found.get("networks") or {}).items())),
    )


def stats_of_podman(found: Mapping[str, Any], limit: int | None) -> api.ContainerStats:
    """Say what Podman's own API tells: its Docker one answers nothing on hosts with cgroup v1.

    It tells neither inactive cache nor single interfaces.
    """
    usage = int(found.get("MemUsage") or 0)
    total = {"rx_bytes": found.get("NetInput"), "tx_bytes": found.get("NetOutput")}
    return api.ContainerStats(
        cpu_seconds=int(found.get("CPUNano") or 0) / _NANOSECONDS,
        memory_usage=usage,
        memory_working_set=usage,
        memory_limit=limit,
        pids=int(found.get("PIDs") or 0),
        oom_kills=0,
        networks=(_network("total", total),),
    )


def _network(name: str, counters: Mapping[str, Any]) -> api.NetworkStats:
    def count(key: str) -> int:
        return int(counters.get(key) or 0)

    return api.NetworkStats(
        name,
        *(count(f"rx_{what}") for what in ("bytes", "packets", "errors", "dropped")),
        *(count(f"tx_{what}") for what in ("bytes", "packets", "errors", "dropped")),
    )
