"""A container's figures in the files of cgroup version 2 (Documentation/admin-guide/cgroup-v2)."""

import math

from agent.engine.cgroups import kernel_files
from agent.kit import resource_usage

_MICROSECONDS = 1e6


def cpu(
    accounting: str | None, control: str | None, *, has_quota: bool
) -> tuple[resource_usage.Cpu | None, resource_usage.Throttling | None]:
    """Read the CPU time, and what a quota has done. One file says both; the time also where nothing controls it."""
    del control
    counters = kernel_files.attempt(_counters, accounting)
    if counters is None:
        return None, None
    return (
        kernel_files.attempt(lambda _: _cpu(counters), accounting),
        kernel_files.attempt(lambda _: _throttling(counters), accounting) if has_quota else None,
    )


def cpu_shares(control: str) -> int:
    """Read the weight of the cgroup, as the shares from which OCI runtimes make that weight: 100 is 1024 (runc 1.3)."""
    exponent = math.log10(kernel_files.number(f"{control}/cpu.weight")) + 7 / 34
    return round(2 ** ((math.sqrt(125**2 + 4 * 612 * exponent) - 125) / 2))


def memory(directory: str) -> resource_usage.Memory:
    """Read memory and its limits."""
    usage = kernel_files.number(f"{directory}/memory.current")
    figures = kernel_files.fields(f"{directory}/memory.stat")
    limit = _limit(f"{directory}/memory.max")
    return resource_usage.Memory(
        usage=usage,
        working_set=max(usage - int(figures.get("inactive_file", 0)), 0),
        limit=limit,
        rss=_optional(figures, "anon"),
        cache=_optional(figures, "file"),
        swap=kernel_files.attempt(kernel_files.number, f"{directory}/memory.swap.current"),
        mapped_file=_optional(figures, "file_mapped"),
        swap_limit=kernel_files.attempt(lambda path: _swap_limit(limit, path), f"{directory}/memory.swap.max"),
    )


def oom_kills(directory: str) -> int:
    """Count the processes that were killed for want of memory."""
    return int(kernel_files.fields(f"{directory}/memory.events")["oom_kill"])


def _counters(directory: str) -> dict[str, str]:
    return kernel_files.fields(f"{directory}/cpu.stat")


def _cpu(counters: dict[str, str]) -> resource_usage.Cpu:
    return resource_usage.Cpu(*(int(counters[f"{name}_usec"]) / _MICROSECONDS for name in ("usage", "user", "system")))


def _throttling(counters: dict[str, str]) -> resource_usage.Throttling:
    return resource_usage.Throttling(
        periods=int(counters["nr_periods"]),
        throttled_periods=int(counters["nr_throttled"]),
        throttled_seconds=int(counters["throttled_usec"]) / _MICROSECONDS,
    )


def _swap_limit(limit: int | None, path: str) -> int:
    """Return the limit of memory and swap together, as version 1 has it; 0 where there is none."""
    swap = _limit(path)
    return 0 if limit is None or swap is None else limit + swap


def _limit(path: str) -> int | None:
    text = kernel_files.content(path).strip()
    return None if text == "max" else int(text)


def _optional(figures: dict[str, str], name: str) -> int | None:
    return int(figures[name]) if name in figures else None
