"""What a pass is to bring about: a desired state, how far it reaches, and what may be removed. Pure."""

import dataclasses
from collections.abc import Mapping
from typing import Self, TypeVar

from agent.kit import canonical
from agent.model import container, image, network, state, volume
from agent.model.key import Kind, ObjectKey, Pairs, ownership_of

Labelled = TypeVar(
    "Labelled", container.ObservedContainer, image.ObservedImage, network.ObservedNetwork, volume.ObservedVolume
)


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """A desired state and its reach."""

    desired: state.DesiredState
    prune: bool
    """What is ours and not declared is removed."""
    reach: frozenset[ObjectKey] | None
    """The only objects that may be touched; ``None``: all of ours."""
    hashes: Mapping[ObjectKey, str]
    """The config hash of each declared object."""

    @classmethod
    def everything(cls, desired: state.DesiredState) -> Self:
        """Bring about a whole state. One that declares nothing removes nothing: a lost mount looks just like it."""
        hashes = {state.key_of(config): canonical.digest(config) for config in desired}
        return cls(desired, bool(hashes), None, hashes)

    @classmethod
    def removal(cls, keys: frozenset[ObjectKey]) -> Self:
        """Remove some objects, and touch nothing else."""
        return cls(state.DesiredState("deleted"), prune=True, reach=keys, hashes={})

    def covers(self, key: ObjectKey) -> bool:
        """Tell whether an object is within reach."""
        return self.reach is None or key in self.reach

    def seen(self, observed: state.ObservedState, owner: str) -> state.ObservedState:
        """Give the observation as a pass may see it: whatever is not the owner's or out of reach looks foreign."""

        def disguised(found: tuple[Labelled, ...]) -> tuple[Labelled, ...]:
            if all(self._is_within(one.labels, owner) for one in found):
                return found
            return tuple(
                one if self._is_within(one.labels, owner) else dataclasses.replace(one, labels=()) for one in found
            )

        return dataclasses.replace(
            observed,
            containers=disguised(observed.containers),
            images=disguised(observed.images),
            networks=disguised(observed.networks),
            volumes=disguised(observed.volumes),
        )

    def _is_within(self, labels: Pairs, owner: str) -> bool:
        ownership = ownership_of(labels)
        return ownership is not None and ownership.owner == owner and self.covers(ownership.key)


def removable(declared: state.DesiredState, observed: state.ObservedState, owner: str) -> frozenset[ObjectKey]:
    """Select what ``delete`` removes: everything declared, but for what containers that stay still stand on."""
    keys = {state.key_of(config) for config in declared}
    staying = [one for one in observed.containers if not _is_ours_among(one, keys, owner)]
    images = {one.reference: ownership_of(one.labels) for one in observed.images}
    for one in staying:
        keys.difference_update(state.used_by(one.config))
        if (ownership := images.get(one.config.image)) is not None:
            keys.discard(ownership.key)
    return frozenset(keys)


def without(desired: state.DesiredState, keys: frozenset[ObjectKey]) -> state.DesiredState:
    """Give a state that no longer declares some objects."""
    return dataclasses.replace(
        desired,
        containers=tuple(one for one in desired.containers if state.key_of(one) not in keys),
        images=tuple(one for one in desired.images if state.key_of(one) not in keys),
        networks=tuple(one for one in desired.networks if state.key_of(one) not in keys),
        volumes=tuple(one for one in desired.volumes if state.key_of(one) not in keys),
        follows=tuple(one for one in desired.follows if ObjectKey(Kind.IMAGE, one.name) not in keys),
    )


def _is_ours_among(one: container.ObservedContainer, keys: set[ObjectKey], owner: str) -> bool:
    ownership = ownership_of(one.labels)
    return ownership is not None and ownership.owner == owner and ownership.key in keys
