"""What the agent asks of a runtime: small role Protocols, composed to ``Runtime``.

Rules for every implementation, specified by ``tests/conformance``:

- A container is addressed by ``ref``: its id, or its present name. Names are unique among the runtime's objects of a
  kind.
- Calls on different objects may run concurrently; calls on one object are made one at a time.
- Every call is safe to repeat after a crash: ``start`` of a running container, ``stop`` of a stopped one do nothing;
  ``remove`` of an absent object raises ``NotFound`` (which callers take as done).
- ``labels`` given at creation come back in the observation unchanged.
- Failures are the kinds of ``runtime.errors`` and no others. Cancelling a call leaves nothing half made.
"""

import contextlib
import dataclasses
import enum
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

from agent.model import abilities, container, image, network, policy, secret, volume
from agent.model.key import Pairs
from agent.runtime import disk, events


@dataclasses.dataclass(frozen=True, slots=True)
class Features:
    """What one runtime can do, beyond what all can."""

    name: str
    """``native``, ``memory``, ``docker`` …"""
    in_place: frozenset[policy.InPlace]
    """What ``update``, ``connect`` and ``disconnect`` can change on an existing container; plans replace the rest."""
    lacking: abilities.Lacking = abilities.EVERYTHING
    """What manifests may ask for and it cannot do: refused at validation."""


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """How far a long call has got."""

    message: str
    done: int = 0
    """Bytes so far."""
    total: int | None = None


ProgressSink = Callable[[Progress], None]


@dataclasses.dataclass(frozen=True, slots=True)
class ContainerChange:
    """What to change on an existing container; ``None`` leaves it as it is."""

    resources: container.Resources | None = None
    labels: Pairs | None = None
    """The full new set of declared labels (ownership labels stay)."""


@dataclasses.dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a container wrote."""

    time: float
    stream: str
    """``stdout`` or ``stderr``."""
    text: str
    """Without its line end; bytes that are not UTF-8 are replaced."""


@dataclasses.dataclass(frozen=True, slots=True)
class LogRequest:
    """Which lines of a log."""

    follow: bool = False
    """Go on until the container ends."""
    tail: int | None = None
    """Only the last so many lines; ``None``: all that is kept."""
    since: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ExecRequest:
    """A command to run in a running container."""

    command: tuple[str, ...]
    tty: bool = False
    stdin: bool = False
    user: str = ""
    working_dir: str = ""
    env: Pairs = ()
    rows: int = 24
    columns: int = 80


class ExecSession(Protocol):
    """A command that runs in a container. Leaving it (``async with``) ends the command if it still runs."""

    async def write(self, data: bytes) -> None:
        """Send to its standard input."""

    async def close_stdin(self) -> None:
        """Let its standard input end."""

    def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """Give (``stdout`` | ``stderr``, chunk) until both end; a terminal has only ``stdout``."""

    async def resize(self, rows: int, columns: int) -> None:
        """Tell the terminal's new size; without a terminal nothing happens."""

    async def wait(self) -> int:
        """Wait for the end and give the exit code: 128 + signal where it was killed by one."""


@dataclasses.dataclass(frozen=True, slots=True)
class NetworkStats:
    """Counters of one of a container's interfaces, seen from inside."""

    interface: str
    receive_bytes: int
    receive_packets: int
    receive_errors: int
    receive_dropped: int
    transmit_bytes: int
    transmit_packets: int
    transmit_errors: int
    transmit_dropped: int


@dataclasses.dataclass(frozen=True, slots=True)
class ContainerStats:
    """What a running container uses; fields that the host cannot tell are ``None``."""

    cpu_seconds: float
    """User and system time so far."""
    memory_usage: int
    memory_working_set: int
    """Usage less inactive file cache: what the OOM killer looks at."""
    memory_limit: int | None
    pids: int
    oom_kills: int
    networks: tuple[NetworkStats, ...]


class ArchiveFormat(enum.StrEnum):
    """What an archive of images is to be."""

    OCI = "oci"
    """An OCI archive, layers compressed where the runtime keeps them so."""
    DOCKER = "docker"
    """What ``docker save`` has always written."""


class Sink(Protocol):
    """What takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Take them all."""


@dataclasses.dataclass(frozen=True, slots=True)
class RootImage:
    """How a root file system is to be run, as image configs say it."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: Pairs = ()
    working_dir: str = ""
    user: str = ""
    labels: Pairs = ()


class Images(Protocol):
    """The image store."""

    async def list(self) -> tuple[image.ObservedImage, ...]:
        """Give all images, sorted by reference; one with two references is listed twice."""

    def use(self, logins: tuple[secret.Login, ...]) -> None:
        """Show these to registries from now on, before what this host knows, and no others that were given before.

        Pushes show them as well.
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

        This and what follows raises ``InvalidArgument`` where images have no content (``Ability.IMAGE_CONTENT``).
        Raises ``Unavailable`` (``ImagePushFailed``), ``InvalidArgument`` (``ImagePushDenied``), ``NotFound``.
        """

    async def save(self, references: tuple[str, ...], form: ArchiveFormat, out: Sink, progress: ProgressSink) -> None:
        """Write them all to one archive, each under its reference. ``out`` is written to in another thread.

        Raises ``NotFound`` before anything is written, and what ``out`` raises.
        """

    async def load(self, path: str, reference: str, progress: ProgressSink) -> tuple[str, ...]:
        """Load all images of an archive under the names in it, as nobody's, and give those.

        With a reference, load its only image under that. Raises as ``ensure``, and ``InvalidArgument``
        (``ImageNameless``).
        """

    async def import_root(self, path: str, reference: str, root: RootImage, progress: ProgressSink) -> None:
        """Make an image of one layer, as nobody's, from the tar of a root file system, which may be compressed.

        Raises ``NotFound`` (``ArchiveNotFound``), ``InvalidArgument`` for what is no such tar, or a hostile one.
        """


class Containers(Protocol):
    """The containers."""

    async def list(self) -> tuple[container.ObservedContainer, ...]:
        """Give all containers, sorted by name, foreign ones included where the runtime has such."""

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
        """Give it another name. Raises ``AlreadyExists``."""

    async def update(self, ref: str, change: ContainerChange) -> None:
        """Change resources or labels without a restart; takes effect at once on a running one.

        Raises ``InvalidArgument`` for what is not in ``Features.in_place``.
        """

    async def connect(self, ref: str, attachment: container.NetworkAttachment) -> None:
        """Attach it to one more network (or change that attachment), at once where it runs."""

    async def disconnect(self, ref: str, network_name: str) -> None:
        """Detach it from a network."""

    def exec(self, ref: str, request: ExecRequest) -> contextlib.AbstractAsyncContextManager[ExecSession]:
        """Run a command in it. Raises ``Conflict`` (``NotRunning``), ``InvalidArgument`` (no such program)."""

    def logs(self, ref: str, request: LogRequest) -> AsyncIterator[LogLine]:
        """Give lines in the order they were written."""

    async def stats(self) -> Mapping[str, ContainerStats]:
        """Give the usage of every running container, by id."""


class Networks(Protocol):
    """The networks."""

    async def list(self) -> tuple[network.ObservedNetwork, ...]:
        """Give all networks, sorted by name."""

    async def create(self, config: network.NetworkConfig, labels: Pairs) -> None:
        """Make a network; where it exists, repair it if it is not ``healthy`` and take over the new labels.

        Raises ``Conflict`` for a taken subnet.
        """

    async def remove(self, name: str) -> None:
        """Remove it. Raises ``InUse`` while running containers are attached."""


class Volumes(Protocol):
    """The volumes."""

    async def list(self) -> tuple[volume.ObservedVolume, ...]:
        """Give all volumes, sorted by name."""

    async def create(self, config: volume.VolumeConfig, labels: Pairs) -> None:
        """Make an empty volume, or, where it exists, take over the new labels and deletion policy; data stays."""

    async def remove(self, name: str) -> None:
        """Remove it and its data. Raises ``InUse`` while containers use it."""


class Events(Protocol):
    """What happens to the runtime's objects."""

    def subscribe(self) -> AsyncIterator[events.RuntimeEvent]:
        """Give events from now on, until the runtime is closed. A lost stream raises ``Unavailable``."""


class Runtime(Protocol):
    """A whole container runtime."""

    @property
    def features(self) -> Features:
        """What it can do."""

    @property
    def images(self) -> Images:
        """The image store."""

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
