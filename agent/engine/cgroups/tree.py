"""An instance's tree of cgroups: listing, killing and removal."""

import asyncio
import contextlib
import os
import pathlib
import signal

from agent.engine.cgroups import freezer, hierarchy
from agent.kit import processes

_KILL_TIMEOUT = 10.0
"""Seconds that killed processes may take to end."""
_KILL_INTERVAL = 0.01
"""Seconds between two looks for killed processes in a cgroup."""


def below(host: hierarchy.Hierarchy, parent: str) -> list[pathlib.Path]:
    """Return the directories right below a cgroup, in every hierarchy."""
    groups: list[pathlib.Path] = []
    for root in host.roots():
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            groups += [entry for entry in (root / parent).iterdir() if entry.is_dir()]
    return sorted(groups)


def itself(host: hierarchy.Hierarchy, parent: str) -> list[pathlib.Path]:
    """Return a cgroup's directories, in every hierarchy where it is."""
    return sorted(root / parent for root in host.roots() if (root / parent).is_dir())


async def end(host: hierarchy.Hierarchy, cgroup: str) -> None:
    """Kill the processes of a cgroup and of those below, and remove it: a failed OCI runtime may leave either.

    Raises ``TimeoutError`` where a process does not die.
    """
    freezer.thaw(host, cgroup)
    for directory in itself(host, cgroup):
        async with asyncio.timeout(_KILL_TIMEOUT):
            while pids := _processes(directory):  # until none was forked meanwhile
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        await processes.wait(pid)
                await asyncio.sleep(_KILL_INTERVAL)
        remove(directory)


def remove(directory: pathlib.Path) -> None:
    """Remove a cgroup with those below it. One that still has processes stays, and raises ``OSError``."""
    with contextlib.suppress(FileNotFoundError):
        for entry in directory.iterdir():
            if entry.is_dir():
                remove(entry)
        directory.rmdir()


def members(host: hierarchy.Hierarchy, cgroup: str) -> list[int]:
    """Return the processes of a cgroup and of those below it."""
    return sorted({pid for root in host.roots() for pid in _processes(root / cgroup)})


def _processes(directory: pathlib.Path) -> list[int]:
    """Return the processes of a cgroup and of those below it; 0 is one of another pid namespace, out of our reach."""
    pids: list[int] = []
    for file in directory.rglob("cgroup.procs"):
        with contextlib.suppress(FileNotFoundError):
            pids += [int(word) for word in file.read_text().split()]
    return [pid for pid in pids if pid]


def remove_parent(host: hierarchy.Hierarchy, parent: str) -> None:
    """Remove an instance's own cgroup where nothing is left below it."""
    for directory in itself(host, parent):
        with contextlib.suppress(OSError):
            directory.rmdir()
