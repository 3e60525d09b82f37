"""The limits of a container's cgroup, read and changed in place: what somebody changed behind our back is seen here.

They are read for every running container each time that all are listed, so by few and plain system calls. Changing them
is some writes as well, which OCI runtimes do each in its own way (crun 1.8 cannot lift a limit of processes).
"""

import dataclasses
import mmap
import os
import pathlib

from agent.engine.cgroups import hierarchy
from agent.engine.containers import spec

_PERIOD = 100_000
"""Microseconds over which CPU time is limited: the kernel's and Docker's own choice."""
_LONG_PERIOD = 1_000_000
_LEAST_QUOTA = 1000
"""Microseconds: the kernel refuses less in a period, so small limits are given over the longest one."""
_UNLIMITED = 2**60
_MILLI = 1000
_LARGEST = 64
"""Bytes of the longest of these files."""


def found(host: hierarchy.Hierarchy, cgroup: str, wanted: spec.Limits) -> spec.Limits:
    """Give ``wanted`` as it is in force: what the kernel has rounded counts as wanted, what cannot be read too."""
    try:
        there = _v1(host, cgroup) if host.legacy else _v2(host, cgroup)
    except (OSError, ValueError):
        return wanted
    if there is None or there == wanted:
        return wanted
    return dataclasses.replace(
        there,
        memory=_unrounded(there.memory, wanted.memory),
        memory_reservation=_unrounded(there.memory_reservation, wanted.memory_reservation),
    )


def apply(host: hierarchy.Hierarchy, cgroup: str, wanted: spec.Limits) -> None:
    """Change the limits of a running container. Raises ``OSError``: a limit below what is in use may be refused."""
    cpu, memory, pids = (host.directory(name, cgroup) for name in ("cpu", "memory", "pids"))
    if cpu is not None:
        _apply_cpu(cpu, wanted.cpu_millis, v1=host.legacy)
    if memory is not None and host.legacy:
        _apply_memory_v1(memory, wanted)
    elif memory is not None:
        if (memory / "memory.swap.max").exists():  # without swap accounting there is one limit
            _write(memory, "memory.swap.max", "max" if wanted.memory is None else "0")
        _write(memory, "memory.max", wanted.memory or "max")
        _write(memory, "memory.low", wanted.memory_reservation or "0")
    if pids is not None:
        _write(pids, "pids.max", wanted.pids or "max")


def bandwidth(cpu_millis: int | None) -> tuple[int | None, int]:
    """Give the microseconds of CPU time in each period, None for no limit, and the period's own."""
    if cpu_millis is None:
        return None, _PERIOD
    period = _PERIOD if cpu_millis * _PERIOD // _MILLI >= _LEAST_QUOTA else _LONG_PERIOD
    return cpu_millis * period // _MILLI, period


def _apply_cpu(directory: pathlib.Path, cpu_millis: int | None, *, v1: bool) -> None:
    quota, period = bandwidth(cpu_millis)
    if v1:
        _write(directory, "cpu.cfs_period_us", period)
        _write(directory, "cpu.cfs_quota_us", -1 if quota is None else quota)
    else:
        _write(directory, "cpu.max", f"{'max' if quota is None else quota} {period}")


def _apply_memory_v1(directory: pathlib.Path, wanted: spec.Limits) -> None:
    """Change the limit with and without swap, in the order in which the first is never the smaller one."""
    present = _number(directory, "memory.limit_in_bytes")
    files = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
    growing = wanted.memory is None or (present is not None and wanted.memory > present)
    for name in reversed(files) if growing else files:
        if (directory / name).exists():  # without swap accounting there is one limit
            _write(directory, name, wanted.memory or -1)
    _write(directory, "memory.soft_limit_in_bytes", wanted.memory_reservation or -1)


def _write(directory: pathlib.Path, name: str, value: int | str) -> None:
    (directory / name).write_text(str(value))


def _v1(host: hierarchy.Hierarchy, cgroup: str) -> spec.Limits | None:
    cpu, memory, pids = (host.directory(name, cgroup) for name in ("cpu", "memory", "pids"))
    if cpu is None or memory is None or pids is None:
        return None
    quota = _number(cpu, "cpu.cfs_quota_us")
    return spec.Limits(
        cpu_millis=quota * _MILLI // (_number(cpu, "cpu.cfs_period_us") or _MILLI) if quota else None,
        memory=_number(memory, "memory.limit_in_bytes"),
        memory_reservation=_number(memory, "memory.soft_limit_in_bytes"),
        pids=_number(pids, "pids.max"),
    )


def _v2(host: hierarchy.Hierarchy, cgroup: str) -> spec.Limits | None:
    directory = host.directory("memory", cgroup)
    if directory is None:
        return None
    quota, period = _text(directory, "cpu.max").split()
    return spec.Limits(
        cpu_millis=None if quota == "max" else int(quota) * _MILLI // int(period),
        memory=_number(directory, "memory.max"),
        memory_reservation=_number(directory, "memory.low"),
        pids=_number(directory, "pids.max"),
    )


def _unrounded(there: int | None, wanted: int | None) -> int | None:
    """Take whole pages for what was asked for: the kernel limits memory by pages."""
    rounded = wanted is not None and there == wanted // mmap.PAGESIZE * mmap.PAGESIZE
    return wanted if rounded else there


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
