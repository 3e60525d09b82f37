"""What has happened: revisions, plans and how their actions ended. Bounded; for people, never for decisions."""

import contextlib
import dataclasses
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator

from agent.converge import journal_file, signals
from agent.kit import canonical, frozen
from agent.plan import plan
from agent.reasons import Reason

KEPT_REVISIONS = 100
KEPT_PLANS = 200
"""The outcomes of a plan go with it."""
KEPT_OUTCOMES = 20_000
"""What somebody asks for (``suspend``) belongs to no plan: it would never go otherwise."""

_REVISIONS = """
CREATE TABLE IF NOT EXISTS revisions (
    revision TEXT NOT NULL, source TEXT NOT NULL, read_at REAL NOT NULL, problems TEXT NOT NULL, applied_at REAL)"""
"""A row for each reading that changes what stands, or that is rejected."""
_LAST = "SELECT * FROM revisions ORDER BY rowid DESC LIMIT 1"
_LAST_GOOD = "SELECT applied_at FROM revisions WHERE revision = ?1 AND problems = '[]' ORDER BY rowid DESC LIMIT 1"
_RECORD = f"""
INSERT OR REPLACE INTO revisions (revision, source, read_at, problems, applied_at)
    SELECT ?1, ?2, ?3, ?4, CASE WHEN ?5 THEN ({_LAST_GOOD}) END
    WHERE ?4 = '[]' OR NOT EXISTS (SELECT 1 FROM ({_LAST}) WHERE revision = ?1 AND source = ?2 AND problems = ?4)
"""  # noqa: S608 - ours
"""It becomes the last row: their order is that of reading, whatever the clock said."""
_LAST_OF = "SELECT max(rowid) FROM revisions WHERE revision = ?"

SCHEMA = f"""{_REVISIONS};
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
CREATE TRIGGER IF NOT EXISTS bounded_outcomes AFTER INSERT ON outcomes BEGIN
    DELETE FROM outcomes WHERE rowid <= NEW.rowid - {KEPT_OUTCOMES};
END;
DROP TRIGGER IF EXISTS bounded_revisions;
CREATE TRIGGER IF NOT EXISTS kept_revisions AFTER INSERT ON revisions BEGIN
    DELETE FROM revisions WHERE rowid NOT IN (SELECT rowid FROM revisions ORDER BY rowid DESC LIMIT {KEPT_REVISIONS});
END;
"""  # noqa: S608 - numbers of ours


def upgrade(connection: sqlite3.Connection) -> None:
    """Let a revision have a row for each time that it was read: earlier releases had one by its name, the last.

    The columns stay the same, so that those releases go on with it. Where there is no room for that now, or somebody
    reads, it is done at another start.
    """
    if not any(is_key for *_, is_key in connection.execute("PRAGMA table_info(revisions)")):
        return
    columns = "revision, source, read_at, problems, applied_at"
    with contextlib.suppress(sqlite3.OperationalError), connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ALTER TABLE revisions RENAME TO revisions_by_name")
        connection.execute(_REVISIONS)
        connection.execute(
            f"INSERT INTO revisions ({columns}) SELECT {columns} FROM revisions_by_name ORDER BY rowid"  # noqa: S608 - ours
        )
        connection.execute("DROP TABLE revisions_by_name")


@frozen.value
class Revision:
    """A revision of the source as it was read once."""

    revision: str
    source: str
    read_at: float
    problems: tuple[str, ...]
    """Empty for a good one."""
    applied_at: float | None
    """When all of it had been brought about."""


@frozen.value
class PlanStep:
    """One action of a past plan, without its values: they may be secrets."""

    key: str
    action: str
    reason: str


@frozen.value
class PastPlan:
    """A plan that was performed."""

    id: int
    at: float
    revision: str
    steps: tuple[PlanStep, ...]


@frozen.value
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


@frozen.value
class PastAction:
    """An action that has ended, with the revision that it was for."""

    outcome: Outcome
    revision: str
    """Empty where its plan is not recorded any more."""


class History:
    """The journal's tables of past events."""

    def __init__(
        self,
        file: journal_file.JournalFile,
        write: Callable[[Callable[[sqlite3.Connection], sqlite3.Cursor]], sqlite3.Cursor | None],
    ) -> None:
        """Share the journal's file and its way of writing."""
        self._file = file
        self._write = write
        self._last_plan = 0

    def record_revision(self, revision: Revision, *, has_stood: bool = False) -> None:
        """Write down that a revision was read, but for one that is rejected for the same problems as just before.

        ``has_stood``: what it declares has stood all the while, so that it is applied where it was.
        """
        problems = json.dumps(revision.problems)
        row = (revision.revision, revision.source, revision.read_at, problems, has_stood)
        self._write(lambda connection: connection.execute(_RECORD, row))

    def record_applied(self, revision: str, at: float) -> bool:
        """Write down that all of a revision, as it was read last, has been brought about; tells whether that is new."""
        sql = f"UPDATE revisions SET applied_at = ? WHERE applied_at IS NULL AND rowid = ({_LAST_OF})"  # noqa: S608 - ours
        changed = self._write(lambda connection: connection.execute(sql, (at, revision)))
        return changed is not None and changed.rowcount > 0

    def record_plan(self, revision: str, steps: str, at: float) -> int:
        """Write a plan down, by its ``steps_text``; gives its number."""
        sql = "INSERT INTO plans (at, revision, steps) VALUES (?, ?, ?)"
        row = (at, revision, steps)
        inserted = self._write(lambda connection: connection.execute(sql, row))
        if inserted is not None:
            self._last_plan = inserted.lastrowid or 0
        return self._last_plan

    def record_outcome(self, number: int, finished: signals.ActionFinished) -> None:
        """Write down how an action of a plan ended."""
        action = finished.action
        error = "" if finished.error is None else str(finished.error)
        row = (
            *(number, str(action.key), type(action).__name__, action.cause.reason.value),
            *(finished.result.value, error, finished.at, finished.duration),
        )
        sql = (
            "INSERT INTO outcomes (plan, key, action, reason, result, error, at, duration)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        )
        self._write(lambda connection: connection.execute(sql, row))

    def record_request(self, subject: str, action: str, at: float) -> None:
        """Write down what people have had done to an object, or to the source, that is no action of a plan."""
        row = (subject, action, Reason.REQUESTED.value, signals.Result.SUCCEEDED.value, "", at, 0.0)
        sql = (  # it belongs to the last plan, and goes with it
            "INSERT INTO outcomes (plan, key, action, reason, result, error, at, duration)"
            " VALUES (COALESCE((SELECT max(id) FROM plans), 0), ?, ?, ?, ?, ?, ?, ?)"
        )
        self._write(lambda connection: connection.execute(sql, row))

    def revisions(self, limit: int = KEPT_REVISIONS) -> tuple[Revision, ...]:
        """Give revisions, the one read last first."""
        rows = self._file.rows("SELECT * FROM revisions ORDER BY rowid DESC LIMIT ?", (limit,))
        return tuple(_understood(_revision, rows))

    def plans(self, limit: int = KEPT_PLANS) -> tuple[PastPlan, ...]:
        """Give plans, the last one first."""
        rows = self._file.rows("SELECT * FROM plans ORDER BY id DESC LIMIT ?", (limit,))
        return tuple(_understood(_plan, rows))

    def outcomes(self, number: int) -> tuple[Outcome, ...]:
        """Give how the actions of a plan ended, in that order."""
        rows = self._file.rows("SELECT * FROM outcomes WHERE plan = ? ORDER BY rowid", (number,))
        return tuple(_understood(_outcome, rows))

    def last_outcome(self) -> int:
        """Return the number of the action that ended last; 0 where none is recorded."""
        return int(self._file.rows("SELECT COALESCE(max(rowid), 0) AS number FROM outcomes")[0]["number"])

    def actions(self, limit: int, key: str = "", after: int = 0) -> tuple[PastAction, ...]:
        """Return actions that have ended, the last one first.

        ``key``: of objects of that ``KIND/NAME`` or name; ``after``: that ended after the one of that number.
        """
        sql = (
            "SELECT outcomes.*, COALESCE(plans.revision, '') AS revision FROM outcomes"
            " LEFT JOIN plans ON plans.id = outcomes.plan"
            " WHERE (?1 = '' OR key = ?1 OR substr(key, instr(key, '/') + 1) = ?1) AND outcomes.rowid > ?3"
            " ORDER BY outcomes.rowid DESC LIMIT ?2"
        )
        rows = self._file.rows(sql, (key, limit, after))
        return tuple(_understood(lambda row: PastAction(_outcome(row), row["revision"]), rows))


def _understood(read: Callable[[sqlite3.Row], canonical.T], rows: Iterable[sqlite3.Row]) -> Iterator[canonical.T]:
    """Read rows; one that makes no sense, after a damage or from another release, is passed over."""
    for row in rows:
        with contextlib.suppress(ValueError, TypeError):
            yield read(row)


def _revision(row: sqlite3.Row) -> Revision:
    problems = tuple(json.loads(row["problems"]))
    return Revision(row["revision"], row["source"], row["read_at"], problems, row["applied_at"])


def _plan(row: sqlite3.Row) -> PastPlan:
    steps = canonical.restore(tuple[PlanStep, ...], json.loads(row["steps"]))
    return PastPlan(row["id"], row["at"], row["revision"], steps)


def _outcome(row: sqlite3.Row) -> Outcome:
    fields = {field.name: row[field.name] for field in dataclasses.fields(Outcome)}
    return Outcome(**{**fields, "result": signals.Result(row["result"])})


def steps_text(computed: plan.Plan) -> str:
    """Return what is written down of a plan's steps. Apart from the writing, as there may be thousands of them."""
    return canonical.dumps([PlanStep(str(step.action.key), *name_of(step)) for step in computed.steps]).decode()


def name_of(step: plan.Step) -> tuple[str, str]:
    """Give an action's kind and the reason of its cause."""
    return type(step.action).__name__, step.action.cause.reason.value
