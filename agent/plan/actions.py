"""The closed union of everything that a plan can do. One action is one runtime call, and every action says why."""

import dataclasses
import enum

from agent.model import container, image, ledger, network, volume
from agent.model.key import ObjectKey


class Reason(enum.StrEnum):
    """Why an action is there: bounded, for logs and metrics."""

    MISSING = "Missing"
    """Declared, and never there before."""
    DRIFTED = "Drifted"
    """Was brought about before, and has been removed or changed behind our back."""
    UNVERIFIED = "Unverified"
    """There, and not known to be signed as a rule asks."""
    UPDATED = "Updated"
    """The registry has a newer one."""
    CHANGED = "Changed"
    """The declaration has changed."""
    IMAGE_CHANGED = "ImageChanged"
    ORPHANED = "Orphaned"
    """Ours, and no longer declared."""
    EXITED = "Exited"
    OOM_KILLED = "OOMKilled"
    UNHEALTHY = "Unhealthy"
    NOT_STARTED = "NotStarted"
    """Created, never run: a fresh container or one whose start an earlier run of the agent did not reach."""
    INTERRUPTED = "Interrupted"
    """The rest of a replacement that was cut short."""


@dataclasses.dataclass(frozen=True, slots=True)
class Cause:
    """Why, for machines and for people."""

    reason: Reason
    message: str
    """A sentence's worth: ``image: nginx:1.26 -> nginx:1.27``."""
    fields: tuple[str, ...] = ()
    """The config's fields that differ, where that is the cause."""


@dataclasses.dataclass(frozen=True, slots=True)
class EnsureImage:
    """Pull or load an image."""

    key: ObjectKey
    cause: Cause
    config: image.ImageConfig
    pinned: str = ""
    """What is pulled, where a registry has said what the reference stands for: ``REPOSITORY[:TAG]@DIGEST``."""


@dataclasses.dataclass(frozen=True, slots=True)
class RemoveImage:
    """Drop an image that nothing declares any more."""

    key: ObjectKey
    cause: Cause
    reference: str


@dataclasses.dataclass(frozen=True, slots=True)
class CreateNetwork:
    """Make a network, mend one whose device is gone, or give an existing one its new labels."""

    key: ObjectKey
    cause: Cause
    config: network.NetworkConfig


@dataclasses.dataclass(frozen=True, slots=True)
class RemoveNetwork:
    """Remove a network."""

    key: ObjectKey
    cause: Cause
    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class CreateVolume:
    """Make a volume, or give an existing one its new labels and deletion policy."""

    key: ObjectKey
    cause: Cause
    config: volume.VolumeConfig


@dataclasses.dataclass(frozen=True, slots=True)
class RemoveVolume:
    """Remove a volume and its data: only after ``deletionPolicy: Delete``."""

    key: ObjectKey
    cause: Cause
    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class CreateContainer:
    """Make a container that does not run yet."""

    key: ObjectKey
    cause: Cause
    config: container.ContainerConfig
    name: str
    """The runtime's name for it: the declared one, or a temporary one while its predecessor is there."""


@dataclasses.dataclass(frozen=True, slots=True)
class StartContainer:
    """Start a container, for the first time or again."""

    key: ObjectKey
    cause: Cause
    ref: str
    restart: ledger.RestartReason | None
    """Counted as a restart for this reason; ``None`` for a first start."""
    streak: int
    """The failure streak to remember with it."""


@dataclasses.dataclass(frozen=True, slots=True)
class StopContainer:
    """Stop a container with its own signal and patience."""

    key: ObjectKey
    cause: Cause
    ref: str
    stop: container.StopConfig
    restart: ledger.RestartReason | None = None
    """Set where the stop is the first half of a restart; the start that follows does not count again."""


@dataclasses.dataclass(frozen=True, slots=True)
class RemoveContainer:
    """Remove a container and its writable layer."""

    key: ObjectKey
    cause: Cause
    ref: str


@dataclasses.dataclass(frozen=True, slots=True)
class RenameContainer:
    """Give a replacement its real name, once its predecessor is gone."""

    key: ObjectKey
    cause: Cause
    ref: str
    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class UpdateContainer:
    """Change resources or labels in place; ``None`` stays as it is."""

    key: ObjectKey
    cause: Cause
    ref: str
    resources: container.Resources | None
    labels: tuple[tuple[str, str], ...] | None


@dataclasses.dataclass(frozen=True, slots=True)
class ConnectContainer:
    """Attach a container to a network, or change its place there."""

    key: ObjectKey
    cause: Cause
    ref: str
    attachment: container.NetworkAttachment


@dataclasses.dataclass(frozen=True, slots=True)
class DisconnectContainer:
    """Detach a container from a network."""

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
