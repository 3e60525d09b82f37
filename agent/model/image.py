"""An image: where it is to come from, and what the runtime holds."""

import dataclasses
import enum
from typing import Literal

from agent.model.key import Pairs


class PullPolicy(enum.StrEnum):
    """When a registry is asked."""

    IF_NOT_PRESENT = "IfNotPresent"


@dataclasses.dataclass(frozen=True, slots=True)
class PullSource:
    """From a registry, by tag or digest."""

    policy: PullPolicy
    platform: str
    """``os/arch[/variant]``, or empty for the host's own."""
    type: Literal["pull"] = "pull"


@dataclasses.dataclass(frozen=True, slots=True)
class ArchiveSource:
    """From a file or directory on the host: OCI layout, OCI archive or docker-archive."""

    path: str
    """Absolute."""
    stamp: str
    """What the file was when the source was read (size and modification time), so that a rewritten archive is a change;
    empty where it did not exist."""
    type: Literal["archive"] = "archive"


ImageSource = PullSource | ArchiveSource


@dataclasses.dataclass(frozen=True, slots=True)
class ImageConfig:
    """An image as it is wanted."""

    name: str
    """The manifest's name; for an image that only a container's ``image:`` names, the reference itself."""
    reference: str
    """The reference under which the runtime keeps it; archives get ``localhost/<name>:latest``."""
    source: ImageSource


@dataclasses.dataclass(frozen=True, slots=True)
class ObservedImage:
    """An image in the runtime's store."""

    id: str
    """Digest of the image config: Docker's image id."""
    reference: str
    labels: Pairs
    """Ownership, where the runtime can keep it; not the labels inside of the image."""
    size: int
    """Bytes of content, compressed as stored."""
    verified: bool = True
    """False where it would have to be signed, and that is not verified: no container may start from it."""
