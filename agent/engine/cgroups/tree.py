"""An instance's cgroups as a tree: what is there, and taking it away."""

import asyncio
import contextlib
import os
import pathlib
import signal

from agent.engine.cgroups import hierarchy
from agent.kit import processes

_AFTER_KILL = 10.0
"""Seconds that killed processes may take to be gone."""
_BETWEEN = 0.01
"""Seconds in which whoever was killed leaves the cgroup."""


def below(host: hierarchy.Hierarchy, parent: str) -> list[pathlib.Path]:
    """Give the directories right below a cgroup, in every hierarchy."""
    found: list[pathlib.Path] = []
    for root in host.roots():
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found += [entry for entry in (root / parent).iterdir() if entry.is_dir()]
    return sorted(found)


def itself(host: hierarchy.Hierarchy, parent: str) -> list[pathlib.Path]:
    """Give a cgroup's directories, in every hierarchy where it is."""
    return sorted(root / parent for root in host.roots() if (root / parent).is_dir())


async def end(host: hierarchy.Hierarchy, cgroup: str) -> None:
    """Kill what is left in a cgroup and below it, and remove it: an OCI runtime that failed may have left either.

    Raises ``TimeoutError`` where it does not die.
    """
    for directory in itself(host, cgroup):
        async with asyncio.timeout(_AFTER_KILL):
            while left := _processes(directory):  # those that were forked meanwhile have their turn
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        await processes.wait(pid)
                await asyncio.sleep(_BETWEEN)
        remove(directory)


def remove(directory: pathlib.Path) -> None:
    """Remove a cgroup with those below it. One that still has processes stays, and raises ``OSError``."""
    with contextlib.suppress(FileNotFoundError):
        for entry in directory.iterdir():
            if entry.is_dir():
                remove(entry)
        directory.rmdir()


def _processes(directory: pathlib.Path) -> list[int]:
    """Give the processes of a cgroup and of those below it; 0 is one of another pid namespace, out of our reach."""
    found: list[int] = []
    for file in directory.rglob("cgroup.procs"):
        with contextlib.suppress(FileNotFoundError):
            found += [int(word) for word in file.read_text().split()]
    return [pid for pid in found if pid]


def remove_parent(host: hierarchy.Hierarchy, parent: str) -> None:
    """Remove an instance's own cgroup where nothing is left below it."""
    for directory in itself(host, parent):
        with contextlib.suppress(OSError):
            directory.rmdir()
