"""Translation of an engine's ``stats``. Pure; figures of cgroup v1 and v2 have different names."""

from collections.abc import Iterable, Mapping
from typing import Any

from agent.kit import resource_usage
from agent.model import container

_NANOSECONDS = 1e9
_PODMAN_TIMES = ("CPUNano", "CPUSystemNano")
"""All of a container's CPU time, and the kernel's part of it."""
_PODMAN_KEYS = (("Rx", "Tx"), ("Bytes", "Packets", "Errors", "Dropped"))
"""Of an interface's counters, from Podman 5 on."""
_UNLIMITED = 2**60
"""cgroup v1 says "no limit" by a number near 2^63."""


def stats(answer: Mapping[str, Any], resources: container.Resources) -> resource_usage.Usage:
    """Return a container's usage.

    The limit is the container's own, of ``resources``: engines return the host's memory if there is none.
    """
    processor = answer.get("cpu_stats") or {}
    memory = answer.get("memory_stats") or {}
    return resource_usage.Usage(
        cpu=_cpu(processor.get("cpu_usage") or {}),
        throttling=_throttling(processor.get("throttling_data") or {}) if resources.cpu_millis is not None else None,
        memory=None if memory.get("usage") is None else _memory(memory, resources.memory),
        threads=_count((answer.get("pids_stats") or {}).get("current")),
        interfaces=tuple(_interface(*network) for network in sorted((answer.get("networks") or {}).items())),
    )


def stats_of_podman(answer: Mapping[str, Any], resources: container.Resources) -> resource_usage.Usage:
    """Return a container's usage from Podman's own API: its Docker API is empty on hosts with cgroup v1.

    It has no inactive cache; before Podman 5 it has only the bytes of all interfaces together.
    """
    memory = _count(answer.get("MemUsage"))
    seconds, system = (_seconds(answer.get(name)) for name in _PODMAN_TIMES)
    user = None if seconds is None or system is None else max(seconds - system, 0.0)
    return resource_usage.Usage(
        cpu=None if seconds is None else resource_usage.Cpu(seconds, user, system),
        memory=None if memory is None else resource_usage.Memory(memory, memory, resources.memory),
        threads=_count(answer.get("PIDs")),
        interfaces=_interfaces_of_podman(answer),
    )


def _interfaces_of_podman(answer: Mapping[str, Any]) -> tuple[resource_usage.Interface, ...]:
    if networks := answer.get("Network"):
        return tuple(_interface(name, networks[name], *_PODMAN_KEYS) for name in sorted(networks))
    received, sent = _count(answer.get("NetInput")), _count(answer.get("NetOutput"))
    if received is None and sent is None:
        return ()
    return (resource_usage.Interface("total", receive_bytes=received, transmit_bytes=sent),)


def _cpu(used: Mapping[str, Any]) -> resource_usage.Cpu | None:
    seconds = _seconds(used.get("total_usage"))
    if not seconds:
        return None  # it has just ended
    user, system = (_seconds(used.get(f"usage_in_{mode}mode")) for mode in ("user", "kernel"))
    return resource_usage.Cpu(seconds, user, system)


def _throttling(data: Mapping[str, Any]) -> resource_usage.Throttling | None:
    """Return what a quota has done."""
    periods, throttled, seconds = (data.get(name) for name in ("periods", "throttled_periods", "throttled_time"))
    if periods is None or throttled is None or seconds is None:
        return None
    return resource_usage.Throttling(int(periods), int(throttled), int(seconds) / _NANOSECONDS)


def _memory(memory: Mapping[str, Any], limit: int | None) -> resource_usage.Memory:
    detail = memory.get("stats") or {}
    usage, inactive = int(memory["usage"]), int(detail.get("total_inactive_file") or detail.get("inactive_file") or 0)

    def figure(*names: str) -> int | None:
        return next((int(detail[name]) for name in names if detail.get(name) is not None), None)

    swap_limit = figure("hierarchical_memsw_limit")
    return resource_usage.Memory(
        usage=usage,
        working_set=max(usage - inactive, 0),
        limit=limit,
        rss=figure("total_rss", "anon"),
        cache=figure("total_cache", "file"),
        swap=figure("total_swap"),
        mapped_file=figure("total_mapped_file", "file_mapped"),
        swap_limit=0 if swap_limit is not None and swap_limit >= _UNLIMITED else swap_limit,
    )


def _interface(
    name: str,
    counters: Mapping[str, Any],
    directions: Iterable[str] = ("rx_", "tx_"),
    counted: Iterable[str] = ("bytes", "packets", "errors", "dropped"),
) -> resource_usage.Interface:
    keys = [f"{direction}{unit}" for direction in directions for unit in counted]
    return resource_usage.Interface(name, *(_count(counters.get(key)) for key in keys))


def _count(number: object) -> int | None:
    return None if number is None else int(str(number))


def _seconds(nanoseconds: object) -> float | None:
    return None if nanoseconds is None else int(str(nanoseconds)) / _NANOSECONDS
