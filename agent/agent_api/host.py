"""The host's own state, in a few system calls: the space on the file system of the root."""

import os
import pathlib

from agent.agent_api import status


def disk(root: pathlib.Path) -> status.DiskStatus | None:
    """Return the space on the file system of the root; ``None`` where the root is missing or may not be read."""
    try:
        space = os.statvfs(root)
    except OSError:
        return None
    files = space.f_favail if space.f_files else None
    return status.DiskStatus(space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize, files)
