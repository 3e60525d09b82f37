"""Translation of an engine's ``stats``. Pure; cgroup v1 and v2 have different names for inactive cache."""

from collections.abc import Mapping
from typing import Any

from agent.runtime import api

_NANOSECONDS = 1e9


def stats(answer: Mapping[str, Any], limit: int | None) -> api.ContainerStats:
    """Return a container's usage; ``limit`` is its own in bytes: engines return the host's memory if there is none."""
    memory = answer.get("memory_stats") or {}
    detail = memory.get("stats") or {}
    usage = int(memory.get("usage") or 0)
    inactive = int(detail.get("total_inactive_file") or detail.get("inactive_file") or 0)
    return api.ContainerStats(
        cpu_seconds=int(((answer.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage") or 0)
        / _NANOSECONDS,
        memory_usage=usage,
        memory_working_set=max(usage - inactive, 0),
        memory_limit=limit,
        pids=int((answer.get("pids_stats") or {}).get("current") or 0),
        oom_kills=0,
        networks=tuple(_network(name, counters) for name, counters in sorted((answer.get("networks") or {}).items())),
    )


def stats_of_podman(answer: Mapping[str, Any], limit: int | None) -> api.ContainerStats:
    """Return a container's usage from Podman's own API: its Docker API is empty on hosts with cgroup v1.

    It has neither inactive cache nor single interfaces.
    """
    usage = int(answer.get("MemUsage") or 0)
    total = {"rx_bytes": answer.get("NetInput"), "tx_bytes": answer.get("NetOutput")}
    return api.ContainerStats(
        cpu_seconds=int(answer.get("CPUNano") or 0) / _NANOSECONDS,
        memory_usage=usage,
        memory_working_set=usage,
        memory_limit=limit,
        pids=int(answer.get("PIDs") or 0),
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
