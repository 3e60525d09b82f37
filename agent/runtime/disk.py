"""A role of runtimes: the room that their objects take, and how some of it is given back."""

import enum
from typing import Protocol

from agent.kit import disk_space, frozen


class Sort(enum.StrEnum):
    """What takes room on a disk."""

    IMAGES = "images"
    CONTAINERS = "containers"
    """What they have written and logged; their images are not theirs."""
    VOLUMES = "volumes"


@frozen.value
class Share:
    """What all things of a sort take."""

    sort: Sort
    count: int
    active: int
    """Those that containers use; of containers those that run."""
    size: int
    """Bytes on the disk, what several share counted once."""
    reclaimable: int = 0
    """Bytes that ``prune`` would give back."""


@frozen.value
class DiskUsage:
    """What a runtime keeps."""

    shares: tuple[Share, ...]
    """One a sort, in their order."""
    prunable: tuple[str, ...]
    """What ``prune`` would remove: references, or ids of what has lost them, sorted."""


class Disk(Protocol):
    """The room that the runtime's objects take. Only what nobody declares and nothing uses is ever given up."""

    async def space(self) -> disk_space.DiskSpace | None:
        """Look at the file system that images and containers are on; ``None`` where the runtime does not tell."""

    async def usage(self) -> DiskUsage:
        """Measure, which may take seconds."""

    async def prune(self) -> tuple[str, ...]:
        """Remove images that nobody declares and no container uses, as far as they are this instance's; name them.

        So is what broken downloads have left. Volumes are never removed.
        """
