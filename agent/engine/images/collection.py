"""Choice of images to remove when the disk fills, as kubelet makes it. Pure.

Above the high threshold images are removed, the longest unused first, until the low one is reached.
"""

from collections.abc import Iterable

from agent.kit import disk_space, frozen


@frozen.value
class Thresholds:
    """Disk use, in percent, at which collection starts (``high``) and stops (``low``)."""

    high: int = 85
    low: int = 80
    minimum_age: float = 120.0
    """Seconds that a new image is kept in any case: whoever pulled it is about to use it."""


@frozen.value
class CandidateImage:
    """An image in the store, under all names that it has."""

    id: str
    references: tuple[str, ...]
    owned: bool
    """It has labels: its owner removes it when it is no longer declared."""
    fetched: float
    used: float
    """When a container last used it, or when it was fetched. Times are seconds since the epoch."""


def available_target(space: disk_space.DiskSpace, thresholds: Thresholds) -> int:
    """Return how many bytes are to be available after a collection; 0 where none is due."""
    if space.available * 100 > space.size * (100 - thresholds.high):
        return 0
    return -(-space.size * (100 - thresholds.low) // 100)


def unused(images: Iterable[CandidateImage], in_use: frozenset[str]) -> tuple[CandidateImage, ...]:
    """Return the images that neither a manifest nor a container needs, the longest unused first."""
    candidates = (image for image in images if not image.owned and image.id not in in_use)
    return tuple(sorted(candidates, key=lambda image: (image.used, image.fetched, image.id)))


def due(
    images: Iterable[CandidateImage], in_use: frozenset[str], now: float, minimum_age: float
) -> tuple[CandidateImage, ...]:
    """Return the images that may be collected now, in their order.

    An image that was fetched in the future was fetched before the clock was set back: its age is unknown, and ignored.
    """
    return tuple(image for image in unused(images, in_use) if abs(now - image.fetched) >= minimum_age)
