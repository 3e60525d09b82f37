"""How an object is: by what was observed, planned, is being done and has failed. Pure.

The first that applies counts: an action under way, a failure, something to wait for, and only then what it looks like.
"""

import dataclasses
from collections.abc import Iterator, Mapping

from agent.converge import wish as wishes
from agent.model import container, health, state
from agent.model.conditions import ConditionStatus
from agent.model.key import Kind, ObjectKey, ownership_of
from agent.plan import actions, plan, updates

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
IN_PROGRESS = "InProgress"
"""The reason of holds on objects that are being worked on."""
BACK_OFF = "BackOff"
"""The reason of a container that is started again later."""
STEADY = 1.0
"""Seconds that a run without probes to speak for it has to last before it counts as up where there is doubt."""
_WORDS: dict[type[actions.Action], str] = {
    actions.EnsureImage: "fetching",
    actions.RemoveImage: "removing",
    actions.CreateNetwork: "creating",
    actions.RemoveNetwork: "removing",
    actions.CreateVolume: "creating",
    actions.RemoveVolume: "removing",
    actions.CreateContainer: "creating",
    actions.StartContainer: "starting",
    actions.StopContainer: "stopping",
    actions.RemoveContainer: "removing",
    actions.RenameContainer: "renaming",
    actions.UpdateContainer: "updating",
    actions.ConnectContainer: "connecting",
    actions.DisconnectContainer: "disconnecting",
}
_HARMLESS = (actions.UpdateContainer, actions.ConnectContainer, actions.DisconnectContainer)
"""What a container goes on running through."""
_LASTING = frozenset({"Foreign", "Stopped", updates.NEVER_PULLED})
"""Reasons that no amount of waiting changes."""
_PLAIN = frozenset({BACK_OFF, "Stopped"})
"""Reasons that are plain from how the container looks."""


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """How one object is."""

    ready: ConditionStatus
    reconciling: ConditionStatus
    stalled: ConditionStatus
    reason: str
    message: str
    detail: str
    until: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """All that a verdict is made from."""

    wish: wishes.Wish
    observed: state.ObservedState
    plan: plan.Plan
    current: Mapping[ObjectKey, actions.Action]
    """What is being done to busy objects."""
    failing: Mapping[ObjectKey, bool]
    """Objects whose last action failed, and whether they are stalled."""


class Judge:
    """Looks at one object after the other."""

    def __init__(self, facts: Facts) -> None:
        """Index what was observed."""
        self._facts = facts
        self._now = facts.observed.observed_at
        self._blocked = {one.key: one for one in facts.plan.blocked}
        self._health = {one.container_id: one for one in facts.observed.health}
        self._streaks = {one.key: one.streak for one in facts.observed.ledger}
        self._declared = {one.name: one for one in facts.wish.desired.containers}
        self._containers: dict[str, container.ObservedContainer] = {}
        for one in facts.observed.containers:
            ownership = ownership_of(one.labels)
            if ownership is not None and (one.name == ownership.key.name or ownership.key.name not in self._containers):
                self._containers[ownership.key.name] = one

    def verdict(self, key: ObjectKey, bucket: plan.Bucket) -> Verdict:
        """Say how an object is."""
        if (action := self._facts.current.get(key)) is not None:
            return self._busy(key, action)
        if (blocked := self._blocked.get(key)) is not None:
            return self._waiting(blocked)
        if bucket is plan.Bucket.ORPHANED:
            return self._kept(key)
        if key.kind is Kind.CONTAINER and key.name in self._containers:
            return self._container(self._containers[key.name])
        return Verdict(TRUE, FALSE, FALSE, "Available", "as declared", "available")

    def _busy(self, key: ObjectKey, action: actions.Action) -> Verdict:
        word = _WORDS[type(action)]
        found = self._containers.get(key.name) if key.kind is Kind.CONTAINER else None
        lasts = found is not None and isinstance(action, _HARMLESS)
        ready = self._container(found).ready if found is not None and lasts else FALSE
        stalled = TRUE if self._facts.failing.get(key) else FALSE
        return Verdict(ready, TRUE, stalled, action.cause.reason.value, f"{word}: {action.cause.message}", word)

    def _waiting(self, blocked: plan.Blocked) -> Verdict:
        found = self._containers.get(blocked.key.name) if blocked.key.kind is Kind.CONTAINER else None
        stopped_by_people = blocked.reason == "Stopped" and found is not None and found.stop_requested
        hopeless = (blocked.reason in _LASTING and not stopped_by_people) or self._facts.failing.get(blocked.key, False)
        stalled = TRUE if hopeless else FALSE
        reconciling = FALSE if hopeless or stopped_by_people else TRUE
        detail = ", ".join(filter(None, (_looks(found), "" if blocked.reason in _PLAIN else blocked.reason)))
        return Verdict(FALSE, reconciling, stalled, blocked.reason, blocked.message, detail, blocked.until)

    def _kept(self, key: ObjectKey) -> Verdict:
        if key.kind is Kind.VOLUME and self._facts.wish.prune:
            message = "no longer declared; its data stays (deletionPolicy: Retain)"
            return Verdict(UNKNOWN, FALSE, FALSE, "Retained", message, "retained")
        return Verdict(UNKNOWN, FALSE, FALSE, "SourceEmpty", "the source declares nothing: it stays as it is", "kept")

    def _container(self, found: container.ObservedContainer) -> Verdict:
        if found.state is container.ContainerState.RUNNING:
            return self._running(found)
        if found.state is container.ContainerState.EXITED and found.exit_code == 0:
            return Verdict(TRUE, FALSE, FALSE, "Completed", "ran to its end", "completed")
        return Verdict(FALSE, FALSE, FALSE, "NotRunning", _looks(found), _looks(found))

    def steady_moments(self) -> Iterator[float]:
        """Give the moments at which runs that follow a failure will have lasted long enough."""
        for found in self._containers.values():
            moment = self.steady_at(found)
            if moment is not None:
                yield moment

    def steady_at(self, found: container.ObservedContainer) -> float | None:
        """Give when a run that follows a failure counts as up; ``None`` where it does, or where its probes decide."""
        running = found.state is container.ContainerState.RUNNING and found.started_at is not None
        probed = is_vouched_for(self._declared.get(found.name, found.config).health)
        if not running or probed or not self._streak(found) or not is_young(found, self._now):
            return None
        return (found.started_at or 0.0) + STEADY

    def _streak(self, found: container.ObservedContainer) -> int:
        return self._streaks.get(ObjectKey(Kind.CONTAINER, found.name), 0)

    def _running(self, found: container.ObservedContainer) -> Verdict:
        declared = self._declared.get(found.name, found.config).health
        if self.steady_at(found) is not None:
            message = f"runs again after failure {self._streak(found)} in a row, for less than {STEADY:g} s so far"
            return Verdict(FALSE, TRUE, FALSE, "Restarted", message, "running, restarted")
        if declared.startup is None and declared.readiness is None and declared.liveness is None:
            return Verdict(TRUE, FALSE, FALSE, "Running", "running", "running")
        seen = self._health.get(found.id)
        said = seen.message if seen is not None else ""
        match seen.health if seen is not None else health.Health.STARTING:
            case health.Health.UNHEALTHY:
                return Verdict(FALSE, TRUE, FALSE, "Unhealthy", said, "running, unhealthy")
            case health.Health.STARTING:
                message = said or "its probes have not succeeded yet"
                return Verdict(FALSE, TRUE, FALSE, "Starting", message, "running, starting")
            case health.Health.UNREADY:
                return Verdict(FALSE, FALSE, FALSE, "Unready", said, "running, not ready")
            case health.Health.HEALTHY:
                return Verdict(TRUE, FALSE, FALSE, "Healthy", "running, and its probes succeed", "running, healthy")


def changes_at(facts: Facts) -> float | None:
    """Tell when what is said of an object changes by itself, with nothing having happened."""
    judge = Judge(facts)
    return min(judge.steady_moments(), default=None)


def is_young(found: container.ObservedContainer, now: float) -> bool:
    """Tell whether a run began just now. One whose clock is far from ours cannot be judged, and is not."""
    return found.started_at is not None and abs(now - found.started_at) < STEADY


def is_vouched_for(config: health.HealthConfig) -> bool:
    """Tell whether probes say when a container is up; a liveness probe alone only says when it no longer is."""
    return config.startup is not None or config.readiness is not None


def _looks(found: container.ObservedContainer | None) -> str:
    if found is None:
        return ""
    if found.state is container.ContainerState.EXITED:
        killed = ", killed for want of memory" if found.oom_killed else ""
        return f"exited ({'?' if found.exit_code is None else found.exit_code}{killed})"
    return found.state.value
