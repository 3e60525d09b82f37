"""The size of a file system, and what is free of it."""

import os
import pathlib

from agent.kit import frozen


@frozen.value
class DiskSpace:
    """A file system, in bytes."""

    size: int
    available: int
    """To this process: blocks reserved for root count as in use."""


def of(path: pathlib.Path) -> DiskSpace:
    """Return the space of the file system that a path is on. Raises ``OSError``."""
    statistics = os.statvfs(path)
    return DiskSpace(statistics.f_blocks * statistics.f_frsize, statistics.f_bavail * statistics.f_frsize)
