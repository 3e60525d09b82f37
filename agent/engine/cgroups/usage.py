"""Resource usage of containers: CPU, memory, processes, devices and interfaces. One costs a dozen file reads."""

import functools
import pathlib
from typing import Protocol

from agent.engine.cgroups import block_io, hierarchy, kernel_files, usage_v1, usage_v2
from agent.kit import resource_usage

_CONTROLLERS = ("cpuacct", "cpu", "memory", "pids", "blkio")
"""Those whose figures are read, by their names in version 1."""
_COUNTERS = 16


class Version(Protocol):
    """A version's files; a directory is the cgroup's in one controller, ``None`` where nothing has that."""

    def cpu(
        self, accounting: str | None, control: str | None, *, has_quota: bool
    ) -> tuple[resource_usage.Cpu | None, resource_usage.Throttling | None]:
        """Read the CPU time, and what a quota has done."""

    def cpu_shares(self, control: str) -> int:
        """Read the shares of CPU time. It and the others raise ``OSError``, ``ValueError`` and ``KeyError``."""

    def memory(self, directory: str) -> resource_usage.Memory:
        """Read memory and its limits."""

    def oom_kills(self, directory: str) -> int:
        """Count the processes that were killed for want of memory."""


class Reader:
    """Reads one container after the other; what is the same for all of them is looked up once.

    Where a controller is not there, or its files are not as the kernel writes them, its figures are ``None``.
    """

    def __init__(self, host: hierarchy.Hierarchy) -> None:
        """Look up where the controllers are."""
        self._version = _version(host)
        self._read_devices = block_io.read_v1 if host.legacy else block_io.read_v2
        self._device_name = functools.cache(block_io.device_name)
        self._mounts = [host.directory(name, "") for name in _CONTROLLERS]

    def read(self, cgroup: str, pid: int, *, has_quota: bool) -> resource_usage.Usage | None:
        """Read a container's usage; ``None`` where it has just ended. Without a quota nothing is throttled."""
        try:
            interfaces = parse_interfaces(kernel_files.content(f"/proc/{pid}/net/dev"))
        except (OSError, ValueError):
            return None
        directories = [None if mount is None else f"{mount}/{cgroup}" for mount in self._mounts]
        accounting, control, memory, pids, blkio = directories
        cpu, throttling = self._version.cpu(accounting, control, has_quota=has_quota)
        used = kernel_files.attempt(self._version.memory, memory)
        if cpu is None and used is None and not _has_any(directories):
            return None
        return resource_usage.Usage(
            cgroup=f"/{cgroup}",
            cpu=cpu,
            throttling=throttling,
            cpu_shares=kernel_files.attempt(self._version.cpu_shares, control),
            memory=used,
            processes=kernel_files.attempt(_processes, pids),
            threads=kernel_files.attempt(_threads, pids),
            oom_kills=kernel_files.attempt(self._version.oom_kills, memory),
            devices=kernel_files.attempt(self._devices, blkio) or (),
            interfaces=interfaces,
        )

    def _devices(self, directory: str) -> tuple[resource_usage.Device, ...]:
        return self._read_devices(directory, self._device_name)


def oom_kills(host: hierarchy.Hierarchy, cgroup: str) -> int:
    """Count the processes that the kernel has killed in a cgroup for want of memory; 0 where it is gone."""
    directory = host.directory("memory", cgroup)
    return kernel_files.attempt(_version(host).oom_kills, None if directory is None else str(directory)) or 0


def parse_interfaces(text: str) -> tuple[resource_usage.Interface, ...]:
    """Read /proc/PID/net/dev, without loopback."""
    interfaces = []
    for line in text.splitlines()[2:]:
        name, _, counters = line.partition(":")
        numbers = [int(number) for number in counters.split()]
        if name.strip() != "lo" and len(numbers) >= _COUNTERS:
            interfaces.append(resource_usage.Interface(name.strip(), *numbers[0:4], *numbers[8:12]))
    return tuple(interfaces)


def _has_any(directories: list[str | None]) -> bool:
    return any(directory is not None and pathlib.Path(directory).is_dir() for directory in directories)


def _version(host: hierarchy.Hierarchy) -> Version:
    return usage_v1 if host.legacy else usage_v2


def _processes(directory: str) -> int | None:
    """Count a cgroup's own processes; ``None`` where they are all in cgroups below it."""
    return kernel_files.line_count(f"{directory}/cgroup.procs") or None


def _threads(directory: str) -> int:
    return kernel_files.number(f"{directory}/pids.current")
