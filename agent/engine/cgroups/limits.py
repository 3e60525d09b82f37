"""Limits of a container's cgroup, read and changed in place: changes by others are noticed here.

They are read for every running container each time that all are listed, so by few and plain system calls. Changing them
is some writes as well, which OCI runtimes do each in its own way (crun 1.8 cannot lift a limit of processes).
"""

import dataclasses
import mmap
import os
import pathlib

from agent.engine.cgroups import hierarchy
from agent.engine.spec import container as container_spec
from agent.oci import cpu

_UNLIMITED = 2**60
_LARGEST = 64
"""Bytes that are read of a limit's file."""


def effective(
    host: hierarchy.Hierarchy, cgroup: str, requested: container_spec.Limits, pids: int | None = None
) -> container_spec.Limits:
    """Return the limits in force: ``requested`` where the kernel has only rounded it, or where nothing can be read.

    ``pids``: the default limit of processes.
    """
    try:
        actual = _v1(host, cgroup) if host.legacy else _v2(host, cgroup)
    except (OSError, ValueError):
        return requested
    if actual is None or actual == requested:
        return requested
    return dataclasses.replace(
        actual,
        memory=_unrounded(actual.memory, requested.memory),
        memory_reservation=_unrounded(actual.memory_reservation, requested.memory_reservation),
        pids=None if requested.pids is None and actual.pids == pids else actual.pids,
    )


def apply(host: hierarchy.Hierarchy, cgroup: str, requested: container_spec.Limits) -> None:
    """Change the limits of a running container. Raises ``OSError``: a limit below what is in use may be refused."""
    cpu, memory, pids = (host.directory(name, cgroup) for name in ("cpu", "memory", "pids"))
    if cpu is not None:
        _apply_cpu(cpu, requested.cpu_millis, v1=host.legacy)
    if memory is not None and host.legacy:
        _apply_memory_v1(memory, requested)
    elif memory is not None:
        if (memory / "memory.swap.max").exists():  # without swap accounting there is one limit
            _write(memory, "memory.swap.max", "max" if requested.memory is None else "0")
        _write(memory, "memory.max", requested.memory or "max")
        _write(memory, "memory.low", requested.memory_reservation or "0")
    if pids is not None:
        _write(pids, "pids.max", requested.pids or "max")


def _apply_cpu(directory: pathlib.Path, cpu_millis: int | None, *, v1: bool) -> None:
    quota, period = (None, cpu.PERIOD) if cpu_millis is None else cpu.bandwidth(cpu_millis)
    if v1:
        _write(directory, "cpu.cfs_period_us", period)
        _write(directory, "cpu.cfs_quota_us", -1 if quota is None else quota)
    else:
        _write(directory, "cpu.max", f"{'max' if quota is None else quota} {period}")


def _apply_memory_v1(directory: pathlib.Path, requested: container_spec.Limits) -> None:
    """Change the limit with and without swap, in the order in which the first is never the smaller one."""
    present = _number(directory, "memory.limit_in_bytes")
    files = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
    growing = requested.memory is None or (present is not None and requested.memory > present)
    for name in reversed(files) if growing else files:
        if (directory / name).exists():  # without swap accounting there is one limit
            _write(directory, name, requested.memory or -1)
    _write(directory, "memory.soft_limit_in_bytes", requested.memory_reservation or -1)


def _write(directory: pathlib.Path, name: str, value: int | str) -> None:
    (directory / name).write_text(str(value))


def _v1(host: hierarchy.Hierarchy, cgroup: str) -> container_spec.Limits | None:
    processor, memory, pids = (host.directory(name, cgroup) for name in ("cpu", "memory", "pids"))
    if processor is None or memory is None or pids is None:
        return None
    quota, period = _number(processor, "cpu.cfs_quota_us"), _number(processor, "cpu.cfs_period_us") or cpu.PERIOD
    return container_spec.Limits(
        cpu_millis=cpu.millis(quota, period) if quota else None,
        memory=_number(memory, "memory.limit_in_bytes"),
        memory_reservation=_number(memory, "memory.soft_limit_in_bytes"),
        pids=_number(pids, "pids.max"),
    )


def _v2(host: hierarchy.Hierarchy, cgroup: str) -> container_spec.Limits | None:
    directory = host.directory("memory", cgroup)
    if directory is None:
        return None
    quota, period = _text(directory, "cpu.max").split()
    return container_spec.Limits(
        cpu_millis=None if quota == "max" else cpu.millis(int(quota), int(period)),
        memory=_number(directory, "memory.max"),
        memory_reservation=_number(directory, "memory.low"),
        pids=_number(directory, "pids.max"),
    )


def _unrounded(actual: int | None, requested: int | None) -> int | None:
    """Return the requested bytes where the kernel has only rounded them to whole pages, else the actual ones."""
    rounded = requested is not None and actual == requested // mmap.PAGESIZE * mmap.PAGESIZE
    return requested if rounded else actual


def _number(directory: pathlib.Path, name: str) -> int | None:
    text = _text(directory, name)
    number = 0 if text == "max" else int(text)
    return number if 0 < number < _UNLIMITED else None


def _text(directory: pathlib.Path, name: str) -> str:
    descriptor = os.open(f"{directory}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _LARGEST).decode().strip()
    finally:
        os.close(descriptor)
