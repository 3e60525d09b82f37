"""Volumes: made, changed in place, and removed with their data only where that was declared."""

from agent.model import volume
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, diff, draft, ground, match, plan


def write(world: match.World, sketch: draft.Draft, steps: ground.Ground, desired: volume.VolumeConfig) -> None:
    """Plan one that is declared."""
    key = ObjectKey(Kind.VOLUME, desired.name)
    observed = world.volumes.get(desired.name)
    if observed is None:
        cause = ground.missing(world, sketch, key, desired)
    elif world.key_of(observed.labels) is None:
        ground.foreign(sketch, steps, key)
        return
    elif observed.config == desired:
        sketch.buckets[key] = plan.Bucket.MATCHING
        return
    else:
        sketch.buckets[key] = plan.Bucket.DRIFTED
        cause = ground.change(world, sketch, desired, diff.of_volume(desired, observed.config))
    if not ground.held(world, sketch, steps, key, desired, is_usable=observed is not None):
        steps.ready[key] = sketch.add(actions.CreateVolume(key, cause, desired))


def leave(world: match.World, sketch: draft.Draft, steps: ground.Ground) -> None:
    """Plan the removal of volumes that are no longer declared, where their data may go."""
    declared = {config.name for config in world.desired.volumes}
    for name, observed in world.volumes.items():
        key = world.key_of(observed.labels)
        if key is not None and key.name not in declared:
            if observed.config.deletion_policy is volume.DeletionPolicy.DELETE:
                ground.leave(world, sketch, steps, actions.RemoveVolume(key, ground.ORPHANED, name))
            else:
                sketch.buckets[key] = plan.Bucket.ORPHANED
                sketch.retained.update({key} if world.policy.prune else ())
