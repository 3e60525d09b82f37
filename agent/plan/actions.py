"""The closed union of everything that a plan can do. One action is one runtime call, and every action says why.

What the rest of the agent has to know of a kind of action stands at the action itself, in its ``TRAITS``: a new one is
ordered, said, bounded and judged by them, and mypy refuses one without.
"""

import enum
from typing import ClassVar

from agent.kit import frozen
from agent.model import container, image, ledger, network, volume
from agent.model.key import ObjectKey
from agent.reasons import Reason


class Effect(enum.Enum):
    """What an action does to its object, for who reads a plan."""

    CREATE = "create"
    CHANGE = "change"
    REMOVE = "remove"


class Lane(enum.Enum):
    """Which bound an action counts against while it is performed."""

    WORK = "work"
    FETCH = "fetch"
    """It mostly waits for a registry."""
    STOP = "stop"
    """It mostly waits for a container to end."""


class Phase(enum.IntEnum):
    """What comes first among steps that could be taken at the same time: only for the eye."""

    FETCH_IMAGE = enum.auto()
    CREATE_VOLUME = enum.auto()
    DISCONNECT = enum.auto()
    CREATE_CONTAINER = enum.auto()
    STOP = enum.auto()
    REMOVE_CONTAINER = enum.auto()
    REMOVE_NETWORK = enum.auto()
    CREATE_NETWORK = enum.auto()
    RENAME = enum.auto()
    CONNECT = enum.auto()
    UPDATE = enum.auto()
    START = enum.auto()
    REMOVE_IMAGE = enum.auto()
    REMOVE_VOLUME = enum.auto()


@frozen.value
class Traits:
    """What is the same for all actions of a type."""

    phase: Phase
    effect: Effect
    doing: str
    """The word for one that is under way: ``creating``."""
    done: str
    """The word for one that has succeeded: ``created``."""
    lane: Lane = Lane.WORK
    ends_without_object: bool = False
    """It has succeeded where the object is not there."""
    keeps_running: bool = False
    """A container goes on running through it."""


@frozen.value
class Cause:
    """Why, for machines and for people."""

    reason: Reason
    message: str
    """A sentence's worth: ``image: nginx:1.26 -> nginx:1.27``."""
    fields: tuple[str, ...] = ()
    """The config's fields that differ, where that is the cause."""


@frozen.value
class EnsureImage:
    """Pull or load an image."""

    TRAITS: ClassVar = Traits(Phase.FETCH_IMAGE, Effect.CREATE, "fetching", "fetched", lane=Lane.FETCH)
    key: ObjectKey
    cause: Cause
    config: image.ImageConfig
    pinned: str = ""
    """What is pulled, where a registry has said what the reference stands for: ``REPOSITORY[:TAG]@DIGEST``."""


@frozen.value
class RemoveImage:
    """Drop an image that nothing declares any more."""

    TRAITS: ClassVar = Traits(Phase.REMOVE_IMAGE, Effect.REMOVE, "removing", "removed", ends_without_object=True)
    key: ObjectKey
    cause: Cause
    reference: str


@frozen.value
class CreateNetwork:
    """Make a network, mend one whose device is gone, or give an existing one its new labels."""

    TRAITS: ClassVar = Traits(Phase.CREATE_NETWORK, Effect.CREATE, "creating", "created")
    key: ObjectKey
    cause: Cause
    config: network.NetworkConfig


@frozen.value
class RemoveNetwork:
    """Remove a network."""

    TRAITS: ClassVar = Traits(Phase.REMOVE_NETWORK, Effect.REMOVE, "removing", "removed", ends_without_object=True)
    key: ObjectKey
    cause: Cause
    name: str


@frozen.value
class CreateVolume:
    """Make a volume, or give an existing one its new labels and deletion policy."""

    TRAITS: ClassVar = Traits(Phase.CREATE_VOLUME, Effect.CREATE, "creating", "created")
    key: ObjectKey
    cause: Cause
    config: volume.VolumeConfig


@frozen.value
class RemoveVolume:
    """Remove a volume and its data: only after ``deletionPolicy: Delete``."""

    TRAITS: ClassVar = Traits(Phase.REMOVE_VOLUME, Effect.REMOVE, "removing", "removed", ends_without_object=True)
    key: ObjectKey
    cause: Cause
    name: str


@frozen.value
class CreateContainer:
    """Make a container that does not run yet."""

    TRAITS: ClassVar = Traits(Phase.CREATE_CONTAINER, Effect.CREATE, "creating", "created")
    key: ObjectKey
    cause: Cause
    config: container.ContainerConfig
    name: str
    """The runtime's name for it: the declared one, or a temporary one while its predecessor is there."""


@frozen.value
class StartContainer:
    """Start a container, for the first time or again."""

    TRAITS: ClassVar = Traits(Phase.START, Effect.CHANGE, "starting", "started")
    key: ObjectKey
    cause: Cause
    ref: str
    restart: ledger.RestartReason | None
    """Counted as a restart for this reason; ``None`` for a first start."""
    streak: int
    """The failure streak to remember with it."""


@frozen.value
class StopContainer:
    """Stop a container with its own signal and patience."""

    TRAITS: ClassVar = Traits(
        Phase.STOP, Effect.CHANGE, "stopping", "stopped", lane=Lane.STOP, ends_without_object=True
    )
    key: ObjectKey
    cause: Cause
    ref: str
    stop: container.StopConfig
    restart: ledger.RestartReason | None = None
    """Set where the stop is the first half of a restart; the start that follows does not count again."""


@frozen.value
class RemoveContainer:
    """Remove a container and its writable layer."""

    TRAITS: ClassVar = Traits(Phase.REMOVE_CONTAINER, Effect.REMOVE, "removing", "removed", ends_without_object=True)
    key: ObjectKey
    cause: Cause
    ref: str


@frozen.value
class RenameContainer:
    """Give a replacement its real name, once its predecessor is gone."""

    TRAITS: ClassVar = Traits(Phase.RENAME, Effect.CHANGE, "renaming", "renamed")
    key: ObjectKey
    cause: Cause
    ref: str
    name: str


@frozen.value
class UpdateContainer:
    """Change resources, labels or supervision in place; ``None`` stays as it is."""

    TRAITS: ClassVar = Traits(Phase.UPDATE, Effect.CHANGE, "updating", "updated in place", keeps_running=True)
    key: ObjectKey
    cause: Cause
    ref: str
    resources: container.Resources | None
    labels: tuple[tuple[str, str], ...] | None
    supervision: container.Supervision | None = None


@frozen.value
class ConnectContainer:
    """Attach a container to a network, or change its place there."""

    TRAITS: ClassVar = Traits(Phase.CONNECT, Effect.CHANGE, "connecting", "connected", keeps_running=True)
    key: ObjectKey
    cause: Cause
    ref: str
    attachment: container.NetworkAttachment


@frozen.value
class DisconnectContainer:
    """Detach a container from a network."""

    TRAITS: ClassVar = Traits(
        Phase.DISCONNECT, Effect.CHANGE, "disconnecting", "disconnected", ends_without_object=True, keeps_running=True
    )
    key: ObjectKey
    cause: Cause
    ref: str
    network: str


Action = (
    EnsureImage
    | RemoveImage
    | CreateNetwork
    | RemoveNetwork
    | CreateVolume
    | RemoveVolume
    | CreateContainer
    | StartContainer
    | StopContainer
    | RemoveContainer
    | RenameContainer
    | UpdateContainer
    | ConnectContainer
    | DisconnectContainer
)


def is_build(action: Action) -> bool:
    """Return whether an action builds an image."""
    return isinstance(action, EnsureImage) and isinstance(action.config.source, image.BuildSource)


def doing(action: Action) -> str:
    """Return the word for an action that is under way."""
    return "building" if is_build(action) else action.TRAITS.doing


def done(action: Action) -> str:
    """Return the word for an action that has succeeded."""
    return "built" if is_build(action) else action.TRAITS.done
