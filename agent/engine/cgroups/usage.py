"""Resource usage of a container: CPU, memory, processes and interfaces. One container costs some file reads."""

import dataclasses
import os
import pathlib

from agent.engine.cgroups import hierarchy

_UNLIMITED = 2**60
"""v1 says "no limit" by a number near 2^63."""
_NANOSECONDS = 1e9
_MICROSECONDS = 1e6
_COUNTERS = 16
_LARGEST = 65_536
"""Bytes: more than any of these files has, also with hundreds of interfaces."""


@dataclasses.dataclass(frozen=True, slots=True)
class Interface:
    """An interface's counters, in the order of /proc/net/dev."""

    name: str
    receive_bytes: int
    receive_packets: int
    receive_errors: int
    receive_dropped: int
    transmit_bytes: int
    transmit_packets: int
    transmit_errors: int
    transmit_dropped: int


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """What a container uses."""

    cpu_seconds: float
    memory_usage: int
    memory_working_set: int
    """Usage less inactive file cache, as kubelet and cAdvisor count it."""
    memory_limit: int | None
    pids: int
    oom_kills: int
    interfaces: tuple[Interface, ...]


def read(host: hierarchy.Hierarchy, cgroup: str, pid: int) -> Usage | None:
    """Read a container's usage; ``None`` where it has just ended."""
    try:
        interfaces = parse_interfaces(_content(f"/proc/{pid}/net/dev"))
        return _v1(host, cgroup, interfaces) if host.legacy else _v2(host, cgroup, interfaces)
    except (FileNotFoundError, ProcessLookupError, OSError):
        return None


def oom_kills(host: hierarchy.Hierarchy, cgroup: str) -> int:
    """Count the processes that the kernel has killed in a cgroup for want of memory; 0 where it is gone."""
    directory = host.directory("memory", cgroup)
    if directory is None:
        return 0
    name = "memory.oom_control" if host.legacy else "memory.events"
    try:
        return _fields(directory / name).get("oom_kill", 0)
    except OSError:
        return 0


def parse_interfaces(text: str) -> tuple[Interface, ...]:
    """Read /proc/PID/net/dev, without loopback."""
    interfaces = []
    for line in text.splitlines()[2:]:
        name, _, counters = line.partition(":")
        numbers = [int(number) for number in counters.split()]
        if name.strip() != "lo" and len(numbers) >= _COUNTERS:
            interfaces.append(Interface(name.strip(), *numbers[0:4], *numbers[8:12]))
    return tuple(interfaces)


def _v1(host: hierarchy.Hierarchy, cgroup: str, interfaces: tuple[Interface, ...]) -> Usage | None:
    cpu, memory, pids = (host.directory(name, cgroup) for name in ("cpuacct", "memory", "pids"))
    if cpu is None or memory is None:
        return None
    usage = _number(memory / "memory.usage_in_bytes")
    limit = _number(memory / "memory.limit_in_bytes")
    return Usage(
        cpu_seconds=_number(cpu / "cpuacct.usage") / _NANOSECONDS,
        memory_usage=usage,
        memory_working_set=max(usage - _fields(memory / "memory.stat").get("total_inactive_file", 0), 0),
        memory_limit=limit if limit < _UNLIMITED else None,
        pids=_number(pids / "pids.current") if pids else 0,
        oom_kills=_fields(memory / "memory.oom_control").get("oom_kill", 0),
        interfaces=interfaces,
    )


def _v2(host: hierarchy.Hierarchy, cgroup: str, interfaces: tuple[Interface, ...]) -> Usage | None:
    directory = host.directory("memory", cgroup)
    if directory is None:
        return None
    usage = _number(directory / "memory.current")
    limit = (directory / "memory.max").read_text().strip()
    return Usage(
        cpu_seconds=_fields(directory / "cpu.stat").get("usage_usec", 0) / _MICROSECONDS,
        memory_usage=usage,
        memory_working_set=max(usage - _fields(directory / "memory.stat").get("inactive_file", 0), 0),
        memory_limit=None if limit == "max" else int(limit),
        pids=_number(directory / "pids.current"),
        oom_kills=_fields(directory / "memory.events").get("oom_kill", 0),
        interfaces=interfaces,
    )


def _number(path: pathlib.Path) -> int:
    return int(_content(path))


def _fields(path: pathlib.Path) -> dict[str, int]:
    """Read ``name number`` lines."""
    pairs = (line.split() for line in _content(path).split("\n"))
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}  # noqa: PLR2004


def _content(path: str | pathlib.Path) -> str:
    """Read a file of the kernel's by three system calls: a scrape reads six of them for every container."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _LARGEST).decode()
    finally:
        os.close(descriptor)
