"""Limits in the Engine API's words, and back. Pure."""

from collections.abc import Mapping
from typing import Any

from agent.model import container

_LIFTED = -1
"""Lifts a limit, where an engine can lift it."""
_PERIOD = 100_000
"""Microseconds over which CPU time is limited."""
_LONG_PERIOD = 1_000_000
_LEAST_QUOTA = 1000
"""Microseconds: engines and the kernel refuse less, and take it from a longer period."""
_MILLI = 1000
_NANOS = 1_000_000
"""Billionths of a core in a thousandth."""


def body(resources: container.Resources) -> dict[str, int]:
    """Say limits for creation and ``update``; -1 lifts one."""
    period, quota = _PERIOD, _LIFTED
    if resources.cpu_millis is not None:
        quota = resources.cpu_millis * _PERIOD // _MILLI
        if quota < _LEAST_QUOTA:
            period, quota = _LONG_PERIOD, resources.cpu_millis * _LONG_PERIOD // _MILLI
    return {
        "CpuPeriod": period,
        "CpuQuota": quota,
        "Memory": _LIFTED if resources.memory is None else resources.memory,
        "MemorySwap": _LIFTED if resources.memory is None else resources.memory,
        "MemoryReservation": _LIFTED if resources.memory_reservation is None else resources.memory_reservation,
        "PidsLimit": _LIFTED if resources.pids is None else resources.pids,
    }


def at_creation(resources: container.Resources) -> dict[str, int]:
    """Say limits for creation, where only the number of processes has to be lifted: engines set one by themselves."""
    return {name: value for name, value in body(resources).items() if value > 0 or name == "PidsLimit"}


def change(host: Mapping[str, Any], wanted: container.Resources) -> dict[str, int]:
    """Say what ``update`` is told: only what differs from ``HostConfig``.

    CPU time that was limited by ``docker run --cpus`` can only be changed in its own words.
    """
    there = read(host)
    before, after = body(there), body(wanted)
    told = {name: value for name, value in after.items() if value != before[name]}
    if wanted.cpu_millis == there.cpu_millis:
        return {name: value for name, value in told.items() if not name.startswith("Cpu")}
    if wanted.cpu_millis is not None and host.get("NanoCpus"):
        rest = {name: value for name, value in told.items() if not name.startswith("Cpu")}
        return {**rest, "NanoCpus": wanted.cpu_millis * _NANOS}
    return {**told, "CpuPeriod": after["CpuPeriod"], "CpuQuota": after["CpuQuota"]}


def read(host: Mapping[str, Any]) -> container.Resources:
    """Read limits back from ``HostConfig``."""

    def limit(name: str) -> int | None:
        value = host.get(name)
        return value if isinstance(value, int) and value > 0 else None

    quota, period, nano = limit("CpuQuota"), limit("CpuPeriod") or _PERIOD, limit("NanoCpus")
    millis = quota * _MILLI // period if quota else nano // _NANOS if nano else None
    return container.Resources(millis, limit("Memory"), limit("MemoryReservation"), limit("PidsLimit"))
