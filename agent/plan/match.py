"""Which observed object is which declared one. Ours are known by their labels, everything else is foreign."""

import dataclasses
import functools

from agent.kit import canonical
from agent.model import container, health, image, kinds, ledger, network, state, volume
from agent.model import policy as policies
from agent.model.key import Kind, ObjectKey, Pairs, ownership_of
from agent.reasons import Reason


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
        """Ours, by the instance's name: one has a second only while it is replaced, its successor."""
        by_name: dict[str, list[container.ObservedContainer]] = {}
        for observed in self.observed.containers:
            key = self.key_of(observed.labels)
            if key is not None and key.kind is Kind.CONTAINER:
                by_name.setdefault(key.name, []).append(observed)
        return by_name

    @functools.cached_property
    def foreign_names(self) -> frozenset[str]:
        """Names that containers of others have taken."""
        return frozenset(
            container.name for container in self.observed.containers if self.key_of(container.labels) is None
        )

    @functools.cached_property
    def networks(self) -> dict[str, network.ObservedNetwork]:
        """All networks by name."""
        return {network.name: network for network in self.observed.networks}

    @functools.cached_property
    def volumes(self) -> dict[str, volume.ObservedVolume]:
        """All volumes by name."""
        return {volume.name: volume for volume in self.observed.volumes}

    @functools.cached_property
    def images(self) -> dict[str, image.ObservedImage]:
        """All images by reference."""
        return {image.reference: image for image in self.observed.images}

    @functools.cached_property
    def image_keys(self) -> dict[str, ObjectKey]:
        """The declared Image of each reference."""
        return {image.reference: ObjectKey(Kind.IMAGE, image.name) for image in self.desired.images}

    @functools.cached_property
    def follows(self) -> dict[str, image.UpdatePolicy]:
        """How images go with their registries, by the Image's name."""
        return {follow.name: follow for follow in self.desired.follows}

    @functools.cached_property
    def declared(self) -> dict[str, container.ContainerConfig]:
        """Declared instances of containers by name."""
        return {container.name: container for container in self.desired.containers}

    @functools.cached_property
    def secrets(self) -> frozenset[tuple[str, str, str]]:
        """Which values of Secrets are known: (Secret, key, fingerprint)."""
        return frozenset((value.secret, value.key, value.fingerprint) for value in self.desired.secrets)

    @functools.cached_property
    def health(self) -> dict[str, health.ObservedHealth]:
        """What the probes say, by container id."""
        return {probed.container_id: probed for probed in self.observed.health}

    @functools.cached_property
    def memory(self) -> dict[ObjectKey, ledger.LedgerEntry]:
        """The ledger."""
        return {entry.key: entry for entry in self.observed.ledger}

    @functools.cached_property
    def holds(self) -> dict[ObjectKey, list[policies.Hold]]:
        """The holds of each object."""
        by_key: dict[ObjectKey, list[policies.Hold]] = {}
        for hold in self.policy.holds:
            by_key.setdefault(hold.key, []).append(hold)
        return by_key

    @functools.cached_property
    def suspended(self) -> frozenset[ObjectKey]:
        """Objects that are suspended by themselves, and not with the source alone."""
        return frozenset(suspension.key for suspension in self.observed.suspensions.objects)

    def key_of(self, labels: Pairs) -> ObjectKey | None:
        """Give the declared object that a runtime object says it is; ``None`` where it is not ours."""
        ownership = ownership_of(labels)
        return ownership.key if ownership is not None and ownership.owner == self.policy.owner else None

    def hold_on(self, key: ObjectKey, config: kinds.Config | None) -> policies.Hold | None:
        """Give the hold that keeps this plan from an object, if any."""
        for hold in self.holds.get(key, ()):
            running = hold.until is None or hold.until > self.now
            same = hold.config_hash is None or canonical.digest(config) == hold.config_hash
            if running and same:
                return hold
        if self.policy.focus is not None and key not in self.policy.focus:
            return policies.Hold(key, Reason.OUT_OF_FOCUS, "it is left as it is")
        return self._suspension_of(key)

    def _suspension_of(self, key: ObjectKey) -> policies.Hold | None:
        """Return the hold of an object that is suspended. What is under way is held for that, and ends first."""
        source_is_suspended = self.observed.suspensions.source is not None
        if not source_is_suspended and not {key, key.object} & self.suspended:
            return None
        command = "trimtab resume --all" if source_is_suspended else f"trimtab resume {key}"
        message = f"it is suspended: it is neither changed nor removed until {command}"
        return policies.Hold(key, Reason.SUSPENDED, message)

    def applied_before(self, config: kinds.Config) -> bool:
        """Tell whether exactly this config was brought about before: then what differs is drift."""
        entry = self.memory.get(state.key_of(config))
        return entry is not None and entry.applied_hash == canonical.digest(config)
