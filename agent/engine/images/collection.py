"""Which images go when the disk fills, decided as kubelet decides it. Pure.

Above the high threshold images go, those first that nobody has used for longest, until the low one is reached.
"""

import dataclasses
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True, slots=True)
class Thresholds:
    """When images are collected, and how far. Percents of the disk's size that are in use."""

    high: int = 85
    low: int = 80
    minimum_age: float = 120.0
    """Seconds that an image is kept in any case, since it came: who has brought it is about to use it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Space:
    """A disk, in bytes."""

    size: int
    available: int
    """To us: what is reserved for others is in use."""


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """An image in the store, under all names that it has."""

    id: str
    references: tuple[str, ...]
    owned: bool
    """Somebody has put labels on it, and removes it when it is no longer wanted."""
    fetched: float
    used: float
    """When a container was seen to use it last, or when it came. Times are seconds since the epoch."""


def wanted(space: Space, thresholds: Thresholds) -> int:
    """Give how many bytes should be available after a collection; 0 where none is due."""
    if space.available * 100 > space.size * (100 - thresholds.high):
        return 0
    return -(-space.size * (100 - thresholds.low) // 100)


def unused(images: Iterable[Kept], in_use: frozenset[str]) -> tuple[Kept, ...]:
    """Give the images that nobody would miss: neither anybody's nor a container's. The longest unused is first."""
    found = (one for one in images if not one.owned and one.id not in in_use)
    return tuple(sorted(found, key=lambda one: (one.used, one.fetched, one.id)))


def due(images: Iterable[Kept], in_use: frozenset[str], now: float, minimum_age: float) -> tuple[Kept, ...]:
    """Give the images that may be collected now, in their order."""
    return tuple(one for one in unused(images, in_use) if now - one.fetched >= minimum_age)
