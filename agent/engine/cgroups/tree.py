"""An instance's cgroups as a tree: what is there, and taking it away."""

import asyncio
import contextlib
import os
import pathlib
import signal

from agent.engine.cgroups import hierarchy
from agent.kit import processes

_AFTER_KILL = 10.0
"""Seconds that a killed process may take to be gone."""


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
    """Kill what is left in a cgroup, and remove it: an OCI runtime that failed may have left either."""
    for directory in itself(host, cgroup):
        for pid in (directory / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
                async with asyncio.timeout(_AFTER_KILL):
                    await processes.wait(int(pid))
        remove(directory)


def remove(directory: pathlib.Path) -> None:
    """Remove a cgroup with those below it. One that still has processes stays, and raises ``OSError``."""
    with contextlib.suppress(FileNotFoundError):
        for entry in directory.iterdir():
            if entry.is_dir():
                remove(entry)
        directory.rmdir()


def remove_parent(host: hierarchy.Hierarchy, parent: str) -> None:
    """Remove an instance's own cgroup where nothing is left below it."""
    for directory in itself(host, parent):
        with contextlib.suppress(OSError):
            directory.rmdir()
