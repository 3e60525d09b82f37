"""The two states that a plan is made from. Frozen and sorted, so that equal states are equal values."""

import dataclasses
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Self, cast

from agent.kit import canonical, frozen
from agent.model import container, image, kinds, network, secret, suspension, volume
from agent.model import health as probes
from agent.model import ledger as memory
from agent.model.key import Kind, ObjectKey
from agent.model.kinds import ByKind, Config, Observed


def key_of(config: Config) -> ObjectKey:
    """Name the instance that a config describes."""
    ordinal = config.ordinal if isinstance(config, container.ContainerConfig) else 0
    return ObjectKey(kinds.kind_of(config), config.name, ordinal)


def used_by(config: container.ContainerConfig) -> Iterator[ObjectKey]:
    """Name the networks and volumes that a container uses, in its order; which image it is made of is not told here."""
    for attachment in config.networks:
        yield ObjectKey(Kind.NETWORK, attachment.network)
    for mount in config.mounts:
        if isinstance(mount, container.VolumeMount):
            yield ObjectKey(Kind.VOLUME, mount.volume)


_FIRST_KINDS = frozenset({Kind.CONTAINER, Kind.IMAGE, Kind.NETWORK, Kind.VOLUME})
"""Written down even where there are none: the first format has them. Later ones are left out then."""


def _stored_form(name: str, of: str, *others: tuple[str, Any, Any]) -> type:
    """Return the dataclass by whose fields a state is written down: those of each kind by its plural, and others."""
    absence = canonical.absent(())
    collections = [
        (
            traits.plural,
            types.GenericAlias(tuple, (getattr(traits, of), ...)),
            dataclasses.field(default=(), metadata=None if traits.kind in _FIRST_KINDS else absence),
        )
        for traits in kinds.KINDS.values()
    ]
    return dataclasses.make_dataclass(name, [*others, *collections], frozen=True, kw_only=True)


@frozen.value
class DesiredState:
    """All that a revision of the source declares for this host."""

    revision: str
    objects: ByKind[Config] = dataclasses.field(default_factory=ByKind)
    """Each kind's sorted by name."""
    follows: tuple[image.UpdatePolicy, ...] = ()
    """Of images that do not just have to be there."""
    logins: tuple[secret.Login, ...] = ()
    """What pulls show to registries."""
    secrets: tuple[secret.SecretValue, ...] = ()
    """The values that containers refer to, sorted; never written down, so that none are known from the journal."""

    WRITTEN_AS: ClassVar = _stored_form(
        "DesiredState",
        "config",
        ("revision", str, dataclasses.field()),
        ("follows", tuple[image.UpdatePolicy, ...], dataclasses.field(default=())),
        ("logins", tuple[secret.Login, ...], dataclasses.field(default=())),
    )

    @classmethod
    def of(
        cls,
        revision: str,
        configs: Iterable[Config] = (),
        follows: tuple[image.UpdatePolicy, ...] = (),
        logins: tuple[secret.Login, ...] = (),
        secrets: tuple[secret.SecretValue, ...] = (),
    ) -> Self:
        """Return the state that declares these configs, in whatever order they come."""
        return cls(revision, ByKind.of(configs), follows, logins, secrets)

    def without_secrets(self) -> Self:
        """Return the state as it is written down: without the values that containers refer to."""
        return dataclasses.replace(self, secrets=()) if self.secrets else self

    @property
    def containers(self) -> tuple[container.ContainerConfig, ...]:
        """The containers."""
        return cast("tuple[container.ContainerConfig, ...]", self.objects[Kind.CONTAINER])

    @property
    def images(self) -> tuple[image.ImageConfig, ...]:
        """The images."""
        return cast("tuple[image.ImageConfig, ...]", self.objects[Kind.IMAGE])

    @property
    def networks(self) -> tuple[network.NetworkConfig, ...]:
        """The networks."""
        return cast("tuple[network.NetworkConfig, ...]", self.objects[Kind.NETWORK])

    @property
    def volumes(self) -> tuple[volume.VolumeConfig, ...]:
        """The volumes."""
        return cast("tuple[volume.VolumeConfig, ...]", self.objects[Kind.VOLUME])

    @property
    def is_known(self) -> bool:
        """Tell whether anything was read, be it empty: every revision that was read has a name."""
        return bool(self.revision)

    def __iter__(self) -> Iterator[Config]:
        """Go over every declared object, what is depended on first."""
        return self.objects.all()

    def with_objects(self, changes: Mapping[Kind, tuple[Config, ...]]) -> Self:
        """Return a state that declares other objects of some kinds."""
        return dataclasses.replace(self, objects=self.objects.replaced(changes))

    def stored(self) -> object:
        """Return the ``WRITTEN_AS`` of this state."""
        fields = _by_plural(self.objects)
        return self.WRITTEN_AS(revision=self.revision, follows=self.follows, logins=self.logins, **fields)

    @classmethod
    def read(cls, stored: Any) -> Self:  # noqa: ANN401 - a WRITTEN_AS
        """Return the state that was written down."""
        return cls(stored.revision, _by_kind(stored), stored.follows, stored.logins)


@frozen.value
class ObservedState:
    """One consistent reading of the runtime, the probes and the agent's own memory; each tuple sorted."""

    observed_at: float
    objects: ByKind[Observed] = dataclasses.field(default_factory=ByKind)
    """What the runtime has, ours and others', each kind's sorted by what tells them apart."""
    health: tuple[probes.ObservedHealth, ...] = ()
    ledger: tuple[memory.LedgerEntry, ...] = ()
    suspensions: suspension.Suspensions = suspension.NONE

    WRITTEN_AS: ClassVar = _stored_form(
        "ObservedState",
        "observed",
        ("observed_at", float, dataclasses.field()),
        ("health", tuple[probes.ObservedHealth, ...], dataclasses.field(default=())),
        ("ledger", tuple[memory.LedgerEntry, ...], dataclasses.field(default=())),
        (
            "suspensions",
            suspension.Suspensions,
            dataclasses.field(default=suspension.NONE, metadata=canonical.absent(suspension.NONE)),
        ),
    )

    @classmethod
    def of(
        cls,
        observed_at: float,
        objects: Iterable[Observed] = (),
        health: tuple[probes.ObservedHealth, ...] = (),
        ledger: tuple[memory.LedgerEntry, ...] = (),
        suspensions: suspension.Suspensions = suspension.NONE,
    ) -> Self:
        """Return the state in which these objects were observed, in whatever order they come."""
        return cls(observed_at, ByKind.of(objects), health, ledger, suspensions)

    @property
    def containers(self) -> tuple[container.ObservedContainer, ...]:
        """The containers."""
        return cast("tuple[container.ObservedContainer, ...]", self.objects[Kind.CONTAINER])

    @property
    def images(self) -> tuple[image.ObservedImage, ...]:
        """The images; one with two references is there twice."""
        return cast("tuple[image.ObservedImage, ...]", self.objects[Kind.IMAGE])

    @property
    def networks(self) -> tuple[network.ObservedNetwork, ...]:
        """The networks."""
        return cast("tuple[network.ObservedNetwork, ...]", self.objects[Kind.NETWORK])

    @property
    def volumes(self) -> tuple[volume.ObservedVolume, ...]:
        """The volumes."""
        return cast("tuple[volume.ObservedVolume, ...]", self.objects[Kind.VOLUME])

    def with_objects(self, changes: Mapping[Kind, tuple[Observed, ...]]) -> Self:
        """Return a state with other objects of some kinds."""
        return dataclasses.replace(self, objects=self.objects.replaced(changes))

    def stored(self) -> object:
        """Return the ``WRITTEN_AS`` of this state."""
        return self.WRITTEN_AS(
            observed_at=self.observed_at,
            health=self.health,
            ledger=self.ledger,
            suspensions=self.suspensions,
            **_by_plural(self.objects),
        )

    @classmethod
    def read(cls, stored: Any) -> Self:  # noqa: ANN401 - a WRITTEN_AS
        """Return the state that was written down."""
        return cls(stored.observed_at, _by_kind(stored), stored.health, stored.ledger, stored.suspensions)


def _by_plural(objects: ByKind[Any]) -> dict[str, tuple[Any, ...]]:
    return {kinds.KINDS[kind].plural: items for kind, items in objects.items()}


def _by_kind(stored: Any) -> ByKind[Any]:  # noqa: ANN401 - a WRITTEN_AS
    return ByKind({kind: getattr(stored, traits.plural) for kind, traits in kinds.KINDS.items()})
