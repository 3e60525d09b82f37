"""The heart: one walk from a goal to actions under way, and what is said of it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TypeVar

from agent import errors
from agent.converge import (
    clock_steps,
    dispose,
    execute,
    failures,
    history,
    journal,
    memory,
    perform,
    report,
    restarts,
    signals,
    verdicts,
)
from agent.converge import goal as goals
from agent.kit import clock, failpoint, frozen, tasks, turns
from agent.manifests import admission, pipeline
from agent.model import conditions, policy, secret, state
from agent.model.key import ObjectKey, ownership_of
from agent.observe import probes, snapshot
from agent.oci import reference
from agent.plan import actions, plan, planner
from agent.reasons import Reason
from agent.runtime import api

_T = TypeVar("_T")
_SMALL = 20
"""Containers up to which planning takes so little that a thread is not worth its beginning, also on a slow host."""
_PERFORM = failpoint.register("converge.perform")
_PERFORMED = failpoint.register("converge.performed")


@frozen.value
class Parts:
    """What the loop of one instance is made of."""

    runtime: api.Runtime
    book: journal.Journal
    sink: signals.Sink
    time: clock.Clock
    owner: str
    """The instance, by which it knows its own objects."""
    parallel: int = 8
    """Actions at a time."""
    relist: float = 60.0
    """Seconds between two looks at the runtime, the safety net under its events."""
    registry: str = reference.DEFAULT_REGISTRY
    """Of images whose references tell none."""
    admitted: admission.Policy = admission.EVERYTHING
    """What the source may ask of the host."""
    host_key: bytes = dataclasses.field(default=b"", repr=False)
    """Keys the fingerprints of Secrets' values."""

    @property
    def parse_options(self) -> pipeline.ParseOptions:
        """Say what manifests are read under."""
        return pipeline.ParseOptions(self.runtime.features.unsupported, self.registry, self.admitted, self.host_key)


@frozen.value
class PassResult:
    """What one walk found, and set going."""

    goal: goals.Goal
    moment: float
    """When it was observed, by the monotonic clock."""
    observed: state.ObservedState
    plan: plan.Plan
    statuses: tuple[conditions.ObjectStatus, ...]
    busy: frozenset[ObjectKey]
    """Objects that are being worked on."""
    failing: Mapping[ObjectKey, failures.Failure]
    """Objects whose last action failed."""
    changes_at: float | None
    """When what is said of an object changes by itself."""

    @property
    def converged(self) -> bool:
        """All that the goal says is so: nothing to do, nothing under way, nothing that waits."""
        return not self.busy and not self.plan.steps and not self.plan.blocked


@frozen.value
class _Report:
    """What is said of every object, and what of that is written down."""

    statuses: tuple[conditions.ObjectStatus, ...]
    changes_at: float | None
    kept: dict[ObjectKey, conditions.ObjectStatus]
    """What is said of all objects now, within reach and beyond."""
    rows: journal.Rows
    removed: list[ObjectKey]


class Reconciler:
    """Makes passes. Actions go on in the background; later passes leave an object alone that is being worked on."""

    def __init__(
        self,
        parts: Parts,
        crew: tasks.Crew,
        prober: probes.Prober,
        restart_requests: restarts.Requests,
        released: Callable[[frozenset[ObjectKey]], None],
    ) -> None:
        """``released`` is told of objects that nothing is left to do for: time for another pass."""
        self._parts = parts
        self._prober = prober
        self._restarts = restart_requests
        self._observer = snapshot.Observer(parts.runtime, prober.health, parts.time)
        self._performer = perform.Performer(parts.runtime, parts.owner, parts.sink)
        hooks = execute.Hooks(self._perform, self._started, self._finished, released)
        self._executor = execute.Executor(hooks, crew, parts.time, parts.parallel)
        self._failures = failures.Failures()
        self._corrections = clock_steps.Corrections(parts.time)
        self._statuses = {status.key: status for status in parts.book.statuses()}
        self._dispatched: dict[ObjectKey, str] = {}
        self._logins: tuple[secret.Login, ...] = ()
        self._secrets: tuple[secret.SecretValue, ...] = ()

    @property
    def current(self) -> Mapping[ObjectKey, actions.Action]:
        """What is being done to objects that are being worked on."""
        return self._executor.current

    async def reconcile(self, goal: goals.Goal) -> PassResult:
        """Observe, plan, set the plan going, report. Raises the runtime's errors where it cannot be observed."""
        if goal.desired.logins != self._logins:
            self._logins = goal.desired.logins
            self._failures.pardon(Reason.IMAGE_PULL_DENIED)
        if goal.desired.secrets != self._secrets:
            self._secrets = goal.desired.secrets
            self._failures.pardon(Reason.SECRET_UNAVAILABLE)
        self._parts.runtime.containers.use(self._secrets)
        suspensions = self._parts.book.suspensions.current
        self._executor.supersede(self._outdated(goal))
        self._executor.withhold(frozenset(suspensions.moments(self._executor.busy)))
        busy = self._executor.busy  # before observing: what ends meanwhile is seen half done
        unfiltered = await self._observer.observe(self._parts.book.ledger())
        moment = self._parts.time.monotonic()
        await turns.checkpoint()
        observed = goal.visible(unfiltered, self._parts.owner)
        ours = [container for container in observed.containers if ownership_of(container.labels) is not None]
        await turns.checkpoint()
        self._prober.track(goal.desired.containers, ours)
        await turns.checkpoint()
        observed = dataclasses.replace(
            observed,
            health=self._prober.health(),  # what has just begun to run included
            suspensions=suspensions,
        )
        self._failures.forget(self._restarts.fresh())  # somebody asks: it is tried now, however it has failed before
        timely = self._corrections.observed(observed)  # before the policy: its holds are corrected by the same look
        rules = self._policy(goal, busy, self._restarts.take(observed, busy))
        computed, steps_text = await self._plan(goal, timely, rules)
        await self._remember(goal, observed, computed, busy)
        await turns.checkpoint()
        if computed.steps:
            self._dispatched |= {step.action.key: goal.hashes.get(step.action.key, "") for step in computed.steps}
            number = self._parts.book.keep_plan(computed.revision, steps_text, observed.observed_at)
            self._executor.dispatch(number, computed)
        blocked = frozenset(wait.key for wait in computed.blocked)
        self._failures.settle(goal, self._executor.busy, blocked)
        self._restarts.note(computed, self._failures.by_key)
        facts = verdicts.Facts(goal, observed, computed, dict(self._executor.current), self._failures.stalled)
        statuses, changes_at = await self._report(facts)
        return PassResult(
            goal, moment, observed, computed, statuses, self._executor.busy, self._failures.by_key, changes_at
        )

    async def preview(self, goal: goals.Goal, result: PassResult) -> plan.Plan:
        """Return what a pass would do for a goal by what the last one has observed, without doing it."""
        rules = self._policy(goal, self._executor.busy | result.busy, frozenset())
        observed = dataclasses.replace(result.observed, ledger=self._parts.book.ledger(), health=self._prober.health())
        large = _is_large(goal, observed)
        return await _apart(lambda: planner.preview(goal.desired, observed, rules), large=large)

    def _outdated(self, goal: goals.Goal) -> frozenset[ObjectKey]:
        """Give busy objects whose declaration has changed since their plan was made."""
        return frozenset(key for key in self._executor.busy if self._dispatched[key] != goal.hashes.get(key, ""))

    def _policy(
        self, goal: goals.Goal, busy: frozenset[ObjectKey], restarting: frozenset[ObjectKey]
    ) -> policy.PlanPolicy:
        holds = tuple(policy.Hold(key, Reason.IN_PROGRESS, "an action is under way") for key in sorted(busy))
        return policy.PlanPolicy(
            owner=self._parts.owner,
            prune=goal.prune,
            holds=(*holds, *self._corrections.holds(self._failures.holds())),
            restarts=restarting,
            focus=goal.focus,
            in_place=self._parts.runtime.features.in_place,
            secrets_at_start=self._parts.runtime.features.secrets_at_start,
        )

    async def _remember(
        self, goal: goals.Goal, observed: state.ObservedState, computed: plan.Plan, busy: frozenset[ObjectKey]
    ) -> None:
        book = self._parts.book
        applied = memory.applied(book.ledger(), goal, observed, computed)
        entries = [entry for entry in applied if entry.key not in busy]  # which nobody else changes meanwhile
        await turns.checkpoint()
        book.remember(entries)
        await turns.checkpoint()
        book.forget([key for key in memory.forgettable(book.ledger(), goal, computed) if key not in busy])
        book.suspensions.resume(frozenset(memory.vanished(observed.suspensions, goal, computed)))

    async def _plan(
        self, goal: goals.Goal, observed: state.ObservedState, rules: policy.PlanPolicy
    ) -> tuple[plan.Plan, str]:
        """Compute the plan, and what is written down of it.

        Actions that are under way may end meanwhile, as their objects are held in it.
        """

        def planned() -> tuple[plan.Plan, str]:
            computed = planner.compute_plan(goal.desired, observed, rules)
            return computed, history.steps_text(computed)

        return await _apart(planned, large=_is_large(goal, observed))

    async def _report(self, facts: verdicts.Facts) -> tuple[tuple[conditions.ObjectStatus, ...], float | None]:
        """Return every object's status, written down where it is other than before, and when one changes by itself."""
        before, goal = self._statuses, facts.goal

        def reported() -> _Report:
            statuses = report.report(facts, before)
            now = {status.key: status for status in statuses}
            removed = [key for key in before if key not in now and goal.reports(key)]
            kept = {key: old for key, old in before.items() if not goal.reports(key)} | now
            rows = journal.status_rows(report.changes(before, statuses))
            return _Report(statuses, verdicts.changes_at(facts), kept, rows, removed)

        result = await _apart(reported, large=_is_large(goal, facts.observed))
        self._parts.book.keep_statuses(result.rows, result.removed)
        self._statuses = result.kept
        return result.statuses, result.changes_at

    async def _perform(self, action: actions.Action) -> None:
        book = self._parts.book
        book.remember([memory.before(book.entry(action.key), action)])
        _PERFORM.hit()
        try:
            await self._performer.perform(action)
        except errors.Failure as error:
            if dispose.judge(error, action) is not dispose.Verdict.DONE:
                raise
        _PERFORMED.hit()
        book.remember([memory.after(book.entry(action.key), action)])

    def _started(self, action: actions.Action) -> None:
        self._parts.sink(signals.ActionStarted(action, self._parts.time.now()))

    def _finished(self, number: int, finished: signals.ActionFinished) -> None:
        self._parts.book.history.record_outcome(number, finished)
        self._parts.sink(finished)
        if isinstance(finished.error, Exception):
            config_hash = self._dispatched[finished.action.key] or None
            failure = self._failures.add(finished.error, finished, config_hash)
            self._parts.sink(signals.ObjectDisposed(failure.hold, failure.attempts, failure.stalled))


def _is_large(goal: goals.Goal, observed: state.ObservedState) -> bool:
    return max(len(goal.desired.containers), len(observed.containers)) > _SMALL


async def _apart(work: Callable[[], _T], *, large: bool) -> _T:
    """Return what pure work gives: in a thread where the states are large, so that the event loop goes on."""
    return await tasks.in_thread(work) if large else work()


async def look(parts: Parts) -> state.ObservedState:
    """Observe once, without probes. Raises the runtime's errors."""
    return await snapshot.Observer(parts.runtime, tuple, parts.time).observe(parts.book.ledger())


def note_applied(parts: Parts, revision: str, read_at: float | None) -> None:
    """Write down and tell that all of a revision has been brought about."""
    now = parts.time.now()
    first = parts.book.history.record_applied(revision, now)
    duration = now - read_at if first and read_at is not None else None
    parts.sink(signals.RevisionApplied(revision, duration, now))
