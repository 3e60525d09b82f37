"""Archives of images: their formats, and how a root file system becomes an image."""

import enum
from typing import Protocol

from agent.kit import frozen


class ArchiveFormat(enum.StrEnum):
    """The format of an archive that is written."""

    OCI = "oci"
    """Layers as they are stored; Docker, Podman, containerd and skopeo read it."""
    DOCKER = "docker"
    """Layers as plain tars, for everything that reads what ``docker save`` has always written."""


@frozen.value
class RootImage:
    """How a root file system is to be run, as image configs say it."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    working_dir: str = ""
    user: str = ""
    labels: tuple[tuple[str, str], ...] = ()


class Sink(Protocol):
    """What an archive is written to, from its beginning to its end."""

    def write(self, data: bytes, /) -> object:
        """Take all of the bytes."""
