"""When converging once has come to its end: what is up, what is known not to be, and what may still turn out. Pure."""

import dataclasses
import enum
from collections.abc import Iterator, Mapping
from typing import Self

from agent.converge import reconcile, report, verdicts
from agent.kit import frozen
from agent.model import conditions, container, health, state
from agent.model.key import Kind, ObjectKey, ownership_of
from agent.reasons import Reason

ATTEMPTS = 2
"""Failures in a row after which an object is given up: once more, since many a conflict is over a moment later."""

_GIVEN_UP = frozenset(
    {
        Reason.BACK_OFF,
        Reason.STOPPED,
        Reason.FOREIGN,
        Reason.DECLARATION_UNREADABLE,
        Reason.IMAGE_NEVER_PULLED,
        Reason.IMAGE_UNRESOLVED,
        Reason.SUSPENDED,
    }
)
"""Reasons for which nobody waits who wants to come back."""
_MAY_END = frozenset({container.RestartPolicy.ON_FAILURE, container.RestartPolicy.NEVER})
"""Policies under which a container that ends with 0 has done what it was there for."""

Run = tuple[str, float | None]
"""One run of one container: its id, and when it was started."""


class Readiness(enum.Enum):
    """How far a running container has got."""

    UP = enum.auto()
    DOWN = enum.auto()
    """It is known not to be up, and waiting longer would not change that."""
    OPEN = enum.auto()


@frozen.value
class Unfinished:
    """An object that is not as declared, and why."""

    key: ObjectKey
    reason: Reason
    message: str


@frozen.value
class Session:
    """What has been seen since converging began: one pass alone cannot tell what failed now from what had before."""

    began: float
    """When converging began, by the monotonic clock, as all moments here: nobody who sets the clock changes a wait."""
    now: float
    """When the last pass observed."""
    started: Mapping[Run, float]
    """When each run began that was observed last. How old it is, is found out when it is seen first."""
    over: frozenset[Run]
    """Runs that had ended before."""
    failed: Mapping[ObjectKey, str]
    """Containers that have failed since, with how they ended."""

    @classmethod
    def begin(cls, result: reconcile.PassResult) -> Self:
        """Begin with the first pass."""
        containers = result.observed.containers
        return cls(
            result.moment,
            result.moment,
            started={},
            over=frozenset(
                _run(observed) for observed in containers if observed.state is container.ContainerState.EXITED
            ),
            failed={},
        ).after(result)

    def after(self, result: reconcile.PassResult) -> Self:
        """Take another pass in."""
        healths = {probed.container_id: probed for probed in result.observed.health}
        failures = {
            state.key_of(config): self._failure(config, observed, healths.get(observed.id))
            for config, observed in _declared(result)
        }
        return dataclasses.replace(
            self,
            now=result.moment,
            started={_run(container): self._started(result, container) for container in result.observed.containers},
            failed={**self.failed, **{key: how for key, how in failures.items() if how}},
        )

    def is_young(self, observed: container.ObservedContainer) -> bool:
        """Tell whether a run began just now. One whose clock is far from ours cannot be judged, and is not."""
        return observed.started_at is not None and abs(self.now - self.started[_run(observed)]) < verdicts.STEADY

    def _started(self, result: reconcile.PassResult, observed: container.ObservedContainer) -> float:
        if observed.started_at is None:
            return self.began
        age = result.observed.observed_at - observed.started_at
        return self.started.get(_run(observed), result.moment - age)

    def _failure(
        self,
        config: container.ContainerConfig,
        observed: container.ObservedContainer,
        probed: health.ObservedHealth | None,
    ) -> str:
        """Say how a container fails as it is seen now; empty where it does not."""
        if observed.state is container.ContainerState.RUNNING and probed is not None and not probed.alive:
            return f"was unhealthy ({probed.message})"
        done = observed.exit_code == 0 and config.restart.policy in _MAY_END
        ended = observed.state is container.ContainerState.EXITED and _run(observed) not in self.over
        if not ended or done or observed.stop_requested:
            return ""
        return f"exited with {'an unknown code' if observed.exit_code is None else observed.exit_code}"


def settled(result: reconcile.PassResult, session: Session) -> bool:
    """Tell whether waiting longer would change nothing: no work left, and all that waits, waits in vain."""
    readiness = _readiness_by_object(result, session)
    if result.busy or result.plan.steps or Readiness.OPEN in readiness.values():
        return False
    blocked = {wait.key: wait.reason for wait in result.plan.blocked}
    hopeless = {key for key, reason in blocked.items() if reason in _GIVEN_UP}
    hopeless |= {key for key, failure in result.failing.items() if failure.stalled or failure.attempts >= ATTEMPTS}
    hopeless |= {key for key, standing in readiness.items() if standing is Readiness.DOWN}
    hopeless |= set(_resting(result)) - blocked.keys()
    waiting = blocked.keys() - hopeless
    while lost := {key for key in waiting if hopeless & set(_awaited(result, key, blocked[key]))}:
        hopeless |= lost
        waiting -= lost
    return not waiting


def next_look_at(result: reconcile.PassResult, session: Session) -> float | None:
    """Return when to look again even if nothing happens, by the monotonic clock: when a standing changes by itself."""
    moments = []
    readiness = _readiness_by_object(result, session)
    for config, observed in _running(result):
        if readiness[state.key_of(config)] is Readiness.OPEN:
            steady = session.started[_run(observed)] + verdicts.STEADY
            moments.append(_patience(config, observed, session) if verdicts.is_vouched_for(config.health) else steady)
    return min((moment for moment in moments if moment > session.now), default=None)


def unfinished(result: reconcile.PassResult, session: Session) -> tuple[Unfinished, ...]:
    """Give what is under way, failing, waiting or not up, in the statuses' order; not what people have stopped."""
    blocked = {wait.key for wait in result.plan.blocked}
    readiness = _readiness_by_object(result, session)
    remaining = []
    for status in result.statuses:
        standing = readiness.get(status.key, Readiness.UP)
        if standing is not Readiness.UP or _is_unfinished(result, blocked, status):
            remaining.append(_explained(status, standing, session))
    return tuple(remaining)


def _explained(status: conditions.ObjectStatus, standing: Readiness, session: Session) -> Unfinished:
    """Say why an object is not as declared, also where it looks well."""
    ready = report.condition(status, conditions.ConditionType.READY)
    is_ready = report.is_ready(status)
    if is_ready and status.key in session.failed:
        message = f"{session.failed[status.key]} meanwhile; it runs again"
        return Unfinished(status.key, Reason.RESTARTED, message)
    if is_ready and standing is Readiness.OPEN:
        return Unfinished(status.key, Reason.STARTING, f"has run for less than {verdicts.STEADY:g} s")
    return Unfinished(status.key, ready.reason, ready.message)


def _is_unfinished(result: reconcile.PassResult, blocked: set[ObjectKey], status: conditions.ObjectStatus) -> bool:
    truth = conditions.ConditionStatus.TRUE
    moving = report.condition(status, conditions.ConditionType.RECONCILING).status is truth
    stalled = report.condition(status, conditions.ConditionType.STALLED).status is truth
    suspended = report.condition(status, conditions.ConditionType.READY).reason is Reason.SUSPENDED
    return status.key in result.busy or (status.key in blocked and (moving or stalled or suspended))


def _readiness_by_object(result: reconcile.PassResult, session: Session) -> dict[ObjectKey, Readiness]:
    answers = {answer.container_id: answer for answer in result.observed.health}
    return {
        state.key_of(config): _readiness(session, config, observed, answers.get(observed.id))
        for config, observed in _running(result)
    }


def _readiness(
    session: Session,
    config: container.ContainerConfig,
    observed: container.ObservedContainer,
    probed: health.ObservedHealth | None,
) -> Readiness:
    answer = health.Health.STARTING if probed is None else probed.health
    if answer is health.Health.UNHEALTHY:
        return Readiness.DOWN
    if verdicts.is_vouched_for(config.health):
        if answer is health.Health.HEALTHY:
            return Readiness.UP
        is_late = answer is health.Health.UNREADY and session.now >= _patience(config, observed, session)
        return Readiness.DOWN if is_late else Readiness.OPEN
    if session.is_young(observed):
        return Readiness.OPEN
    return Readiness.DOWN if state.key_of(config) in session.failed else Readiness.UP


def _patience(config: container.ContainerConfig, observed: container.ObservedContainer, session: Session) -> float:
    """Give until when a container may become ready by its probes' own thresholds, counted from when they began."""
    began = max(session.started[_run(observed)], session.began)  # before, we have not probed it
    probes = (probe for probe in (config.health.startup, config.health.readiness) if probe is not None)
    return began + sum(
        probe.initial_delay + probe.failure_threshold * max(probe.period, probe.timeout) for probe in probes
    )


def _running(
    result: reconcile.PassResult,
) -> Iterator[tuple[container.ContainerConfig, container.ObservedContainer]]:
    """Give the declared containers that run and that nothing else is to be said of."""
    blocked = {wait.key for wait in result.plan.blocked}
    for config, observed in _declared(result):
        if observed.state is container.ContainerState.RUNNING and state.key_of(config) not in blocked:
            yield config, observed


def _declared(result: reconcile.PassResult) -> Iterator[tuple[container.ContainerConfig, container.ObservedContainer]]:
    ours = {
        container.name: container
        for container in result.observed.containers
        if ownership_of(container.labels) is not None
    }
    for config in result.goal.desired.containers:
        if config.name in ours:
            yield config, ours[config.name]


def _run(observed: container.ObservedContainer) -> Run:
    return observed.id, observed.started_at


def _resting(result: reconcile.PassResult) -> Iterator[ObjectKey]:
    """Give declared containers that do not run and are not going to."""
    running = {
        observed.config.name
        for observed in result.observed.containers
        if observed.state is container.ContainerState.RUNNING
    }
    for config in result.goal.desired.containers:
        if config.name not in running:
            yield state.key_of(config)


def _awaited(result: reconcile.PassResult, key: ObjectKey, reason: Reason) -> Iterator[ObjectKey]:
    """Give what a blocked object waits for: what it needs, or, where it is to go, who still uses it."""
    yield from _needs(result.goal.desired, key)
    if reason == Reason.IN_USE:
        images = {image.reference: ownership_of(image.labels) for image in result.observed.images}
        for observed in result.observed.containers:
            image = images.get(observed.config.image)
            if key in set(state.used_by(observed.config)) or (image is not None and image.key == key):
                yield ObjectKey(Kind.CONTAINER, observed.config.name)


def _needs(desired: state.DesiredState, key: ObjectKey) -> Iterator[ObjectKey]:
    """Give what a container stands on or waits for."""
    for config in desired.containers:
        if key == state.key_of(config):
            yield from (state.key_of(image) for image in desired.images if image.reference == config.image)
            yield from state.used_by(config)
            yield from (ObjectKey(Kind.CONTAINER, dependency.container) for dependency in config.depends_on)
