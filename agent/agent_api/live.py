"""The running agent's status: fed by signals, read by the server."""

import asyncio
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

import agent
from agent.agent_api import host, objects, reconciliation, status, suspension
from agent.converge import loop, reconcile, signals
from agent.model import state
from agent.model import suspension as suspensions
from agent.model.key import ObjectKey
from agent.plan import actions
from agent.sources import api

_STARTING = 10.0
"""Seconds that an agent may take before its loop has begun, without counting as stuck."""


class LiveFacts:
    """Collects what ``status`` needs from the loop: a ``signals.Sink``."""

    def __init__(self) -> None:
        """Start before the first signal."""
        self.last_pass: signals.PassFinished | None = None
        self.pass_error: str = ""
        """Why the runtime could not be observed the last time; empty where it was."""
        self.health = api.SourceHealth()
        self.problems: tuple[str, ...] = ()
        """Of the manifests as they were last read: a failed look does not mend them."""
        self.source_empty = False
        """The source declares nothing although something runs."""
        self.standing: tuple[str, float] | None = None
        """The last good revision, and when it was read; ``None`` until this agent has read one."""

    def take(self, signal: signals.Signal) -> None:
        """Keep what the status needs of a signal."""
        match signal:
            case signals.PassFinished():
                self.last_pass, self.pass_error = signal, ""
            case signals.PassFailed():
                self.pass_error = str(signal.error)
            case signals.SourceLooked(_, health):
                self.health = health
            case signals.SourceRead():
                self.problems, self.source_empty = (), signal.empty
                if not signal.empty and (self.standing is None or self.standing[0] != signal.revision):
                    self.standing = (signal.revision, signal.at)
            case signals.SourceRejected():
                self.problems = tuple(str(problem) for problem in signal.problems)
            case _:
                pass

    @property
    def look_result(self) -> status.LookResult:
        """Return how the last look at the source ended."""
        if self.health.last_attempt is None:
            return status.LookResult.NEVER
        if self.health.error:
            return status.LookResult.FAILED
        return status.LookResult.REJECTED if self.problems else status.LookResult.GOOD


class LiveStatus:
    """The status of this agent."""

    def __init__(
        self, facts: LiveFacts, parts: reconcile.Parts, root: pathlib.Path, alive: Callable[[], str], location: str
    ) -> None:
        """Take what is read; ``alive`` returns what is wrong with the loop, and ``location`` is the source's name."""
        self._facts = facts
        self._parts = parts
        self._root = root
        self._alive = alive
        self._location = location
        self._since = parts.time.now()
        good = parts.book.good()
        if good is not None:  # an earlier agent's revision counts until this one has read a good one
            facts.standing = (good.desired.revision, good.at)

    async def read(self) -> status.Status:
        """Return the status as it is now."""
        disk = await asyncio.to_thread(host.disk, self._root)
        last, book = self._facts.last_pass, self._parts.book
        notices = self._parts.runtime.notices()
        statuses = book.statuses() if last is None else last.statuses
        starting = last is None and self._parts.time.now() - self._since < _STARTING
        stuck = "" if starting else self._alive()
        return status.Status(
            status.AgentStatus(
                status.AgentState.STUCK if stuck else status.AgentState.RUNNING,
                os.getpid(),
                self._since,
                agent.__version__,
                self._parts.runtime.features.name,
            ),
            self._source(),
            None if last is None else last.at,
            objects.objects(statuses, self._object_facts()),
            disk,
            (*self._troubles(stuck), *status.disk_troubles(disk), *status.notice_troubles(notices)),
            notices,
        )

    def _object_facts(self) -> objects.ObjectFacts:
        last, book = self._facts.last_pass, self._parts.book
        observed = None if last is None else last.observed
        return objects.ObjectFacts(book.entry, book.suspensions.current, self.desired(), observed)

    def desired(self) -> state.DesiredState:
        """Return what is declared, as of the last pass; before the first one, as an earlier agent read it."""
        if self._facts.last_pass is not None:
            return self._facts.last_pass.desired
        good = self._parts.book.good()
        return state.DesiredState("") if good is None else good.desired

    def keys(self) -> frozenset[ObjectKey]:
        """Return all objects, as of the last pass; before the first one, as an earlier agent has written them down."""
        last = self._facts.last_pass
        statuses = self._parts.book.statuses() if last is None else last.statuses
        return frozenset(item.key for item in statuses)

    @property
    def suspensions(self) -> suspensions.Suspensions:
        """Return what is suspended."""
        return self._parts.book.suspensions.current

    def suspended(self, requested: frozenset[ObjectKey] | None, changed: loop.Changed) -> suspension.Answer:
        """Return what a suspend or a resume has come to; ``requested`` is ``None`` for the source."""
        keys = self.keys() if requested is None else requested
        busy = frozenset() if changed.result is None else changed.result.busy
        return suspension.of(requested, changed.subjects, keys & busy, self._parts.book.suspensions.current)

    def reconciled(self, passes: Sequence[reconcile.PassResult | None]) -> reconciliation.Reconciliation:
        """Return what passes have come to that were asked for; there is one at least."""
        source, last = self._source(), passes[-1]
        steps = [step.action for ended in passes if ended is not None for step in ended.plan.steps]
        busy = frozenset() if last is None else last.busy
        blocked = () if last is None else last.plan.blocked
        return reconciliation.Reconciliation(
            source.revision or "",
            source.result,
            source.message,
            source.problems,
            self._facts.pass_error if last is None else "",
            tuple(
                reconciliation.Step(str(step.key), type(step).__name__, step.cause.reason.value, _message(step.cause))
                for step in steps
            ),
            tuple(str(key) for key in sorted(busy)),
            tuple(
                reconciliation.Waiting(str(item.key), item.reason, item.message)
                for item in blocked
                if item.key not in busy
            ),
        )

    def _source(self) -> status.SourceStatus:
        health, last = self._facts.health, self._facts.last_pass
        revision, read_at = self._facts.standing or (None, None)
        revisions = self._parts.book.history.revisions(1)
        return status.SourceStatus(
            location=self._location,
            revision=revision,
            read_at=read_at,
            applied_at=revisions[0].applied_at if revisions else None,
            looked_at=health.last_attempt,
            result=self._facts.look_result,
            succeeded_at=health.last_success,
            failures=health.failures,
            message=health.error,
            declares_nothing=last is not None and last.desired.is_known and not any(True for _ in last.desired),
            problems=self._facts.problems,
            suspended_at=self._parts.book.suspensions.current.source,
        )

    def _troubles(self, stuck: str) -> Iterator[status.Trouble]:
        if stuck:
            yield status.Trouble(status.TroubleReason.AGENT_STUCK, f"the agent is stuck: {stuck}")
        if self._facts.pass_error:
            message = f"the runtime cannot be looked at: {self._facts.pass_error}"
            yield status.Trouble(status.TroubleReason.RUNTIME_NOT_OBSERVED, message)
        elif self._facts.last_pass is None:
            yield status.Trouble(status.TroubleReason.RUNTIME_NOT_OBSERVED, "nothing has been looked at yet")
        yield from status.source_troubles(self._source(), empty=self._facts.source_empty)
        if failure := self._parts.book.write_failure:
            message = f"the agent's records cannot be written: {failure}"
            yield status.Trouble(status.TroubleReason.RECORDS_NOT_WRITTEN, message)


def _message(cause: actions.Cause) -> str:
    """Return why an action was taken; of fields that differ their names alone: their values may be secrets."""
    return f"{', '.join(cause.fields)} changed" if cause.fields else cause.message
