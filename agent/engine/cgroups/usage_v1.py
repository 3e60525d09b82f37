"""A container's figures in the files of cgroup version 1 (Documentation/admin-guide/cgroup-v1)."""

import os

from agent.engine.cgroups import kernel_files
from agent.kit import resource_usage

_UNLIMITED = 2**60
"""No limit is a number near 2^63."""
_NANOSECONDS = 1e9
_TICKS = os.sysconf("SC_CLK_TCK")
"""A second's."""


def cpu(
    accounting: str | None, control: str | None, *, has_quota: bool
) -> tuple[resource_usage.Cpu | None, resource_usage.Throttling | None]:
    """Read the CPU time, and what a quota has done."""
    used = kernel_files.attempt(_cpu, accounting)
    return used, kernel_files.attempt(_throttling, control) if has_quota else None


def cpu_shares(control: str) -> int:
    """Read the shares of CPU time."""
    return kernel_files.number(f"{control}/cpu.shares")


def memory(directory: str) -> resource_usage.Memory:
    """Read memory and its limits: the lowest of the cgroup's own and of those above it, which are in one file."""
    usage = kernel_files.number(f"{directory}/memory.usage_in_bytes")
    figures = kernel_files.fields(f"{directory}/memory.stat")
    with_swap = figures.get("hierarchical_memsw_limit")  # without swap accounting there is one limit
    limit = int(figures["hierarchical_memory_limit"])
    return resource_usage.Memory(
        usage=usage,
        working_set=max(usage - int(figures.get("total_inactive_file", 0)), 0),
        limit=limit if limit < _UNLIMITED else None,
        rss=_optional(figures, "total_rss"),
        cache=_optional(figures, "total_cache"),
        swap=_optional(figures, "total_swap"),
        mapped_file=_optional(figures, "total_mapped_file"),
        swap_limit=None if with_swap is None else int(with_swap) if int(with_swap) < _UNLIMITED else 0,
    )


def oom_kills(directory: str) -> int:
    """Count the processes that were killed for want of memory."""
    return int(kernel_files.fields(f"{directory}/memory.oom_control")["oom_kill"])


def _cpu(accounting: str) -> resource_usage.Cpu:
    ticks = kernel_files.fields(f"{accounting}/cpuacct.stat")
    return resource_usage.Cpu(
        seconds=kernel_files.number(f"{accounting}/cpuacct.usage") / _NANOSECONDS,
        user_seconds=int(ticks["user"]) / _TICKS,
        system_seconds=int(ticks["system"]) / _TICKS,
    )


def _throttling(control: str) -> resource_usage.Throttling:
    counters = kernel_files.fields(f"{control}/cpu.stat")
    return resource_usage.Throttling(
        periods=int(counters["nr_periods"]),
        throttled_periods=int(counters["nr_throttled"]),
        throttled_seconds=int(counters["throttled_time"]) / _NANOSECONDS,
    )


def _optional(figures: dict[str, str], name: str) -> int | None:
    return int(figures[name]) if name in figures else None
