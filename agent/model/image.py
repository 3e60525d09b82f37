"""An image: where it is to come from, and what the runtime holds."""

import dataclasses
import enum
from typing import Literal

from agent.kit import canonical, frozen
from agent.model.key import Pairs


class PullPolicy(enum.StrEnum):
    """When a registry is asked."""

    IF_NOT_PRESENT = "IfNotPresent"
    ALWAYS = "Always"
    """Also for an image that is there: once by each run of the agent, and by each ``apply``."""
    NEVER = "Never"


@frozen.value
class PullSource:
    """From a registry, by tag or digest."""

    platform: str
    """``os/arch[/variant]``, or empty for the host's own."""
    type: Literal["pull"] = "pull"


@frozen.value
class ArchiveSource:
    """From a file or directory on the host: OCI layout, OCI archive or docker-archive."""

    path: str
    """Absolute."""
    stamp: str
    """What the file was when the source was read (size and modification time), so that a rewritten archive is a change;
    empty where it did not exist."""
    type: Literal["archive"] = "archive"


class BuildNetwork(enum.StrEnum):
    """What the commands of a build have of a network, where they name none."""

    DEFAULT = "default"
    """One that leads out, as containers' do."""
    NONE = "none"
    HOST = "host"


@frozen.value
class BuildSource:
    """From a Dockerfile and a directory on the host."""

    context: str
    """The directory that files are taken from; absolute."""
    dockerfile: str
    """Absolute; where its text is ``inline``, it need not exist, and is only what ``NAME.dockerignore`` goes by."""
    stamp: str
    """What both were when the source was read, so that a changed file is a change; empty where they did not exist."""
    inline: str = ""
    """The Dockerfile's text; empty: it is read from the file."""
    target: str = ""
    """A stage; empty: the last one."""
    platform: str = ""
    """``os/arch[/variant]``, or empty for the host's own."""
    args: Pairs = ()
    labels: Pairs = ()
    """Of the image, on top of the Dockerfile's."""
    network: BuildNetwork = BuildNetwork.DEFAULT
    pulls: bool = False
    """Base images are asked for anew at their registries by each build."""
    cache_from: tuple[str, ...] = dataclasses.field(default=(), metadata=canonical.absent(()))
    """Caches in registries that steps are taken from, as ``dockerfile.caches`` reads them."""
    cache_to: tuple[str, ...] = dataclasses.field(default=(), metadata=canonical.absent(()))
    """Caches in registries that steps are kept in."""
    problem: str = ""
    """Why its files cannot be looked at, other than that they are not there: nobody would see their changes."""
    type: Literal["build"] = "build"


ImageSource = PullSource | ArchiveSource | BuildSource


@frozen.value
class ImageConfig:
    """An image as it is wanted."""

    name: str
    """The manifest's name; for an image that only a container's ``image:`` names, the reference itself."""
    reference: str
    """The reference under which the runtime keeps it; archives get ``localhost/<name>:latest``."""
    source: ImageSource


@frozen.value
class UpdatePolicy:
    """How a pulled Image follows its registry. It is no part of the config: another interval changes no image."""

    name: str
    """The Image's name."""
    reference: str
    """The image's reference, as declared."""
    policy: PullPolicy
    track: str = ""
    """A range of versions; empty: the reference's own tag."""
    interval: float | None = None
    """Seconds between two queries of the registry; ``None``: it is queried once."""

    @property
    def question(self) -> str:
        """Return what the registry is asked: the answer to another question does not count for this one."""
        return f"{self.reference} {self.track}".rstrip()


@frozen.value
class ObservedImage:
    """An image in the runtime's store."""

    id: str
    """Digest of the image config: Docker's image id."""
    reference: str
    labels: Pairs
    """Ownership, where the runtime can keep it; not the labels inside of the image."""
    size: int
    """Bytes of content, compressed as stored."""
    digests: tuple[str, ...] = ()
    """The manifests that the reference's repository knows it by, sorted; none where it came from no registry."""
    verified: bool = True
    """False where it would have to be signed, and that is not verified: no container may start from it."""
    available: bool = True
    """False where somebody has taken away what a container needs of it."""

    @property
    def usable(self) -> bool:
        """Tell whether a container may start from it."""
        return self.verified and self.available
