"""What may not go yet: containers that this plan leaves as they are still use it."""

from collections.abc import Iterable, Iterator

from agent.model import container, policy, state
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, match, plan
from agent.reasons import Reason

_Used = str | ObjectKey
"""What a container uses: an image by its reference, all else by its key."""
_Removal = actions.RemoveImage | actions.RemoveNetwork | actions.RemoveVolume


def holds(world: match.World, steps: Iterable[plan.Step]) -> tuple[policy.Hold, ...]:
    """Return a hold for each object that the steps remove from under a container of ours that stays where it is."""
    done = [step.action for step in steps]
    removals = [action for action in done if isinstance(action, _Removal)]
    if not removals:
        return ()
    removed = {action.ref for action in done if isinstance(action, actions.RemoveContainer)}
    disconnected = {(action.ref, action.network) for action in done if isinstance(action, actions.DisconnectContainer)}
    users: dict[_Used, list[str]] = {}
    for same in world.owned_containers.values():
        for user in same:
            if user.id not in removed:
                for used in _used(user, disconnected):
                    users.setdefault(used, []).append(user.name)
    return tuple(
        policy.Hold(action.key, Reason.IN_USE, f"still used by {', '.join(sorted(users[used]))}")
        for action in removals
        if (used := _removed(action)) in users
    )


def _used(user: container.ObservedContainer, disconnected: set[tuple[str, str]]) -> Iterator[_Used]:
    """Return what a container uses, less the networks that it leaves."""
    yield user.config.image
    for key in state.used_by(user.config):
        if key.kind is not Kind.NETWORK or (user.id, key.name) not in disconnected:
            yield key


def _removed(action: _Removal) -> _Used:
    match action:
        case actions.RemoveImage():
            return action.reference
        case actions.RemoveNetwork():
            return ObjectKey(Kind.NETWORK, action.name)
        case actions.RemoveVolume():
            return ObjectKey(Kind.VOLUME, action.name)
