"""The heart: one walk from a wish to actions under way, and what is said of it."""

import dataclasses
from collections.abc import Callable, Mapping

from agent.converge import dispose, execute, failures, journal, memory, perform, report, signals, verdicts
from agent.converge import wish as wishes
from agent.kit import clock, failpoint, tasks
from agent.manifests import pipeline
from agent.model import conditions, policy, secret, state
from agent.model.key import ObjectKey, ownership_of
from agent.observe import probes, snapshot
from agent.oci import reference
from agent.plan import actions, plan, planner
from agent.runtime import api
from agent.runtime import errors as runtime_errors

_DENIED = "ImagePullDenied"
"""The reason that another login may end."""
_PERFORM = failpoint.register("converge.perform")
_PERFORMED = failpoint.register("converge.performed")


@dataclasses.dataclass(frozen=True, slots=True)
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

    @property
    def terms(self) -> pipeline.Terms:
        """Say what manifests are read under."""
        return pipeline.Terms(self.runtime.features.lacking, self.registry)


@dataclasses.dataclass(frozen=True, slots=True)
class Pass:
    """What one walk found, and set going."""

    wish: wishes.Wish
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
        """All that was wished is so: nothing to do, nothing under way, nothing that waits."""
        return not self.busy and not self.plan.steps and not self.plan.blocked


class Reconciler:
    """Makes passes. Actions go on in the background; later passes leave an object alone that is being worked on."""

    def __init__(
        self, parts: Parts, crew: tasks.Crew, prober: probes.Prober, released: Callable[[frozenset[ObjectKey]], None]
    ) -> None:
        """``released`` is told of objects that nothing is left to do for: time for another pass."""
        self._parts = parts
        self._prober = prober
        self._observer = snapshot.Observer(parts.runtime, prober.health, parts.time)
        self._performer = perform.Performer(parts.runtime, parts.owner, parts.sink)
        hooks = execute.Hooks(self._perform, self._started, self._finished, released)
        self._executor = execute.Executor(hooks, crew, parts.time, parts.parallel)
        self._failures = failures.Failures()
        self._statuses = {status.key: status for status in parts.book.statuses()}
        self._dispatched: dict[ObjectKey, str] = {}
        self._logins: tuple[secret.Login, ...] = ()

    @property
    def current(self) -> Mapping[ObjectKey, actions.Action]:
        """What is being done to objects that are being worked on."""
        return self._executor.current

    async def reconcile(self, wish: wishes.Wish) -> Pass:
        """Observe, plan, set the plan going, report. Raises the runtime's errors where it cannot be observed."""
        if wish.desired.logins != self._logins:
            self._logins = wish.desired.logins
            self._failures.pardon(_DENIED)
        self._executor.supersede(self._outdated(wish))
        busy = self._executor.busy  # before observing: what ends meanwhile is seen half done
        observed = wish.seen(await self._observer.observe(self._parts.book.ledger()), self._parts.owner)
        ours = [one for one in observed.containers if ownership_of(one.labels) is not None]
        self._prober.track(wish.desired.containers, ours)
        observed = dataclasses.replace(observed, health=self._prober.health())  # what has just begun to run included
        computed = planner.compute_plan(wish.desired, observed, self._policy(wish, busy))
        self._remember(wish, observed, computed, busy)
        if computed.steps:
            self._dispatched |= {step.action.key: wish.hashes.get(step.action.key, "") for step in computed.steps}
            self._executor.dispatch(self._parts.book.record_plan(computed, observed.observed_at), computed)
        blocked = frozenset(one.key for one in computed.blocked)
        self._failures.settle(wish, self._executor.busy, blocked)
        facts = verdicts.Facts(wish, observed, computed, self._executor.current, self._failures.stalled)
        said, changes_at = self._report(facts), verdicts.changes_at(facts)
        return Pass(wish, observed, computed, said, self._executor.busy, self._failures.known, changes_at)

    def _outdated(self, wish: wishes.Wish) -> frozenset[ObjectKey]:
        """Give busy objects whose declaration has changed since their plan was made."""
        return frozenset(key for key in self._executor.busy if self._dispatched[key] != wish.hashes.get(key, ""))

    def _policy(self, wish: wishes.Wish, busy: frozenset[ObjectKey]) -> policy.PlanPolicy:
        under_way = tuple(policy.Hold(key, verdicts.IN_PROGRESS, "an action is under way") for key in sorted(busy))
        return policy.PlanPolicy(
            owner=self._parts.owner,
            prune=wish.prune,
            holds=(*under_way, *self._failures.holds()),
            in_place=self._parts.runtime.features.in_place,
        )

    def _remember(
        self, wish: wishes.Wish, observed: state.ObservedState, computed: plan.Plan, busy: frozenset[ObjectKey]
    ) -> None:
        book = self._parts.book
        applied = memory.applied(book.ledger(), wish, observed, computed)
        book.remember(entry for entry in applied if entry.key not in busy)
        book.forget([key for key in memory.gone(book.ledger(), wish, computed) if key not in busy])

    def _report(self, facts: verdicts.Facts) -> tuple[conditions.ObjectStatus, ...]:
        statuses = report.report(facts, self._statuses)
        now = {status.key: status for status in statuses}
        gone = [key for key in self._statuses if key not in now and facts.wish.covers(key)]
        self._parts.book.save_statuses(report.changes(self._statuses, statuses), gone)
        self._statuses = {key: old for key, old in self._statuses.items() if not facts.wish.covers(key)} | now
        return statuses

    async def _perform(self, action: actions.Action) -> None:
        book = self._parts.book
        book.remember([memory.before(book.entry(action.key), action)])
        _PERFORM.hit()
        try:
            await self._performer.perform(action)
        except runtime_errors.RuntimeFailure as error:
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


async def look(parts: Parts) -> state.ObservedState:
    """Observe once, without probes. Raises the runtime's errors."""
    return await snapshot.Observer(parts.runtime, tuple, parts.time).observe(parts.book.ledger())


def note_applied(parts: Parts, revision: str, read_at: float | None) -> None:
    """Write down and tell that all of a revision has been brought about."""
    now = parts.time.now()
    first = parts.book.history.record_applied(revision, now)
    duration = now - read_at if first and read_at is not None else None
    parts.sink(signals.RevisionApplied(revision, duration, now))
