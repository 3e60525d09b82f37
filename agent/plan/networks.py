"""Networks: made, mended, changed in place, made anew, removed."""

from agent.model import network
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, diff, draft, ground, match, plan
from agent.reasons import Reason


def write(world: match.World, sketch: draft.Draft, steps: ground.Ground, desired: network.NetworkConfig) -> None:
    """Plan one that is declared."""
    key = ObjectKey(Kind.NETWORK, desired.name)
    observed = world.networks.get(desired.name)
    if observed is None:
        cause = ground.missing(world, sketch, key, desired)
        if not ground.held(world, sketch, steps, key, desired, is_usable=False):
            steps.ready[key] = sketch.add(actions.CreateNetwork(key, cause, desired))
        return
    if world.key_of(observed.labels) is None:
        ground.foreign(sketch, steps, key)
        return
    differences = diff.of_network(desired, observed.config)
    sketch.buckets[key] = plan.Bucket.DRIFTED if differences or not observed.healthy else plan.Bucket.MATCHING
    if not differences and observed.healthy:
        return
    if ground.held(world, sketch, steps, key, desired, is_usable=observed.healthy):
        return
    if not differences:
        message = "its device is gone"
        sketch.drift[key] = message
        steps.ready[key] = sketch.add(actions.CreateNetwork(key, actions.Cause(Reason.DRIFTED, message), desired))
        return
    cause = ground.change(world, sketch, desired, differences)
    if all(difference.change is diff.Change.IN_PLACE for difference in differences):
        steps.ready[key] = sketch.add(actions.CreateNetwork(key, cause, desired))
        return
    steps.remade[desired.name] = sketch.add(actions.RemoveNetwork(key, cause, desired.name))
    steps.ready[key] = sketch.add(actions.CreateNetwork(key, cause, desired), [steps.remade[desired.name]])


def leave(world: match.World, sketch: draft.Draft, steps: ground.Ground) -> None:
    """Plan the removal of networks that are no longer declared."""
    declared = {config.name for config in world.desired.networks}
    for name, observed in world.networks.items():
        key = world.key_of(observed.labels)
        if key is not None and key.name not in declared:
            ground.leave(world, sketch, steps, actions.RemoveNetwork(key, ground.ORPHANED, name))
