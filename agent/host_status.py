"""Status where no agent answers: the runtime itself is looked at, and compared with what was last declared.

Of what the last agent wrote down of an object, only the reason is used, and only where it is not ready now either.
"""

import asyncio
import dataclasses
import pathlib
import sqlite3
from collections.abc import Iterator, Mapping

from agent import app, errors, settings
from agent.agent_api import host, objects, status
from agent.converge import goal as goals
from agent.converge import journal, report, verdicts
from agent.kit import damage, frozen
from agent.model import conditions, container, ledger, state, suspension
from agent.model.conditions import ConditionStatus, ConditionType
from agent.model.key import Kind, ObjectKey
from agent.plan import plan
from agent.reasons import Reason

LOOKING = 10.0
"""Seconds that the runtime may take to be looked at."""
_MISSING = "missing"


@frozen.value
class Remembered:
    """What the last agent has written down."""

    desired: state.DesiredState = dataclasses.field(default_factory=lambda: state.DesiredState(""))
    source: status.SourceStatus = dataclasses.field(default_factory=status.SourceStatus)
    statuses: tuple[conditions.ObjectStatus, ...] = ()
    suspensions: suspension.Suspensions = dataclasses.field(default_factory=suspension.Suspensions)
    entries: Mapping[ObjectKey, ledger.LedgerEntry] = dataclasses.field(default_factory=dict)

    def entry(self, key: ObjectKey) -> ledger.LedgerEntry:
        """Return what is remembered of an object."""
        return self.entries.get(key) or ledger.LedgerEntry(key, "")


async def read_status(chosen: settings.Settings, agent: status.AgentStatus, trouble: status.Trouble) -> status.Status:
    """Return the status of a host on which no agent answers; ``agent`` and ``trouble`` say why none does.

    Raises ``JournalUnavailable`` where the journal is not there or may not be read, and nothing of it is seen to run.
    """
    troubles, unread = [trouble], None
    remembered = Remembered()
    try:
        remembered = _remembered(chosen)
    except (journal.JournalUnavailable, sqlite3.Error) as error:
        unread = error
        troubles.append(_trouble(status.TroubleReason.RECORDS_NOT_READ, "the agent's records cannot be read", error))
    statuses, observed = _not_observed(remembered.statuses), None
    try:
        sight = await _look(chosen, agent)
        observed = sight.observed
        statuses = _compared(remembered, sight)
    except (errors.TrimtabError, sqlite3.Error, OSError) as error:  # a TimeoutError is an OSError
        troubles.append(_trouble(status.TroubleReason.RUNTIME_NOT_OBSERVED, "the runtime cannot be looked at", error))
    if unread is not None and not statuses and not _is_kept(chosen):
        raise unread
    troubles += _declaration_troubles(chosen, remembered, something=bool(statuses))
    troubles += status.source_troubles(remembered.source, empty=False)
    disk = host.disk(chosen.root)
    return status.Status(
        dataclasses.replace(agent, runtime=chosen.runtime),
        remembered.source,
        None if observed is None else observed.observed_at,
        objects.objects(
            statuses, objects.ObjectFacts(remembered.entry, remembered.suspensions, remembered.desired, observed)
        ),
        disk,
        (*troubles, *status.disk_troubles(disk)),
    )


async def _look(chosen: settings.Settings, agent: status.AgentStatus) -> app.Sight:
    """Look at the runtime. Raises the runtime's errors and ``TimeoutError``."""
    if chosen.runtime == "memory" and agent.pid is not None:
        raise errors.TrimtabError(f"what is simulated is in the memory of process {agent.pid}")
    async with asyncio.timeout(LOOKING):
        return await app.observe(chosen)


def _is_kept(chosen: settings.Settings) -> bool:
    """Tell whether a journal is there and may be read, or was there: damage is a trouble, its absence an error."""
    try:
        with chosen.journal.open("rb"):
            return True
    except OSError:
        return bool(damage.put_aside_before(chosen.journal))


def _declaration_troubles(
    chosen: settings.Settings, remembered: Remembered, *, something: bool
) -> Iterator[status.Trouble]:
    """Say why nobody knows what is declared; ``something``: there is something of which that would be known."""
    if remembered.desired.is_known:
        return
    aside = next(reversed(damage.put_aside_before(chosen.journal)), None)
    if aside is None and not something:
        return
    because = "" if aside is None else f"the journal was damaged{_when(aside)} and put aside at {aside}: "
    message = "what the source declares is not known until an agent has read it; containers keep running"
    yield status.Trouble(status.TroubleReason.DECLARATION_UNKNOWN, f"{because}{message}")


def _when(aside: pathlib.Path) -> str:
    moment = damage.put_aside_at(aside)
    return "" if moment is None else f" at {moment:%Y-%m-%d %H:%M:%S} UTC"


def _trouble(reason: status.TroubleReason, what: str, error: Exception) -> status.Trouble:
    message = f"no answer within {LOOKING:g} s" if isinstance(error, TimeoutError) else str(error)
    return status.Trouble(reason, f"{what}: {message}")


def _remembered(chosen: settings.Settings) -> Remembered:
    with journal.Journal(chosen.journal) as book:
        good, revisions = book.good(), book.history.revisions(1)
        problems = revisions[0].problems if revisions else ()
        source = status.SourceStatus(
            location=good.source if good else revisions[0].source if revisions else None,
            revision=good.desired.revision if good else None,
            read_at=good.at if good else None,
            applied_at=revisions[0].applied_at if revisions else None,
            result=status.LookResult.UNKNOWN,
            declares_nothing=good is not None and not any(True for _ in good.desired),
            problems=problems,
            suspended_at=book.suspensions.current.source,
        )
        desired = good.desired if good else state.DesiredState("")
        entries = {entry.key: entry for entry in book.ledger()}
        return Remembered(desired, source, book.statuses(), book.suspensions.current, entries)


def _not_observed(statuses: tuple[conditions.ObjectStatus, ...]) -> tuple[conditions.ObjectStatus, ...]:
    """Return what was last written down, as what nobody knows now."""
    return tuple(
        _with_ready(
            dataclasses.replace(item, detail="not observed"),
            ConditionStatus.UNKNOWN,
            Reason.NOT_OBSERVED,
            f"last written down: {item.detail}",
        )
        for item in statuses
    )


def _compared(remembered: Remembered, sight: app.Sight) -> tuple[conditions.ObjectStatus, ...]:
    """Return how every object is now, compared with what was last declared."""
    goal = goals.Goal.everything(remembered.desired)
    observed = goal.visible(sight.observed, sight.owner)
    computed = app.plan_for(remembered.desired, dataclasses.replace(sight, observed=observed))
    before = {item.key: item for item in remembered.statuses}
    current = report.report(verdicts.Facts(goal, observed, computed, {}, {}), before)
    correct = _Correction(remembered.desired, computed, before)
    return tuple(correct.corrected(item) for item in current)


class _Correction:
    """What the agent's words mean where no agent is: nothing is under way, and nobody probes."""

    def __init__(
        self, desired: state.DesiredState, computed: plan.Plan, before: Mapping[ObjectKey, conditions.ObjectStatus]
    ) -> None:
        """Take the plan that nobody carries out, and what was last written down."""
        self._causes = {step.action.key: step.action.cause for step in reversed(computed.steps)}
        self._buckets = dict(computed.buckets)
        self._probed = {config.name for config in desired.containers if _is_probed(config)}
        self._before = before

    def corrected(self, item: conditions.ObjectStatus) -> conditions.ObjectStatus:
        """Return what is so of an object while no agent is there."""
        item = dataclasses.replace(item, until=None)
        ready = report.condition(item, ConditionType.READY)
        if (cause := self._causes.get(item.key)) is not None:
            detail = _MISSING if self._buckets.get(item.key) is plan.Bucket.MISSING else item.detail
            item = dataclasses.replace(item, detail=detail)
            return self._explained(_with_ready(item, ConditionStatus.FALSE, cause.reason, cause.message))
        if item.key.kind is Kind.CONTAINER and item.key.name in self._probed and item.detail.startswith("running"):
            item = dataclasses.replace(item, detail="running, not probed")
            return _with_ready(item, ConditionStatus.UNKNOWN, Reason.NOT_PROBED, "no agent probes it")
        return item if ready.status is ConditionStatus.TRUE else self._explained(item)

    def _explained(self, item: conditions.ObjectStatus) -> conditions.ObjectStatus:
        """Keep the reason that was written down for the same declaration: it says what was tried, and how it failed."""
        old = self._before.get(item.key)
        if old is None or old.config_hash != item.config_hash:
            return item
        was = report.condition(old, ConditionType.READY)
        if was.status is not ConditionStatus.FALSE:
            return item
        return _with_ready(item, report.condition(item, ConditionType.READY).status, was.reason, was.message)


def _is_probed(config: container.ContainerConfig) -> bool:
    health = config.health
    return health.startup is not None or health.readiness is not None or health.liveness is not None


def _with_ready(
    item: conditions.ObjectStatus, ready: ConditionStatus, reason: Reason, message: str
) -> conditions.ObjectStatus:
    """Return a status with another answer to Ready, and nothing under way."""
    corrected = tuple(
        dataclasses.replace(
            condition,
            status=ready
            if condition.type is ConditionType.READY
            else ConditionStatus.FALSE
            if condition.type is ConditionType.RECONCILING
            else condition.status,
            reason=reason,
            message=message,
        )
        for condition in item.conditions
    )
    return dataclasses.replace(item, conditions=corrected)
