"""A volume: what is wanted, and what is there."""

import enum

from agent.kit import frozen
from agent.model.key import Pairs


class VolumeDriver(enum.StrEnum):
    """Where a volume's data lives."""

    LOCAL = "local"


class DeletionPolicy(enum.StrEnum):
    """What becomes of the data when the manifest leaves the source."""

    RETAIN = "Retain"
    DELETE = "Delete"


@frozen.value
class VolumeConfig:
    """A volume as it is wanted."""

    name: str
    driver: VolumeDriver
    labels: Pairs
    deletion_policy: DeletionPolicy


@frozen.value
class ObservedVolume:
    """A volume as the runtime has it."""

    name: str
    config: VolumeConfig
    """Its deletion policy as last applied: what counts once the manifest is gone."""
    labels: Pairs
    mountpoint: str
    created_at: float
