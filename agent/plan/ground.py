"""What images, networks and volumes have in common in a plan, and the steps of them that containers wait for."""

import dataclasses

from agent.model import image, network, state, volume
from agent.model.key import ObjectKey
from agent.plan import actions, diff, draft, match, plan
from agent.reasons import Reason

ORPHANED = actions.Cause(Reason.ORPHANED, "no longer declared")


@dataclasses.dataclass(slots=True)
class Ground:
    """The steps that containers wait for, and those that wait for containers."""

    ready: dict[ObjectKey, int] = dataclasses.field(default_factory=dict)
    """The step after which an object can be used, where this plan has one."""
    missing: dict[ObjectKey, Reason] = dataclasses.field(default_factory=dict)
    """Objects that are not there and that this plan does not bring about, with the reason."""
    loaded: list[int] = dataclasses.field(default_factory=list)
    """Steps that load images of archives."""
    built: list[int] = dataclasses.field(default_factory=list)
    """Steps that build images."""
    changing: set[str] = dataclasses.field(default_factory=set)
    rebuilt: set[str] = dataclasses.field(default_factory=set)
    """References whose image is built anew: what comes of it is known once it is, and nothing is replaced before."""
    """References whose image this plan replaces by another one."""
    remade: dict[str, int] = dataclasses.field(default_factory=dict)
    """Networks that have to be removed first, with the step that does it: whoever is in there has to leave before."""
    leaving: dict[ObjectKey, int] = dataclasses.field(default_factory=dict)
    """Removals of what is no longer declared: they wait for the containers that use it."""


def leave(
    world: match.World,
    sketch: draft.Draft,
    ground: Ground,
    action: actions.RemoveImage | actions.RemoveNetwork | actions.RemoveVolume,
) -> None:
    """Plan the removal of what is ours and no longer declared, where that is allowed now."""
    sketch.buckets[action.key] = plan.Bucket.ORPHANED
    hold = world.hold_on(action.key, None)
    if not world.policy.prune:
        return
    if hold is not None:
        sketch.block(plan.Blocked(action.key, hold.reason, hold.message, hold.until))
        return
    ground.leaving[action.key] = sketch.add(action)


def missing(
    world: match.World,
    sketch: draft.Draft,
    key: ObjectKey,
    desired: image.ImageConfig | network.NetworkConfig | volume.VolumeConfig,
) -> actions.Cause:
    """Return why an object that is not there is made, and put it into its bucket."""
    sketch.buckets[key] = plan.Bucket.MISSING
    if world.applied_before(desired):
        sketch.drift[key] = "was removed"
        return actions.Cause(Reason.DRIFTED, "was removed behind our back")
    return actions.Cause(Reason.MISSING, "not there yet")


def change(
    world: match.World,
    sketch: draft.Draft,
    desired: network.NetworkConfig | volume.VolumeConfig,
    differences: tuple[diff.Difference, ...],
) -> actions.Cause:
    """Return why an object that is there is changed."""
    message = "; ".join(str(difference) for difference in differences)
    drifted = world.applied_before(desired)
    if drifted:
        sketch.drift[state.key_of(desired)] = message
    reason = Reason.DRIFTED if drifted else Reason.CHANGED
    return actions.Cause(reason, message, tuple(difference.field for difference in differences))


def held(
    world: match.World,
    sketch: draft.Draft,
    ground: Ground,
    key: ObjectKey,
    desired: image.ImageConfig | network.NetworkConfig | volume.VolumeConfig,
    *,
    is_usable: bool,
) -> bool:
    """Return whether a hold keeps this plan from an object; containers that stand on one that is not usable wait."""
    hold = world.hold_on(key, desired)
    if hold is None:
        return False
    sketch.block(plan.Blocked(key, hold.reason, hold.message, hold.until))
    if not is_usable:
        ground.missing[key] = hold.reason
    return True


def foreign(sketch: draft.Draft, ground: Ground, key: ObjectKey) -> None:
    """Say that somebody else's object has the name."""
    sketch.buckets[key] = plan.Bucket.FOREIGN
    message = f"{key.kind.value.lower()} {key.name} is there already and not ours"
    sketch.block(plan.Blocked(key, Reason.FOREIGN, message))
    ground.missing[key] = Reason.FOREIGN
