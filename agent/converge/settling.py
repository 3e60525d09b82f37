"""When converging once has come to its end: what is up, what is known not to be, and what may still turn out. Pure."""

import dataclasses
import enum
from collections.abc import Iterator, Mapping
from typing import Self

from agent.converge import reconcile, report, verdicts
from agent.model import conditions, container, health, state
from agent.model.key import Kind, ObjectKey, ownership_of
from agent.plan import updates, usage

ATTEMPTS = 2
"""Failures in a row after which an object is given up: once more, since many a conflict is over a moment later."""

_GIVEN_UP = frozenset({verdicts.BACK_OFF, "Stopped", "Foreign", updates.NEVER_PULLED, updates.UNRESOLVED})
"""Reasons for which nobody waits who wants to come back."""
_MAY_END = frozenset({container.RestartPolicy.ON_FAILURE, container.RestartPolicy.NEVER})
"""Policies under which a container that ends with 0 has done what it was there for."""

Run = tuple[str, float | None]
"""One run of one container: its id, and when it was started."""


class Standing(enum.Enum):
    """How far a running container has got."""

    UP = enum.auto()
    DOWN = enum.auto()
    """It is known not to be up, and waiting longer would not change that."""
    OPEN = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Unfinished:
    """An object that is not as wished, and why."""

    key: ObjectKey
    reason: str
    message: str


@dataclasses.dataclass(frozen=True, slots=True)
class Course:
    """What has been seen since converging began: one pass alone cannot tell what failed now from what had before."""

    began: float
    over: frozenset[Run]
    """Runs that had ended before."""
    going: frozenset[Run]
    """Runs that were going on before."""
    failed: Mapping[ObjectKey, str]
    """Containers that have failed since, with how they ended."""

    @classmethod
    def begin(cls, made: reconcile.Pass) -> Self:
        """Begin with the first pass."""
        seen = made.observed.containers
        return cls(
            made.observed.observed_at,
            over=frozenset(_run(one) for one in seen if one.state is container.ContainerState.EXITED),
            going=frozenset(_run(one) for one in seen if one.state is container.ContainerState.RUNNING),
            failed={},
        ).after(made)

    def after(self, made: reconcile.Pass) -> Self:
        """Take another pass in."""
        healths = {one.container_id: one for one in made.observed.health}
        found = {
            state.key_of(config): self._failure(config, one, healths.get(one.id)) for config, one in _declared(made)
        }
        return dataclasses.replace(self, failed={**self.failed, **{key: how for key, how in found.items() if how}})

    def _failure(
        self, config: container.ContainerConfig, found: container.ObservedContainer, seen: health.ObservedHealth | None
    ) -> str:
        """Say how a container fails as it is seen now; empty where it does not."""
        if found.state is container.ContainerState.RUNNING and seen is not None and not seen.alive:
            return f"was unhealthy ({seen.message})"
        done = found.exit_code == 0 and config.restart.policy in _MAY_END
        ended = found.state is container.ContainerState.EXITED and _run(found) not in self.over
        if not ended or done or found.stop_requested:
            return ""
        return f"exited with {'an unknown code' if found.exit_code is None else found.exit_code}"


def settled(made: reconcile.Pass, course: Course) -> bool:
    """Tell whether waiting longer would change nothing: no work left, and all that waits, waits in vain."""
    standings = _standings(made, course)
    if made.busy or made.plan.steps or Standing.OPEN in standings.values():
        return False
    blocked = {one.key: one.reason for one in made.plan.blocked}
    hopeless = {key for key, reason in blocked.items() if reason in _GIVEN_UP}
    hopeless |= {key for key, one in made.failing.items() if one.stalled or one.attempts >= ATTEMPTS}
    hopeless |= {key for key, standing in standings.items() if standing is Standing.DOWN}
    hopeless |= set(_at_rest(made)) - blocked.keys()
    waiting = blocked.keys() - hopeless
    while lost := {key for key in waiting if hopeless & set(_awaited(made, key, blocked[key]))}:
        hopeless |= lost
        waiting -= lost
    return not waiting


def look_again(made: reconcile.Pass, course: Course) -> float | None:
    """Tell when to look again even if nothing happens: when a running container's standing changes by itself."""
    moments = []
    for config, found in _running(made):
        if _standing(made, course, config, found) is Standing.OPEN:
            steady = (found.started_at or course.began) + verdicts.STEADY
            moments.append(_patience(config, found, course) if verdicts.is_vouched_for(config.health) else steady)
    return min((moment for moment in moments if moment > made.observed.observed_at), default=None)


def unfinished(made: reconcile.Pass, course: Course) -> tuple[Unfinished, ...]:
    """Give what is under way, failing, waiting or not up, sorted; not what people have stopped on purpose."""
    blocked = {one.key for one in made.plan.blocked}
    standings = _standings(made, course)
    found = []
    for status in made.statuses:
        ready = report.condition(status, conditions.ConditionType.READY)
        if _is_left(made, blocked, status) or standings.get(status.key, Standing.UP) is not Standing.UP:
            if ready.status is conditions.ConditionStatus.TRUE and status.key in course.failed:
                message = f"{course.failed[status.key]} meanwhile; it runs again"
                found.append(Unfinished(status.key, "Restarted", message))
            elif ready.status is conditions.ConditionStatus.TRUE:
                found.append(Unfinished(status.key, "Starting", f"has run for less than {verdicts.STEADY:g} s"))
            else:
                found.append(Unfinished(status.key, ready.reason, ready.message))
    return tuple(sorted(found, key=lambda one: one.key))


def _is_left(made: reconcile.Pass, blocked: set[ObjectKey], status: conditions.ObjectStatus) -> bool:
    truth = conditions.ConditionStatus.TRUE
    moving = report.condition(status, conditions.ConditionType.RECONCILING).status is truth
    stalled = report.condition(status, conditions.ConditionType.STALLED).status is truth
    return status.key in made.busy or (status.key in blocked and (moving or stalled))


def _standings(made: reconcile.Pass, course: Course) -> dict[ObjectKey, Standing]:
    return {state.key_of(config): _standing(made, course, config, found) for config, found in _running(made)}


def _standing(
    made: reconcile.Pass, course: Course, config: container.ContainerConfig, found: container.ObservedContainer
) -> Standing:
    now = made.observed.observed_at
    seen = next((one for one in made.observed.health if one.container_id == found.id), None)
    if verdicts.is_vouched_for(config.health):
        match seen.health if seen is not None else health.Health.STARTING:
            case health.Health.HEALTHY:
                return Standing.UP
            case health.Health.UNHEALTHY:
                return Standing.DOWN
            case health.Health.UNREADY:
                return Standing.OPEN if now < _patience(config, found, course) else Standing.DOWN
            case health.Health.STARTING:
                return Standing.OPEN
    if seen is not None and not seen.alive:
        return Standing.DOWN
    if verdicts.is_young(found, now):
        return Standing.OPEN
    return Standing.DOWN if state.key_of(config) in course.failed else Standing.UP


def _patience(config: container.ContainerConfig, found: container.ObservedContainer, course: Course) -> float:
    """Give until when a container may become ready by its probes' own thresholds, counted from when they began."""
    began = found.started_at or course.began
    if _run(found) in course.going:  # probed by us from then on only
        began = max(began, course.began)
    probes = (one for one in (config.health.startup, config.health.readiness) if one is not None)
    return began + sum(one.initial_delay + one.failure_threshold * max(one.period, one.timeout) for one in probes)


def _running(
    made: reconcile.Pass,
) -> Iterator[tuple[container.ContainerConfig, container.ObservedContainer]]:
    """Give the declared containers that run and that nothing else is to be said of."""
    blocked = {one.key for one in made.plan.blocked}
    for config, found in _declared(made):
        if found.state is container.ContainerState.RUNNING and state.key_of(config) not in blocked:
            yield config, found


def _declared(made: reconcile.Pass) -> Iterator[tuple[container.ContainerConfig, container.ObservedContainer]]:
    ours = {one.name: one for one in made.observed.containers if ownership_of(one.labels) is not None}
    for config in made.wish.desired.containers:
        if config.name in ours:
            yield config, ours[config.name]


def _run(found: container.ObservedContainer) -> Run:
    return found.id, found.started_at


def _at_rest(made: reconcile.Pass) -> Iterator[ObjectKey]:
    """Give declared containers that do not run and are not going to."""
    running = {one.config.name for one in made.observed.containers if one.state is container.ContainerState.RUNNING}
    for config in made.wish.desired.containers:
        if config.name not in running:
            yield state.key_of(config)


def _awaited(made: reconcile.Pass, key: ObjectKey, reason: str) -> Iterator[ObjectKey]:
    """Give what a blocked object waits for: what it needs, or, where it is to go, who still uses it."""
    yield from _needs(made.wish.desired, key)
    if reason == usage.IN_USE:
        images = {one.reference: ownership_of(one.labels) for one in made.observed.images}
        for one in made.observed.containers:
            image = images.get(one.config.image)
            if key in set(state.used_by(one.config)) or (image is not None and image.key == key):
                yield ObjectKey(Kind.CONTAINER, one.config.name)


def _needs(desired: state.DesiredState, key: ObjectKey) -> Iterator[ObjectKey]:
    """Give what a container stands on or waits for."""
    for config in desired.containers:
        if key == state.key_of(config):
            yield from (state.key_of(one) for one in desired.images if one.reference == config.image)
            yield from state.used_by(config)
            yield from (ObjectKey(Kind.CONTAINER, one.container) for one in config.depends_on)
