"""Which observed object is which declared one. Ours are known by their labels, everything else is foreign."""

import dataclasses
import functools

from agent.kit import canonical
from agent.model import container, health, image, ledger, network, state, volume
from agent.model import policy as policies
from agent.model.key import Kind, ObjectKey, Pairs, ownership_of


@dataclasses.dataclass(frozen=True)
class World:
    """Both states and the policy, indexed. Computed once a plan."""

    desired: state.DesiredState
    observed: state.ObservedState
    policy: policies.PlanPolicy

    @property
    def now(self) -> float:
        """The plan's time."""
        return self.observed.observed_at

    @functools.cached_property
    def owned_containers(self) -> dict[str, list[container.ObservedContainer]]:
        """Ours, by declared name: one has several only while it is replaced."""
        found: dict[str, list[container.ObservedContainer]] = {}
        for one in self.observed.containers:
            key = self.key_of(one.labels)
            if key is not None and key.kind is Kind.CONTAINER:
                found.setdefault(key.name, []).append(one)
        return found

    @functools.cached_property
    def foreign_names(self) -> frozenset[str]:
        """Names that containers of others have taken."""
        return frozenset(one.name for one in self.observed.containers if self.key_of(one.labels) is None)

    @functools.cached_property
    def networks(self) -> dict[str, network.ObservedNetwork]:
        """All networks by name."""
        return {one.name: one for one in self.observed.networks}

    @functools.cached_property
    def volumes(self) -> dict[str, volume.ObservedVolume]:
        """All volumes by name."""
        return {one.name: one for one in self.observed.volumes}

    @functools.cached_property
    def images(self) -> dict[str, image.ObservedImage]:
        """All images by reference."""
        return {one.reference: one for one in self.observed.images}

    @functools.cached_property
    def image_keys(self) -> dict[str, ObjectKey]:
        """The declared Image of each reference."""
        return {one.reference: ObjectKey(Kind.IMAGE, one.name) for one in self.desired.images}

    @functools.cached_property
    def follows(self) -> dict[str, image.Follow]:
        """How images go with their registries, by the Image's name."""
        return {one.name: one for one in self.desired.follows}

    @functools.cached_property
    def declared(self) -> dict[str, container.ContainerConfig]:
        """Declared containers by name."""
        return {one.name: one for one in self.desired.containers}

    @functools.cached_property
    def health(self) -> dict[str, health.ObservedHealth]:
        """What the probes say, by container id."""
        return {one.container_id: one for one in self.observed.health}

    @functools.cached_property
    def memory(self) -> dict[ObjectKey, ledger.LedgerEntry]:
        """The ledger."""
        return {one.key: one for one in self.observed.ledger}

    @functools.cached_property
    def holds(self) -> dict[ObjectKey, list[policies.Hold]]:
        """The holds of each object."""
        found: dict[ObjectKey, list[policies.Hold]] = {}
        for one in self.policy.holds:
            found.setdefault(one.key, []).append(one)
        return found

    def key_of(self, labels: Pairs) -> ObjectKey | None:
        """Give the declared object that a runtime object says it is; ``None`` where it is not ours."""
        ownership = ownership_of(labels)
        return ownership.key if ownership is not None and ownership.owner == self.policy.owner else None

    def hold_on(self, key: ObjectKey, config: state.Config | None) -> policies.Hold | None:
        """Give the hold that keeps this plan from an object, if any."""
        for hold in self.holds.get(key, ()):
            running = hold.until is None or hold.until > self.now
            same = hold.config_hash is None or (config is not None and canonical.digest(config) == hold.config_hash)
            if running and same:
                return hold
        return None

    def applied_before(self, config: state.Config) -> bool:
        """Tell whether exactly this config was brought about before: then what differs is drift."""
        entry = self.memory.get(state.key_of(config))
        return entry is not None and bool(entry.applied_hash) and entry.applied_hash == canonical.digest(config)
