"""The limits that a container's cgroup really has: what somebody changed behind our back is seen here.

Read for every running container each time that all are listed, so by few and plain system calls.
"""

import dataclasses
import mmap
import os
import pathlib

from agent.engine.cgroups import hierarchy
from agent.engine.containers import spec

_UNLIMITED = 2**60
_MILLI = 1000
_LARGEST = 64
"""Bytes of the longest of these files."""


def found(host: hierarchy.Hierarchy, cgroup: str, wanted: spec.Limits) -> spec.Limits:
    """Give ``wanted`` as it is in force: what the kernel has rounded counts as wanted, what cannot be read too."""
    try:
        there = _v1(host, cgroup) if host.v1 else _v2(host, cgroup)
    except (OSError, ValueError):
        return wanted
    if there is None or there == wanted:
        return wanted
    return dataclasses.replace(
        there,
        memory=_unrounded(there.memory, wanted.memory),
        memory_reservation=_unrounded(there.memory_reservation, wanted.memory_reservation),
    )


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
