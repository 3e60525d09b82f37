"""Translation of resource limits to the Engine API, and back. Pure."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from agent.model import container
from agent.oci import cpu

_LIFTED = -1
"""The value that lifts a limit, on engines that can."""
_NANOS = 1_000_000
"""Billionths of a core in a thousandth."""


def body(resources: container.Resources) -> dict[str, int]:
    """Return all limits as fields of ``HostConfig``; -1 lifts one."""
    quota, period = (_LIFTED, cpu.PERIOD) if resources.cpu_millis is None else cpu.bandwidth(resources.cpu_millis)
    return {
        "CpuPeriod": period,
        "CpuQuota": quota,
        "Memory": _LIFTED if resources.memory is None else resources.memory,
        "MemorySwap": _LIFTED if resources.memory is None else resources.memory,
        "MemoryReservation": _LIFTED if resources.memory_reservation is None else resources.memory_reservation,
        "PidsLimit": _LIFTED if resources.pids is None else resources.pids,
    }


def at_creation(resources: container.Resources) -> dict[str, int]:
    """Return the limits for creation: only that of processes has to be lifted, as engines set one by default."""
    return {name: value for name, value in body(resources).items() if value > 0 or name == "PidsLimit"}


def with_default(body: dict[str, Any], pids: int | None) -> dict[str, Any]:
    """Return the body with ``pids`` as the limit of processes, if it lifts that limit."""
    return {**body, "PidsLimit": pids} if pids is not None and body.get("PidsLimit") == _LIFTED else body


def without_default(
    observed: container.ContainerConfig, recalled: int | None, pids: int | None
) -> container.ContainerConfig:
    """Return a config as it was declared: our own default limit of processes counts as none.

    ``recalled``: the limit that was requested last.
    """
    if pids is None or observed.resources.pids != pids or recalled == pids:
        return observed
    return dataclasses.replace(observed, resources=dataclasses.replace(observed.resources, pids=None))


def change(host: Mapping[str, Any], desired: container.Resources) -> dict[str, int]:
    """Return the body of ``update``: only what differs from ``HostConfig``.

    A CPU limit of ``docker run --cpus`` can only be changed by ``NanoCpus``.
    """
    current = read(host)
    before, after = body(current), body(desired)
    changed = {name: value for name, value in after.items() if value != before[name]}
    if desired.cpu_millis == current.cpu_millis:
        return {name: value for name, value in changed.items() if not name.startswith("Cpu")}
    if desired.cpu_millis is not None and host.get("NanoCpus"):
        without_cpu = {name: value for name, value in changed.items() if not name.startswith("Cpu")}
        return {**without_cpu, "NanoCpus": desired.cpu_millis * _NANOS}
    return {**changed, "CpuPeriod": after["CpuPeriod"], "CpuQuota": after["CpuQuota"]}


def read(host: Mapping[str, Any]) -> container.Resources:
    """Return the limits in ``HostConfig``."""

    def limit(name: str) -> int | None:
        value = host.get(name)
        return value if isinstance(value, int) and value > 0 else None

    quota, period, nano = limit("CpuQuota"), limit("CpuPeriod") or cpu.PERIOD, limit("NanoCpus")
    millis = cpu.millis(quota, period) if quota else nano // _NANOS if nano else None
    return container.Resources(millis, limit("Memory"), limit("MemoryReservation"), limit("PidsLimit"))
