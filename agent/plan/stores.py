"""Images, networks and volumes: what containers stand on. Each comes before them, and goes after them."""

import dataclasses

from agent.kit import canonical
from agent.model import container, image, network, state, volume
from agent.model.key import Kind, ObjectKey, ownership_of
from agent.plan import actions, diff, draft, match, plan, updates


@dataclasses.dataclass(slots=True)
class Ground:
    """The steps that containers wait for, and those that wait for containers."""

    ready: dict[ObjectKey, int] = dataclasses.field(default_factory=dict)
    """The step after which an object can be used, where this plan has one."""
    missing: dict[ObjectKey, str] = dataclasses.field(default_factory=dict)
    """Objects that are not there and that this plan does not bring about, with the reason."""
    changing: set[str] = dataclasses.field(default_factory=set)
    """References whose image this plan replaces by another one."""
    remade: dict[str, int] = dataclasses.field(default_factory=dict)
    """Networks that have to be removed first, with the step that does it: whoever is in there has to leave before."""
    leaving: dict[ObjectKey, int] = dataclasses.field(default_factory=dict)
    """Removals of what is no longer declared: they wait for the containers that use it."""


def write(world: match.World, sketch: draft.Draft) -> Ground:
    """Plan everything that is no container."""
    ground = Ground()
    for wanted in world.desired.images:
        _image(world, sketch, ground, wanted)
    for network_wanted in world.desired.networks:
        _network(world, sketch, ground, network_wanted)
    for volume_wanted in world.desired.volumes:
        _volume(world, sketch, ground, volume_wanted)
    _orphans(world, sketch, ground)
    return ground


def _image(world: match.World, sketch: draft.Draft, ground: Ground, wanted: image.ImageConfig) -> None:
    key = ObjectKey(Kind.IMAGE, wanted.name)
    found = world.images.get(wanted.reference)
    newest = updates.newest(world, wanted)
    cause: actions.Cause | None
    if found is None:
        cause = _missing(world, sketch, key, wanted)
        blocked = updates.refusal(world, wanted, newest)
        if blocked is not None:
            sketch.block(blocked)
            ground.missing[key] = blocked.reason
            return
    else:
        cause = updates.unverified(found) or _image_change(world, sketch, wanted, found) or updates.cause(found, newest)
        sketch.buckets[key] = plan.Bucket.MATCHING if cause is None else plan.Bucket.DRIFTED
    there = found is not None and found.verified
    if cause is None or _held(world, sketch, ground, key, wanted, there=there):
        return
    pinned = "" if newest is None else updates.pinned(newest)
    ground.ready[key] = sketch.add(actions.EnsureImage(key, cause, wanted, pinned))
    if found is not None and cause.reason not in updates.GENTLE:
        ground.changing.add(wanted.reference)


def _image_change(
    world: match.World, sketch: draft.Draft, wanted: image.ImageConfig, found: image.ObservedImage
) -> actions.Cause | None:
    """Tell why an image that is there has to be fetched again.

    Somebody else's satisfies a pull as it is. An archive's reference is ours by construction: whatever stands there and
    is not ours was put in its place. One that is only to be verified may well turn out to be what it was.
    """
    if not found.verified:
        return actions.Cause(actions.Reason.CHANGED, "it must be signed, which is not verified", ("signature",))
    ownership = ownership_of(found.labels)
    archive = isinstance(wanted.source, image.ArchiveSource)
    if ownership is None or ownership.owner != world.policy.owner:
        if not archive:
            return None
        message = "it was not loaded by this instance"
        if world.applied_before(wanted):
            sketch.drift[ObjectKey(Kind.IMAGE, wanted.name)] = message
            return actions.Cause(actions.Reason.DRIFTED, message)
        return actions.Cause(actions.Reason.MISSING, message)
    if ownership.config_hash == canonical.digest(wanted):
        return None
    return actions.Cause(actions.Reason.CHANGED, f"{'archive' if archive else 'source'} changed", ("source",))


def _network(world: match.World, sketch: draft.Draft, ground: Ground, wanted: network.NetworkConfig) -> None:
    key = ObjectKey(Kind.NETWORK, wanted.name)
    found = world.networks.get(wanted.name)
    if found is None:
        cause = _missing(world, sketch, key, wanted)
        if not _held(world, sketch, ground, key, wanted, there=False):
            ground.ready[key] = sketch.add(actions.CreateNetwork(key, cause, wanted))
        return
    if world.key_of(found.labels) is None:
        _foreign(sketch, ground, key)
        return
    differences = diff.of_network(wanted, found.config)
    sketch.buckets[key] = plan.Bucket.DRIFTED if differences or not found.healthy else plan.Bucket.MATCHING
    if not differences and found.healthy:
        return
    if _held(world, sketch, ground, key, wanted, there=found.healthy):
        return
    if not differences:
        message = "its device is gone"
        sketch.drift[key] = message
        ground.ready[key] = sketch.add(
            actions.CreateNetwork(key, actions.Cause(actions.Reason.DRIFTED, message), wanted)
        )
        return
    cause = _change(world, sketch, wanted, differences)
    if all(one.change is diff.Change.IN_PLACE for one in differences):
        ground.ready[key] = sketch.add(actions.CreateNetwork(key, cause, wanted))
        return
    ground.remade[wanted.name] = sketch.add(actions.RemoveNetwork(key, cause, wanted.name))
    ground.ready[key] = sketch.add(actions.CreateNetwork(key, cause, wanted), [ground.remade[wanted.name]])


def _volume(world: match.World, sketch: draft.Draft, ground: Ground, wanted: volume.VolumeConfig) -> None:
    key = ObjectKey(Kind.VOLUME, wanted.name)
    found = world.volumes.get(wanted.name)
    if found is None:
        cause = _missing(world, sketch, key, wanted)
    elif world.key_of(found.labels) is None:
        _foreign(sketch, ground, key)
        return
    elif found.config == wanted:
        sketch.buckets[key] = plan.Bucket.MATCHING
        return
    else:
        sketch.buckets[key] = plan.Bucket.DRIFTED
        cause = _change(world, sketch, wanted, diff.of_volume(wanted, found.config))
    if not _held(world, sketch, ground, key, wanted, there=found is not None):
        ground.ready[key] = sketch.add(actions.CreateVolume(key, cause, wanted))


def _orphans(world: match.World, sketch: draft.Draft, ground: Ground) -> None:
    """Plan the removal of what is ours and no longer declared. A volume's data goes only where it was said to."""
    declared = {ObjectKey(Kind.NETWORK, one.name) for one in world.desired.networks}
    declared |= {ObjectKey(Kind.VOLUME, one.name) for one in world.desired.volumes}
    cause = actions.Cause(actions.Reason.ORPHANED, "no longer declared")
    theirs = {one.config.image for one in world.observed.containers if world.key_of(one.labels) is None}
    for reference, found_image in world.images.items():
        key = world.key_of(found_image.labels)
        if key is not None and reference not in world.image_keys and reference not in theirs:
            _leave(world, sketch, ground, actions.RemoveImage(key, cause, reference))
    for name, found_network in world.networks.items():
        key = world.key_of(found_network.labels)
        if key is not None and key not in declared:
            _leave(world, sketch, ground, actions.RemoveNetwork(key, cause, name))
    for name, found_volume in world.volumes.items():
        key = world.key_of(found_volume.labels)
        if key is not None and key not in declared:
            if found_volume.config.deletion_policy is volume.DeletionPolicy.DELETE:
                _leave(world, sketch, ground, actions.RemoveVolume(key, cause, name))
            else:
                sketch.buckets[key] = plan.Bucket.ORPHANED
                sketch.retained.update({key} if world.policy.prune else ())


def _leave(
    world: match.World,
    sketch: draft.Draft,
    ground: Ground,
    action: actions.RemoveImage | actions.RemoveNetwork | actions.RemoveVolume,
) -> None:
    sketch.buckets[action.key] = plan.Bucket.ORPHANED
    hold = world.hold_on(action.key, None)
    if not world.policy.prune:
        return
    if hold is not None:
        sketch.block(plan.Blocked(action.key, hold.reason, hold.message, hold.until))
        return
    ground.leaving[action.key] = sketch.add(action)


def _missing(
    world: match.World,
    sketch: draft.Draft,
    key: ObjectKey,
    wanted: image.ImageConfig | network.NetworkConfig | volume.VolumeConfig,
) -> actions.Cause:
    sketch.buckets[key] = plan.Bucket.MISSING
    if world.applied_before(wanted):
        sketch.drift[key] = "was removed"
        return actions.Cause(actions.Reason.DRIFTED, "was removed behind our back")
    return actions.Cause(actions.Reason.MISSING, "not there yet")


def _change(
    world: match.World,
    sketch: draft.Draft,
    wanted: network.NetworkConfig | volume.VolumeConfig,
    differences: tuple[diff.Difference, ...],
) -> actions.Cause:
    message = "; ".join(str(one) for one in differences)
    drifted = world.applied_before(wanted)
    if drifted:
        sketch.drift[state.key_of(wanted)] = message
    reason = actions.Reason.DRIFTED if drifted else actions.Reason.CHANGED
    return actions.Cause(reason, message, tuple(one.field for one in differences))


def _held(
    world: match.World,
    sketch: draft.Draft,
    ground: Ground,
    key: ObjectKey,
    wanted: image.ImageConfig | network.NetworkConfig | volume.VolumeConfig,
    *,
    there: bool,
) -> bool:
    hold = world.hold_on(key, wanted)
    if hold is None:
        return False
    sketch.block(plan.Blocked(key, hold.reason, hold.message, hold.until))
    if not there:
        ground.missing[key] = hold.reason
    return True


def _foreign(sketch: draft.Draft, ground: Ground, key: ObjectKey) -> None:
    sketch.buckets[key] = plan.Bucket.FOREIGN
    message = f"{key.kind.value.lower()} {key.name} is there already and not ours"
    sketch.block(plan.Blocked(key, "Foreign", message))
    ground.missing[key] = "Foreign"


def used_by(config: container.ContainerConfig, world: match.World) -> tuple[ObjectKey, ...]:
    """Give the objects that a declared container stands on."""
    image_key = world.image_keys.get(config.image)
    return (*([image_key] if image_key else []), *state.used_by(config))
