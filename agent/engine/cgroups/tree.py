"""An instance's cgroups as a tree: what is there, and taking it away."""

import contextlib
import pathlib

from agent.engine.cgroups import hierarchy


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
