"""How an object is: by what was observed, planned, is being done and has failed. Pure.

The first that applies counts: an action under way, a failure, something to wait for, and only then what it looks like.
"""

import dataclasses
from collections.abc import Iterator, Mapping

from agent.converge import goal as goals
from agent.kit import frozen
from agent.model import container, health, state
from agent.model.conditions import ConditionStatus, ConditionType
from agent.model.key import Kind, ObjectKey, ownership_of
from agent.plan import actions, plan
from agent.reasons import Reason

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
STEADY = 1.0
"""Seconds that a run without probes to speak for it has to last before it counts as up where there is doubt."""
_LASTING = frozenset({Reason.FOREIGN, Reason.STOPPED, Reason.DECLARATION_UNREADABLE, Reason.IMAGE_NEVER_PULLED})
"""Reasons that no amount of waiting changes."""
_PLAIN = frozenset({Reason.BACK_OFF, Reason.STOPPED})
"""Reasons that are plain from how the container looks."""


@frozen.value
class Verdict:
    """How one object is."""

    ready: ConditionStatus
    reconciling: ConditionStatus
    stalled: ConditionStatus
    reason: Reason
    message: str
    detail: str
    until: float | None = None

    def answers(self) -> tuple[tuple[ConditionType, ConditionStatus], ...]:
        """Return each condition's type with its status."""
        return (
            (ConditionType.READY, self.ready),
            (ConditionType.RECONCILING, self.reconciling),
            (ConditionType.STALLED, self.stalled),
        )


@frozen.value
class Facts:
    """All that a verdict is made from."""

    goal: goals.Goal
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
        self._blocked = {wait.key: wait for wait in facts.plan.blocked}
        self._suspended = facts.observed.suspensions.moments(key for key, _ in facts.plan.buckets)
        self._health = {probed.container_id: probed for probed in facts.observed.health}
        self._streaks = {entry.key: entry.streak for entry in facts.observed.ledger}
        self._declared = {container.name: container for container in facts.goal.desired.containers}
        self._containers: dict[str, container.ObservedContainer] = {}
        for observed in facts.observed.containers:  # sorted: the one with the name itself before any successor
            ownership = ownership_of(observed.labels)
            if ownership is not None:
                self._containers.setdefault(ownership.key.name, observed)

    def verdict(self, key: ObjectKey, bucket: plan.Bucket) -> Verdict:
        """Say how an object is."""
        verdict = self._verdict(key, bucket)
        if verdict.reason is Reason.SUSPENDED or key not in self._suspended:
            return verdict
        return dataclasses.replace(verdict, detail=f"{verdict.detail}, suspended")

    def _verdict(self, key: ObjectKey, bucket: plan.Bucket) -> Verdict:
        if (action := self._facts.current.get(key)) is not None:
            return self._busy(key, action)
        if (blocked := self._blocked.get(key)) is not None:
            return self._waiting(blocked)
        if bucket is plan.Bucket.ORPHANED:
            return self._kept(key)
        if key.kind is Kind.CONTAINER and key.name in self._containers:
            return self._container(self._containers[key.name])
        return Verdict(TRUE, FALSE, FALSE, Reason.AVAILABLE, "as declared", "available")

    def _busy(self, key: ObjectKey, action: actions.Action) -> Verdict:
        word = actions.doing(action)
        observed = self._containers.get(key.name) if key.kind is Kind.CONTAINER else None
        lasts = action.TRAITS.keeps_running
        ready = self._container(observed).ready if observed is not None and lasts else FALSE
        stalled = TRUE if self._facts.failing.get(key) else FALSE
        return Verdict(ready, TRUE, stalled, action.cause.reason, f"{word}: {action.cause.message}", word)

    def _waiting(self, blocked: plan.Blocked) -> Verdict:
        observed = self._containers.get(blocked.key.name) if blocked.key.kind is Kind.CONTAINER else None
        if blocked.reason is Reason.SUSPENDED:
            detail = ", ".join(filter(None, (_looks(observed), "suspended")))
            return Verdict(FALSE, FALSE, FALSE, blocked.reason, blocked.message, detail)
        stopped_by_people = blocked.reason is Reason.STOPPED and observed is not None and observed.stop_requested
        hopeless = (blocked.reason in _LASTING and not stopped_by_people) or self._facts.failing.get(blocked.key, False)
        stalled = TRUE if hopeless else FALSE
        reconciling = FALSE if hopeless or stopped_by_people else TRUE
        detail = ", ".join(filter(None, (_looks(observed), "" if blocked.reason in _PLAIN else blocked.reason)))
        return Verdict(FALSE, reconciling, stalled, blocked.reason, blocked.message, detail, blocked.until)

    def _kept(self, key: ObjectKey) -> Verdict:
        if key.kind is Kind.VOLUME and self._facts.goal.prune:
            message = "no longer declared; its data stays (deletionPolicy: Retain)"
            return Verdict(UNKNOWN, FALSE, FALSE, Reason.RETAINED, message, "retained")
        if not self._facts.goal.desired.is_known:
            observed = self._containers.get(key.name) if key.kind is Kind.CONTAINER else None
            message = "what the source declares is not known until an agent has read it: it stays as it is"
            return Verdict(UNKNOWN, FALSE, FALSE, Reason.DECLARATION_UNKNOWN, message, _looks(observed) or "kept")
        return Verdict(
            UNKNOWN, FALSE, FALSE, Reason.SOURCE_EMPTY, "the source declares nothing: it stays as it is", "kept"
        )

    def _container(self, observed: container.ObservedContainer) -> Verdict:
        if observed.state is container.ContainerState.RUNNING:
            return self._running(observed)
        if observed.state is container.ContainerState.EXITED and observed.exit_code == 0:
            return Verdict(TRUE, FALSE, FALSE, Reason.COMPLETED, "ran to its end", "completed")
        return Verdict(FALSE, FALSE, FALSE, Reason.NOT_RUNNING, _looks(observed), _looks(observed))

    def steady_moments(self) -> Iterator[float]:
        """Give the moments at which runs that follow a failure will have lasted long enough."""
        for observed in self._containers.values():
            moment = self.steady_at(observed)
            if moment is not None:
                yield moment

    def steady_at(self, observed: container.ObservedContainer) -> float | None:
        """Give when a run that follows a failure counts as up; ``None`` where it does, or where its probes decide."""
        began = observed.started_at
        if observed.state is not container.ContainerState.RUNNING or began is None:
            return None
        is_young = abs(self._now - began) < STEADY  # one whose clock is far from ours cannot be judged, and is not
        probed = is_vouched_for(self._declared.get(observed.name, observed.config).health)
        return began + STEADY if is_young and not probed and self._streak(observed) else None

    def _streak(self, observed: container.ObservedContainer) -> int:
        return self._streaks.get(ObjectKey(Kind.CONTAINER, observed.name), 0)

    def _running(self, observed: container.ObservedContainer) -> Verdict:
        declared = self._declared.get(observed.name, observed.config).health
        if self.steady_at(observed) is not None:
            message = f"runs again after failure {self._streak(observed)} in a row, for less than {STEADY:g} s so far"
            return Verdict(FALSE, TRUE, FALSE, Reason.RESTARTED, message, "running, restarted")
        if declared.startup is None and declared.readiness is None and declared.liveness is None:
            return Verdict(TRUE, FALSE, FALSE, Reason.RUNNING, "running", "running")
        probed = self._health.get(observed.id)
        reported = probed.message if probed is not None else ""
        match probed.health if probed is not None else health.Health.STARTING:
            case health.Health.UNHEALTHY:
                return Verdict(FALSE, TRUE, FALSE, Reason.UNHEALTHY, reported, "running, unhealthy")
            case health.Health.STARTING:
                message = reported or "its probes have not succeeded yet"
                return Verdict(FALSE, TRUE, FALSE, Reason.STARTING, message, "running, starting")
            case health.Health.UNREADY:
                return Verdict(FALSE, FALSE, FALSE, Reason.UNREADY, reported, "running, not ready")
            case health.Health.HEALTHY:
                return Verdict(
                    TRUE, FALSE, FALSE, Reason.HEALTHY, "running, and its probes succeed", "running, healthy"
                )


def changes_at(facts: Facts) -> float | None:
    """Tell when what is said of an object changes by itself, with nothing having happened."""
    judge = Judge(facts)
    return min(judge.steady_moments(), default=None)


def is_vouched_for(config: health.HealthConfig) -> bool:
    """Tell whether probes say when a container is up; a liveness probe alone only says when it no longer is."""
    return config.startup is not None or config.readiness is not None


def _looks(observed: container.ObservedContainer | None) -> str:
    if observed is None:
        return ""
    if observed.state is container.ContainerState.EXITED:
        killed = ", killed for want of memory" if observed.oom_killed else ""
        return f"exited ({'?' if observed.exit_code is None else observed.exit_code}{killed})"
    return observed.state.value
