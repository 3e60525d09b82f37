"""What the agent asks of a runtime: small role Protocols, composed to ``Runtime``.

Rules for every implementation, specified by ``tests/conformance``:

- A container is addressed by ``ref``: its id, or its present name. Names are unique among the runtime's objects of a
  kind.
- Calls on different objects may run concurrently; calls on one object are made one at a time.
- Every call is safe to repeat after a crash: ``start`` of a running container, ``stop`` of a stopped one do nothing;
  ``remove`` of an absent object raises ``NotFound`` (which callers take as done).
- ``labels`` given at creation come back in the observation unchanged.
- Failures are the kinds of ``errors`` and no others. Cancelling a call leaves nothing half made.
"""

import enum
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

from agent import errors
from agent.kit import frozen, machine, notices, resource_usage
from agent.model import container, features, image, network, policy, secret, volume
from agent.model.key import Pairs
from agent.oci import archives
from agent.reasons import Reason
from agent.runtime import builds, disk, events, files, processes, streams


@frozen.value
class Features:
    """What one runtime can do, beyond what all can."""

    name: str
    """``native``, ``memory``, ``docker`` …"""
    in_place: frozenset[policy.InPlace]
    """What ``update``, ``connect`` and ``disconnect`` can change on an existing container; plans replace the rest."""
    unsupported: features.Unsupported = features.NOTHING_UNSUPPORTED
    """What it cannot do: refused at validation where a manifest asks for it, and by the call that would do it."""
    secrets_at_start: bool = False
    """Values of Secrets are needed at each start, and not only where a container is made: nothing keeps them."""
    is_simulated: bool = False
    """Its containers are on no network: at their addresses somebody else may be."""

    def require(self, feature: features.Feature) -> None:
        """Raise ``errors.InvalidArgument`` (``Unsupported``) where it does not support a feature that a call needs."""
        reason = dict(self.unsupported).get(feature)
        if reason is not None:
            message = f"not over {self.name}: {reason}"
            raise errors.InvalidArgument(message, hint="choose another --runtime", reason=Reason.UNSUPPORTED)


class StepResult(enum.StrEnum):
    """How a step of a build has ended."""

    CACHED = "cached"
    """It was there already: a base image, or what an earlier build had made."""
    DONE = "done"
    FAILED = "failed"


@frozen.value
class Progress:
    """How far a long call has got."""

    message: str
    done: int = 0
    """Bytes so far."""
    total: int | None = None
    build_step: StepResult | None = None
    """How a step of a build has ended, where one has."""


ProgressSink = Callable[[Progress], None]


@frozen.value
class ContainerChange:
    """What to change on an existing container; ``None`` leaves it as it is."""

    resources: container.Resources | None = None
    labels: Pairs | None = None
    """The full new set of declared labels (ownership labels stay)."""
    supervision: container.Supervision | None = None
    """What is declared of it now; every runtime keeps it, and observes it."""


class Images(Protocol):
    """The image store."""

    async def list(self) -> tuple[image.ObservedImage, ...]:
        """Return all images, sorted by reference; one with two references is listed twice."""

    def use(self, logins: tuple[secret.Login, ...]) -> None:
        """Show these to registries from now on, before what this host knows, and no others that were given before.

        Pushes show them as well.
        """

    async def forget(self, reference: str) -> None:
        """Keep nothing of what a broken pull of it has brought in: it is not declared any more.

        An image that is there stays.
        """

    async def ensure(
        self, config: image.ImageConfig, labels: Pairs, progress: ProgressSink, pinned: str = ""
    ) -> image.ObservedImage:
        """Pull or load what ``config.source`` says and keep it under ``config.reference``, replacing what was there.

        ``pinned`` (``REGISTRY/REPOSITORY[:TAG]@DIGEST``) is what is pulled, whatever the reference stands for by now.
        Raises ``Unavailable`` (reason ``ImagePullFailed``) for a registry that cannot be reached, ``NotFound`` for an
        image or archive that does not exist, ``InvalidArgument`` for content that is refused.
        """

    async def digest(self, reference: str) -> str:
        """Ask its registry what a reference stands for now. Nothing is fetched. Raises as ``ensure``."""

    async def tags(self, reference: str) -> tuple[str, ...]:
        """Ask its registry for all tags of a reference's repository, in any order. Raises as ``ensure``."""

    async def remove(self, reference: str) -> None:
        """Drop the reference, and the content that nothing else uses. Raises ``InUse`` while containers use it."""

    async def tag(self, reference: str, new: str) -> None:
        """Keep it under one more reference, replacing what was there; as nobody's, so that it is never pruned.

        Raises ``NotFound``.
        """

    async def push(self, reference: str, target: str, progress: ProgressSink) -> str:
        """Push it to a registry under a reference, and give the digest that it has there; empty where nobody says.

        This and what follows raises ``InvalidArgument`` where images have no content (``Feature.IMAGE_CONTENT``).
        Raises ``Unavailable`` (``ImagePushFailed``), ``InvalidArgument`` (``ImagePushDenied``), ``NotFound``.
        """

    async def save(
        self, references: tuple[str, ...], form: archives.ArchiveFormat, out: archives.Sink, progress: ProgressSink
    ) -> None:
        """Write them all to one archive, each under its reference. ``out`` is written to in another thread.

        Raises ``NotFound`` before anything is written, and what ``out`` raises.
        """

    async def load(self, path: str, reference: str, progress: ProgressSink) -> tuple[str, ...]:
        """Load all images of an archive under the names in it, as nobody's, and give those.

        With a reference, load its only image under that. Raises as ``ensure``, and ``InvalidArgument``
        (``ImageNameless``).
        """

    async def import_root(self, path: str, reference: str, root: archives.RootImage, progress: ProgressSink) -> None:
        """Make an image of one layer, as nobody's, from the tar of a root file system, which may be compressed.

        Raises ``NotFound`` (``ArchiveNotFound``), ``InvalidArgument`` for what is no such tar, or a hostile one.
        """


class Containers(streams.Streams, files.Files, processes.Processes, processes.Inspection, Protocol):
    """The containers."""

    async def list(self) -> tuple[container.ObservedContainer, ...]:
        """Return all containers, sorted by name, foreign ones included where the runtime has such."""

    def use(self, values: tuple[secret.SecretValue, ...]) -> None:
        """Look up references to Secrets (``ContainerConfig.secret_env``) among these from now on, and no others.

        A value is looked up where it is used, by ``create`` or by ``start``, which raise ``Unavailable``
        (``SecretUnavailable``) where it is not what its fingerprint says. It is in no label, record or observation.
        """

    async def create(self, config: container.ContainerConfig, name: str, labels: Pairs) -> str:
        """Make a container under ``name`` and give its id; nothing runs and no address, port or name is taken yet."""

    async def start(self, ref: str) -> None:
        """Start it. Raises ``Conflict`` (``PortInUse``, ``AddressInUse``) or ``InvalidArgument`` (``StartFailed``)."""

    async def stop(self, ref: str, stop: container.StopConfig) -> None:
        """Ask it to end by the signal, and kill it after the grace period; returns when it has ended."""

    async def kill(self, ref: str, signal: str) -> None:
        """Send a signal; does not wait."""

    async def remove(self, ref: str) -> None:
        """Remove it with its writable layer, killing it if it runs. Volumes stay."""

    async def rename(self, ref: str, name: str) -> None:
        """Rename it. Raises ``AlreadyExists``."""

    async def update(self, ref: str, change: ContainerChange) -> None:
        """Change resources, labels or supervision without a restart; takes effect at once on a running one.

        Raises ``InvalidArgument`` for what is not in ``Features.in_place``.
        """

    async def connect(self, ref: str, attachment: container.NetworkAttachment) -> None:
        """Attach it to one more network (or change that attachment), at once where it runs."""

    async def disconnect(self, ref: str, network_name: str) -> None:
        """Detach it from a network."""

    async def stats(self) -> Mapping[str, resource_usage.Usage]:
        """Return the usage of every running container, by id."""


class Networks(Protocol):
    """The networks."""

    async def list(self) -> tuple[network.ObservedNetwork, ...]:
        """Return all networks, sorted by name."""

    async def create(self, config: network.NetworkConfig, labels: Pairs) -> None:
        """Make a network; where it exists, repair it if it is not ``healthy`` and take over the new labels.

        Raises ``Conflict`` for a taken subnet.
        """

    async def remove(self, name: str) -> None:
        """Remove it. Raises ``InUse`` while running containers are attached."""


class Volumes(Protocol):
    """The volumes."""

    async def list(self) -> tuple[volume.ObservedVolume, ...]:
        """Return all volumes, sorted by name."""

    async def create(self, config: volume.VolumeConfig, labels: Pairs) -> None:
        """Make an empty volume, or, where it exists, take over the new labels and deletion policy; data stays."""

    async def remove(self, name: str) -> None:
        """Remove it and its data. Raises ``InUse`` while containers use it."""


class Events(Protocol):
    """What happens to the runtime's objects."""

    def subscribe(self) -> AsyncIterator[events.RuntimeEvent]:
        """Return events from now on, until the runtime is closed. A lost stream raises ``Unavailable``."""


class Runtime(Protocol):
    """A whole container runtime."""

    @property
    def features(self) -> Features:
        """What it can do."""

    @property
    def images(self) -> Images:
        """The image store."""

    @property
    def builds(self) -> builds.Builds:
        """Builds of images."""

    @property
    def containers(self) -> Containers:
        """The containers."""

    @property
    def networks(self) -> Networks:
        """The networks."""

    @property
    def volumes(self) -> Volumes:
        """The volumes."""

    @property
    def disk(self) -> disk.Disk:
        """The room that all that takes."""

    @property
    def events(self) -> Events:
        """What happens."""

    async def machine(self) -> machine.Machine | None:
        """Return the size of the machine that the containers run on; ``None`` where there is none."""

    def notices(self) -> tuple[notices.Notice, ...]:
        """Return what could not be cleaned up yet, and what had to be mended; sorted by subject."""

    def recheck(self) -> None:
        """Let the next lists look at the host itself for all that they would otherwise take from memory.

        Called before each relist: whatever somebody changed behind the runtime's back is seen then at the latest.
        """
