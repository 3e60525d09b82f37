"""Images: fetched, fetched again, and dropped once nobody uses them."""

from typing import assert_never

from agent.kit import canonical
from agent.model import image
from agent.model.key import Kind, ObjectKey, ownership_of
from agent.plan import actions, draft, ground, match, plan, updates
from agent.reasons import Reason

_DONE = {"archive": "loaded", "build": "built"}
_CHANGED = {"pull": "source", "archive": "archive", "build": "build"}


def write(world: match.World, sketch: draft.Draft, steps: ground.Ground, desired: image.ImageConfig) -> None:
    """Plan one that is declared."""
    key = ObjectKey(Kind.IMAGE, desired.name)
    observed = world.images.get(desired.reference)
    newest = updates.newest(world, desired)
    cause: actions.Cause | None
    if observed is None:
        cause = ground.missing(world, sketch, key, desired)
        blocked = updates.refusal(world, desired, newest)
        if blocked is not None:
            sketch.block(blocked)
            steps.missing[key] = blocked.reason
            return
    else:
        damage = updates.damaged(observed)
        if damage is not None:
            sketch.drift[key] = damage.message
        cause = (
            updates.unverified(observed)
            or _image_change(world, sketch, desired, observed)
            or updates.cause(observed, newest)
            or damage
        )
        sketch.buckets[key] = plan.Bucket.MATCHING if cause is None else plan.Bucket.DRIFTED
    is_usable = observed is not None and observed.usable
    if cause is None or ground.held(world, sketch, steps, key, desired, is_usable=is_usable):
        return
    pinned = "" if newest is None else updates.pinned(newest)
    step = steps.ready[key] = sketch.add(actions.EnsureImage(key, cause, desired, pinned))
    _note(steps, desired.source, step)
    if observed is not None and not updates.is_gentle(desired, observed, cause):
        steps.changing.add(desired.reference)
    elif isinstance(desired.source, image.BuildSource):
        steps.rebuilt.add(desired.reference)


def _image_change(
    world: match.World, sketch: draft.Draft, desired: image.ImageConfig, observed: image.ObservedImage
) -> actions.Cause | None:
    """Tell why an image that is there has to be fetched again.

    Somebody else's satisfies a pull as it is. The reference of an archive or a build is ours by construction: whatever
    stands there and is not ours was put in its place.
    """
    ownership = ownership_of(observed.labels)
    if ownership is None or ownership.owner != world.policy.owner:
        if isinstance(desired.source, image.PullSource):
            return None
        message = f"it was not {_DONE[desired.source.type]} by this instance"
        if world.applied_before(desired):
            sketch.drift[ObjectKey(Kind.IMAGE, desired.name)] = message
            return actions.Cause(Reason.DRIFTED, message)
        return actions.Cause(Reason.MISSING, message)
    if ownership.config_hash == canonical.digest(desired):
        return None
    return actions.Cause(Reason.CHANGED, f"{_CHANGED[desired.source.type]} changed", ("source",))


def _note(steps: ground.Ground, source: image.ImageSource, step: int) -> None:
    """Note a step by what it does, for ``order_builds``."""
    match source:
        case image.BuildSource():
            steps.built.append(step)
        case image.ArchiveSource():
            steps.loaded.append(step)
        case image.PullSource():
            pass  # whoever builds upon it pulls it as well
        case _:
            assert_never(source)


def order_builds(sketch: draft.Draft, steps: ground.Ground) -> None:
    """Let builds wait for images of archives: nobody knows yet which of them their Dockerfiles begin with."""
    for step in steps.built:
        sketch.wait(step, steps.loaded)


def leave(world: match.World, sketch: draft.Draft, steps: ground.Ground) -> None:
    """Plan the removal of images that are no longer declared, and that no container of somebody else is made of."""
    theirs = {
        container.config.image for container in world.observed.containers if world.key_of(container.labels) is None
    }
    for reference, observed in world.images.items():
        key = world.key_of(observed.labels)
        if key is not None and reference not in world.image_keys and reference not in theirs:
            ground.leave(world, sketch, steps, actions.RemoveImage(key, ground.ORPHANED, reference))
