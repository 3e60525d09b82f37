"""What has happened: revisions, plans and how their actions ended. Bounded; for people, never for decisions."""

import contextlib
import dataclasses
import json
import sqlite3
from collections.abc import Callable

from agent.converge import signals
from agent.kit import canonical
from agent.plan import plan

KEPT_REVISIONS = 100
KEPT_PLANS = 200
"""The outcomes of a plan go with it."""

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS revisions (
    revision TEXT PRIMARY KEY, source TEXT NOT NULL, read_at REAL NOT NULL, problems TEXT NOT NULL, applied_at REAL);
CREATE TABLE IF NOT EXISTS plans (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, revision TEXT NOT NULL, steps TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS outcomes (
    plan INTEGER NOT NULL REFERENCES plans (id), key TEXT NOT NULL, action TEXT NOT NULL, reason TEXT NOT NULL,
    result TEXT NOT NULL, error TEXT NOT NULL, at REAL NOT NULL, duration REAL NOT NULL);
CREATE INDEX IF NOT EXISTS outcomes_plan ON outcomes (plan);
CREATE TRIGGER IF NOT EXISTS bounded_plans AFTER INSERT ON plans BEGIN
    DELETE FROM outcomes WHERE plan <= NEW.id - {KEPT_PLANS};
    DELETE FROM plans WHERE id <= NEW.id - {KEPT_PLANS};
END;
CREATE TRIGGER IF NOT EXISTS bounded_revisions AFTER INSERT ON revisions BEGIN
    DELETE FROM revisions WHERE revision NOT IN (
        SELECT revision FROM revisions ORDER BY read_at DESC, rowid DESC LIMIT {KEPT_REVISIONS});
END;
"""  # noqa: S608 - numbers of ours


@dataclasses.dataclass(frozen=True, slots=True)
class Revision:
    """A revision of the source as it was last read."""

    revision: str
    source: str
    read_at: float
    problems: tuple[str, ...]
    """Empty for a good one."""
    applied_at: float | None
    """When all of it had been brought about."""


@dataclasses.dataclass(frozen=True, slots=True)
class PlanStep:
    """One action of a past plan, without its values: they may be secrets."""

    key: str
    action: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class PastPlan:
    """A plan that was performed."""

    id: int
    at: float
    revision: str
    steps: tuple[PlanStep, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """How an action of a plan ended."""

    plan: int
    key: str
    action: str
    reason: str
    result: signals.Result
    error: str
    at: float
    duration: float


class History:
    """The journal's tables of past events."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        writing: Callable[[], contextlib.AbstractContextManager[None]],
    ) -> None:
        """Share the journal's connection and its way of writing."""
        self._connection = connection
        self._writing = writing
        self._last_plan = 0

    def record_revision(self, found: Revision) -> None:
        """Write down that a revision was read."""
        with self._writing():
            self._connection.execute(
                "INSERT INTO revisions VALUES (?, ?, ?, ?, NULL) ON CONFLICT (revision) DO UPDATE SET"
                " source = excluded.source, read_at = excluded.read_at, problems = excluded.problems",
                (found.revision, found.source, found.read_at, json.dumps(found.problems)),
            )

    def record_applied(self, revision: str, at: float) -> bool:
        """Write down that all of a revision has been brought about; tells whether that is new."""
        sql = "UPDATE revisions SET applied_at = ? WHERE revision = ? AND applied_at IS NULL"
        changed = 0
        with self._writing():
            changed = self._connection.execute(sql, (at, revision)).rowcount
        return changed > 0

    def record_plan(self, computed: plan.Plan, at: float) -> int:
        """Write a plan down; gives its number."""
        steps = [PlanStep(str(one.action.key), *name_of(one)) for one in computed.steps]
        with self._writing():
            self._last_plan = (
                self._connection.execute(
                    "INSERT INTO plans (at, revision, steps) VALUES (?, ?, ?)",
                    (at, computed.revision, canonical.dumps(steps).decode()),
                ).lastrowid
                or 0
            )
        return self._last_plan

    def record_outcome(self, number: int, finished: signals.ActionFinished) -> None:
        """Write down how an action of a plan ended."""
        action = finished.action
        error = "" if finished.error is None else str(finished.error)
        row = (
            *(number, str(action.key), type(action).__name__, action.cause.reason.value),
            *(finished.result.value, error, finished.at, finished.duration),
        )
        with self._writing():
            self._connection.execute("INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def revisions(self, limit: int = KEPT_REVISIONS) -> tuple[Revision, ...]:
        """Give revisions, the one read last first."""
        rows = self._connection.execute("SELECT * FROM revisions ORDER BY read_at DESC, rowid DESC LIMIT ?", (limit,))
        return tuple(
            Revision(
                row["revision"], row["source"], row["read_at"], tuple(json.loads(row["problems"])), row["applied_at"]
            )
            for row in rows
        )

    def plans(self, limit: int = KEPT_PLANS) -> tuple[PastPlan, ...]:
        """Give plans, the last one first."""
        rows = self._connection.execute("SELECT * FROM plans ORDER BY id DESC LIMIT ?", (limit,))
        return tuple(
            PastPlan(
                row["id"], row["at"], row["revision"], canonical.restore(tuple[PlanStep, ...], json.loads(row["steps"]))
            )
            for row in rows
        )

    def outcomes(self, number: int) -> tuple[Outcome, ...]:
        """Give how the actions of a plan ended, in that order."""
        rows = self._connection.execute("SELECT * FROM outcomes WHERE plan = ? ORDER BY rowid", (number,))
        return tuple(Outcome(**{**dict(row), "result": signals.Result(row["result"])}) for row in rows)


def name_of(step: plan.Step) -> tuple[str, str]:
    """Give an action's kind and the reason of its cause."""
    return type(step.action).__name__, step.action.cause.reason.value
