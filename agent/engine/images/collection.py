"""When content that nothing needs is removed: as kubelet does, by how full the disk is."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Thresholds:
    """How full the disk of the root may get."""

    high: float = 85.0
    """Percent of the disk from which images that nothing uses are removed."""
    low: float = 80.0
    """Percent down to which they are."""
    minimum_age: float = 120.0
    """Seconds that an image is left alone after it was last used or fetched."""
