"""What a pass is to bring about: a desired state, how far it reaches, and what may be removed. Pure."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Self

from agent.kit import canonical, frozen
from agent.model import container, kinds, state
from agent.model.key import Kind, ObjectKey, Pairs, ownership_of


@frozen.value
class Goal:
    """A desired state and its reach."""

    desired: state.DesiredState
    prune: bool
    """What is ours and not declared is removed."""
    reach: frozenset[ObjectKey] | None
    """The only objects that may be touched; ``None``: all of ours."""
    hashes: Mapping[ObjectKey, str]
    """The config hash of each declared object."""
    focus: frozenset[ObjectKey] | None = None
    """The only objects that are acted on, beside others that are seen; ``None``: all within reach."""

    @classmethod
    def everything(cls, desired: state.DesiredState, before: Self | None = None) -> Self:
        """Bring about a whole state. One that declares nothing removes nothing: a lost mount looks just like it.

        ``before``: an earlier one, whose hashes are kept for what is declared as it was. Of a thousand objects mostly
        one has changed, and comparing costs a tenth of hashing.
        """
        earlier: dict[ObjectKey, tuple[kinds.Config, str]] = {}
        if before is not None:
            earlier = {key: (config, before.hashes[key]) for key, config in _by_key(before.desired)}
        hashes: dict[ObjectKey, str] = {}
        for key, config in _by_key(desired):
            old = earlier.get(key)
            hashes[key] = old[1] if old is not None and old[0] == config else canonical.digest(config)
        return cls(desired, bool(hashes), None, hashes)

    @classmethod
    def removal(cls, keys: frozenset[ObjectKey]) -> Self:
        """Remove some objects, and touch nothing else."""
        return cls(state.DesiredState("deleted"), prune=True, reach=keys, hashes={})

    def focused(self, keys: frozenset[ObjectKey]) -> Self:
        """Return the goal for some of what is declared: all else is seen, and left as it is."""
        return dataclasses.replace(self, prune=False, focus=keys)

    def reports(self, key: ObjectKey) -> bool:
        """Return whether a pass says how an object is: not of what it leaves as it is."""
        return self.covers(key) and (self.focus is None or key in self.focus)

    def covers(self, key: ObjectKey) -> bool:
        """Tell whether an object is within reach."""
        return self.reach is None or key in self.reach

    def visible(self, observed: state.ObservedState, owner: str) -> state.ObservedState:
        """Give the observation as a pass may see it: whatever is not the owner's or out of reach looks foreign."""

        def disguised(items: tuple[kinds.Observed, ...]) -> tuple[kinds.Observed, ...]:
            return tuple(
                item if self._is_within(item.labels, owner) else dataclasses.replace(item, labels=()) for item in items
            )

        return observed.with_objects({kind: disguised(items) for kind, items in observed.objects.items()})

    def _is_within(self, labels: Pairs, owner: str) -> bool:
        ownership = ownership_of(labels)
        return ownership is not None and ownership.owner == owner and self.covers(ownership.key)


def removable(declared: state.DesiredState, observed: state.ObservedState, owner: str) -> frozenset[ObjectKey]:
    """Select what ``delete`` removes: everything declared, but for what containers that stay still stand on."""
    keys = {state.key_of(config) for config in declared}
    staying = [container for container in observed.containers if not _is_ours_among(container, keys, owner)]
    images = {image.reference: ownership_of(image.labels) for image in observed.images}
    for user in staying:
        keys.difference_update(state.used_by(user.config))
        if (ownership := images.get(user.config.image)) is not None:
            keys.discard(ownership.key)
    return frozenset(keys)


def owned(observed: state.ObservedState, owner: str) -> frozenset[ObjectKey]:
    """Return the objects of an owner that are there."""
    ownerships = (ownership_of(item.labels) for item in observed.objects.all())
    return frozenset(ownership.key for ownership in ownerships if ownership is not None and ownership.owner == owner)


def without(desired: state.DesiredState, keys: frozenset[ObjectKey]) -> state.DesiredState:
    """Give a state that no longer declares some objects."""
    remaining = [config for config in desired if state.key_of(config) not in keys]
    follows = tuple(follow for follow in desired.follows if ObjectKey(Kind.IMAGE, follow.name) not in keys)
    return dataclasses.replace(desired, objects=kinds.ByKind.of(remaining), follows=follows)


def _is_ours_among(observed: container.ObservedContainer, keys: set[ObjectKey], owner: str) -> bool:
    ownership = ownership_of(observed.labels)
    return ownership is not None and ownership.owner == owner and ownership.key in keys


def _by_key(desired: state.DesiredState) -> Iterator[tuple[ObjectKey, kinds.Config]]:
    return ((state.key_of(config), config) for config in desired)
