"""The table of kinds: what the agent knows of each kind of object, whichever room asks. States are mappings by kind.

Whoever adds a kind adds its row here; ``ops/docs/add-a-kind.md`` tells the rest. Kinds of which nothing is made in a
runtime (``Secret``) have no row: they are part of what is desired, and are not observed.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, Self, TypeVar

from agent.kit import frozen
from agent.model import container, image, network, volume
from agent.model.key import Kind

Config = container.ContainerConfig | image.ImageConfig | network.NetworkConfig | volume.VolumeConfig
Observed = container.ObservedContainer | image.ObservedImage | network.ObservedNetwork | volume.ObservedVolume
Item = TypeVar("Item", Config, Observed)


@frozen.value
class KindTraits:
    """What a kind of object is."""

    kind: Kind
    plural: str
    """What several are called: in states that are written down, and in ``/v1``."""
    config: type[Config]
    """What is desired of one. Its ``name`` is the object's."""
    observed: type[Observed]
    """What a runtime says of one."""
    identity: str
    """The attribute of an observed one that tells it from the others."""


KINDS: Mapping[Kind, KindTraits] = {
    traits.kind: traits
    for traits in (
        KindTraits(Kind.IMAGE, "images", image.ImageConfig, image.ObservedImage, "reference"),
        KindTraits(Kind.NETWORK, "networks", network.NetworkConfig, network.ObservedNetwork, "name"),
        KindTraits(Kind.VOLUME, "volumes", volume.VolumeConfig, volume.ObservedVolume, "name"),
        KindTraits(Kind.CONTAINER, "containers", container.ContainerConfig, container.ObservedContainer, "name"),
    )
}
"""By kind, in the order in which they are brought about: what is depended on first."""

_BY_TYPE: Mapping[type, Kind] = {
    of_kind: traits.kind for traits in KINDS.values() for of_kind in (traits.config, traits.observed)
}


def kind_of(item: Config | Observed) -> Kind:
    """Return the kind of a config or of an observed object."""
    return _BY_TYPE[type(item)]


class ByKind(Mapping[Kind, tuple[Item, ...]], Generic[Item]):
    """Objects by kind: total (a kind without objects has an empty tuple), in the order of ``KINDS``, and never changed.

    Equal where the objects of every kind are equal.
    """

    __slots__ = ("_objects",)

    def __init__(self, objects: Mapping[Kind, tuple[Item, ...]] | None = None) -> None:
        """Take the objects of each kind; kinds that are left out have none."""
        self._objects: dict[Kind, tuple[Item, ...]] = {kind: tuple((objects or {}).get(kind, ())) for kind in KINDS}

    @classmethod
    def of(cls, items: Iterable[Item]) -> Self:
        """Sort objects into their kinds, and each kind's by what tells them apart."""
        objects: dict[Kind, list[Item]] = {kind: [] for kind in KINDS}
        for item in items:
            objects[kind_of(item)].append(item)
        return cls({kind: tuple(sorted(group, key=_identity)) for kind, group in objects.items()})

    def __getitem__(self, kind: Kind) -> tuple[Item, ...]:
        return self._objects[kind]

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._objects)

    def __len__(self) -> int:
        return len(self._objects)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByKind) and self._objects == other._objects

    def __hash__(self) -> int:
        return hash(tuple(self._objects.values()))

    def __repr__(self) -> str:
        """Return the kinds that have objects, with them."""
        return repr({kind.value: items for kind, items in self._objects.items() if items})

    def all(self) -> Iterator[Item]:
        """Yield every object, kind by kind."""
        for items in self._objects.values():
            yield from items

    def replaced(self, changes: Mapping[Kind, tuple[Item, ...]]) -> "ByKind[Item]":
        """Return these with other objects of some kinds."""
        return ByKind({**self._objects, **changes})


def _identity(item: Any) -> str:  # noqa: ANN401 - a config or an observed object
    traits = KINDS[kind_of(item)]
    return str(getattr(item, "name" if type(item) is traits.config else traits.identity))
