"""What may not go yet: containers that this plan leaves as they are still use it."""

from collections.abc import Iterable

from agent.model import container, policy, state
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, match, plan

IN_USE = "InUse"
"""The reason of what waits for its last user to go."""


_Removal = actions.RemoveImage | actions.RemoveNetwork | actions.RemoveVolume


def holds(world: match.World, steps: Iterable[plan.Step]) -> tuple[policy.Hold, ...]:
    """Give a hold for each object that the steps remove from under a container of ours that stays where it is."""
    done = [step.action for step in steps]
    gone = {one.ref for one in done if isinstance(one, actions.RemoveContainer)}
    left = {(one.ref, one.network) for one in done if isinstance(one, actions.DisconnectContainer)}
    staying = [one for found in world.owned_containers.values() for one in found if one.id not in gone]
    found = []
    for action in done:
        if isinstance(action, _Removal):
            users = sorted(one.name for one in staying if _uses(one, action, left))
            if users:
                found.append(policy.Hold(action.key, IN_USE, f"still used by {', '.join(users)}"))
    return tuple(found)


def _uses(found: container.ObservedContainer, action: _Removal, left: set[tuple[str, str]]) -> bool:
    match action:
        case actions.RemoveImage():
            return found.config.image == action.reference
        case actions.RemoveNetwork():
            attached = ObjectKey(Kind.NETWORK, action.name) in state.used_by(found.config)
            return attached and (found.id, action.name) not in left
        case actions.RemoveVolume():
            return ObjectKey(Kind.VOLUME, action.name) in state.used_by(found.config)
