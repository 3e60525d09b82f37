"""The agent's memory: one SQLite database beside the engine's.

It is memory, not intent: losing it loses back-offs, counts and history, and what stood while the source was bad. So a
damaged file is put aside, and a write that fails is told and not waited for.
"""

import pathlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Self, TypeVar

from agent.converge import history, journal_file, suspensions
from agent.kit import canonical, counts, damage, failpoint, frozen, notices, state_format
from agent.model import conditions, state
from agent.model import ledger as ledgers
from agent.model.key import ObjectKey
from agent.plan import plan

T = TypeVar("T")
Rows = list[tuple[str, str, str]]
"""Kind, name and body of what is written down of objects."""
_JOURNAL = failpoint.register("converge.journal")

SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger (kind TEXT, name TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, name));
CREATE TABLE IF NOT EXISTS statuses (kind TEXT, name TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, name));
CREATE TABLE IF NOT EXISTS runtimes (name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS good (
    id INTEGER PRIMARY KEY CHECK (id = 1), revision TEXT NOT NULL, source TEXT NOT NULL, at REAL NOT NULL,
    desired TEXT NOT NULL);
"""


JournalUnavailable = journal_file.JournalUnavailable


@frozen.value
class Good:
    """The last revision without problems: what stands while the source is bad."""

    desired: state.DesiredState
    source: str
    at: float
    """When it was read."""

    def text(self) -> str:
        """Return the desired state as it is written down: without the values that containers refer to."""
        return canonical.dumps(self.desired).decode()


class Journal:
    """The database, for one thread. Without ``on_failure`` it is only read, beside a running agent."""

    def __init__(self, path: pathlib.Path, on_failure: Callable[[str], None] | None = None) -> None:
        """Open or make it. ``on_failure`` is told of writes that fail.

        Raises ``JournalUnavailable``, and ``kit.state_format.NewerState`` for what a newer release has written.
        """
        self._on_failure = on_failure
        self.write_failure = ""
        """Why the last write failed; empty where it succeeded."""
        self._path, self._name = path, path.name
        self._unreadable: dict[str, str] = {}
        """Of tables with rows that are passed over: how many, and what is wrong with the last one."""
        self._opened_at = time.time()
        schema = SCHEMA + history.SCHEMA + suspensions.SCHEMA
        self._file = journal_file.JournalFile(path, schema, history.upgrade, read_only=on_failure is None)
        try:
            self.suspensions = suspensions.SuspensionTable(self._file, self._write)
            self._ledger = {entry.key: entry for entry in self._restored(ledgers.LedgerEntry, "ledger")}
        except BaseException:
            self._file.close()
            raise
        self._sorted: tuple[ledgers.LedgerEntry, ...] | None = None
        self._file.on_mended = self._restore
        self.history = history.History(self._file, self._write)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def notices(self) -> tuple[notices.Notice, ...]:
        """Return that the journal was damaged, if it was since it was opened."""
        reason = notices.NoticeReason.RECORDS_DAMAGED
        if self._file.mended is not None:
            return (notices.Notice(reason, self._name, self._file.mended.message, self._file.mended.at),)
        if self._unreadable:
            message = "; ".join(text for _, text in sorted(self._unreadable.items()))
            return (notices.Notice(reason, self._name, message, self._opened_at),)
        return ()

    def ledger(self) -> tuple[ledgers.LedgerEntry, ...]:
        """Return all entries, sorted by key; sorted again only after one has changed."""
        if self._sorted is None:
            self._sorted = tuple(sorted(self._ledger.values(), key=lambda entry: (entry.key.kind, entry.key.name)))
        return self._sorted

    def entry(self, key: ObjectKey) -> ledgers.LedgerEntry:
        """Give an object's entry, a blank one for an object that nothing is remembered of."""
        return self._ledger.get(key) or ledgers.LedgerEntry(key, "")

    def remember(self, entries: Iterable[ledgers.LedgerEntry]) -> None:
        """Keep entries, replacing those of the same objects."""
        changed = [entry for entry in entries if self._ledger.get(entry.key) != entry]
        if not changed:
            return
        self._ledger |= {entry.key: entry for entry in changed}
        self._sorted = None
        self._put("ledger", [(entry.key, entry) for entry in changed])

    def forget(self, keys: Iterable[ObjectKey]) -> None:
        """Drop the entries of objects that are gone."""
        dropped = [key for key in keys if self._ledger.pop(key, None) is not None]
        if dropped:
            self._sorted = None
            self._drop("ledger", dropped)

    def statuses(self) -> tuple[conditions.ObjectStatus, ...]:
        """Give what was last said of each object, sorted by key. Raises ``kit.state_format.NewerState``."""
        return tuple(sorted(self._restored(conditions.ObjectStatus, "statuses"), key=lambda status: status.key))

    def save_statuses(self, changed: Iterable[conditions.ObjectStatus], dropped: Iterable[ObjectKey]) -> None:
        """Keep what is said of objects, and drop what was said of those that are gone."""
        self.keep_statuses(status_rows(changed), dropped)

    def keep_statuses(self, rows: Rows, dropped: Iterable[ObjectKey]) -> None:
        """Keep statuses whose ``status_rows`` were made before, and drop others."""
        self._put_rows("statuses", rows)
        self._drop("statuses", list(dropped))

    def runtimes(self) -> frozenset[str]:
        """Return the runtimes over which things were brought about in this root."""
        return frozenset(row["name"] for row in self._file.rows("SELECT name FROM runtimes"))

    def note_runtime(self, name: str) -> None:
        """Keep that a runtime is used in this root."""
        if name not in self.runtimes():
            sql = "INSERT INTO runtimes (name) VALUES (?)"
            self._write(lambda connection: connection.execute(sql, (name,)))

    def good(self) -> Good | None:
        """Give the last good revision, if there was one that can still be read.

        Raises ``kit.state_format.NewerState``.
        """
        rows = self._file.rows("SELECT source, at, desired FROM good")
        if not rows:
            return None
        row = rows[0]
        try:
            return Good(canonical.loads(state.DesiredState, row["desired"]), row["source"], row["at"])
        except (canonical.Unreadable, TypeError) as error:
            self._check_newer(error, "the last good revision")
            return None  # what a damage has left; the source will be read again

    def is_forgetful(self) -> bool:
        """Tell whether something was declared of which nothing is known: by damage, or in another version's words."""
        if self.good() is not None:
            return False
        return bool(damage.put_aside_before(self._path) or self._file.rows("SELECT 1 FROM good"))

    def accept(self, good: Good) -> None:
        """Keep a revision as the last good one."""
        self.keep_good(good, good.text())

    def keep_good(self, good: Good, text: str) -> None:
        """Keep a revision whose ``Good.text`` was made before."""
        row = (good.desired.revision, good.source, good.at, text)
        sql = "INSERT OR REPLACE INTO good (id, revision, source, at, desired) VALUES (1, ?, ?, ?, ?)"
        self._write(lambda connection: connection.execute(sql, row))

    def record_plan(self, computed: plan.Plan, at: float) -> int:
        """Write a plan down before it is performed; gives its number, by which outcomes refer to it."""
        return self.keep_plan(computed.revision, history.steps_text(computed), at)

    def keep_plan(self, revision: str, steps: str, at: float) -> int:
        """Write a plan down whose ``history.steps_text`` was made before; gives its number."""
        _JOURNAL.hit()
        return self.history.record_plan(revision, steps, at)

    def suspend(self, keys: frozenset[ObjectKey] | None, at: float) -> tuple[str, ...]:
        """Suspend objects, or the whole source (``None``); return what was not suspended before.

        Raises ``JournalUnavailable`` where it cannot be written: it would not outlive the agent.
        """
        return self._noted("Suspend", self.suspensions.suspend(keys, at), at)

    def resume(self, keys: frozenset[ObjectKey] | None, at: float) -> tuple[str, ...]:
        """Resume objects, or the source; return what was suspended before. Raises as ``suspend``."""
        return self._noted("Resume", self.suspensions.resume(keys), at)

    def _noted(self, action: str, changed: tuple[str, ...] | None, at: float) -> tuple[str, ...]:
        if changed is None:
            message = f"the journal {self._path} cannot be written: {self.write_failure}"
            raise JournalUnavailable(message, hint="nothing has changed; look at the disk and at its permissions")
        for subject in changed:
            self.history.record_request(subject, action, at)
        return changed

    def _restore(self) -> None:
        """Write again what is in memory: a damaged file was begun anew."""
        self._put("ledger", list(self._ledger.items()))
        self.suspensions.restore()

    def _restored(self, kind: type[canonical.T], table: str) -> Iterator[canonical.T]:
        """Read a table; rows that a damage has left are passed over, and told of. Raises ``NewerState``."""
        count = 0
        self._unreadable.pop(table, None)
        for row in self._file.rows(f"SELECT body FROM {table}"):  # noqa: S608 - ours
            try:
                yield canonical.loads(kind, row["body"])
            except (canonical.Unreadable, TypeError) as error:
                self._check_newer(error, f"table {table}")
                count += 1
                self._unreadable[table] = (
                    f"{counts.counted(count, 'row')} of {table} cannot be read and {'does' if count == 1 else 'do'} not"
                    f" count: {error}"
                )

    def _check_newer(self, error: Exception, subject: str) -> None:
        """Raise ``NewerState`` where what cannot be read is a newer release's, and no damage."""
        if isinstance(error, canonical.Unknown) and state_format.is_newer(self._file.path):
            raise state_format.newer(self._file.path, f"{subject}: {error}") from error

    def _put(self, table: str, values: list[tuple[ObjectKey, object]]) -> None:
        self._put_rows(table, _rows(values))

    def _put_rows(self, table: str, rows: Rows) -> None:
        if rows:
            sql = f"INSERT OR REPLACE INTO {table} (kind, name, body) VALUES (?, ?, ?)"  # noqa: S608 - ours
            self._write(lambda connection: connection.executemany(sql, rows))

    def _drop(self, table: str, keys: list[ObjectKey]) -> None:
        rows = [(key.kind.value, key.name) for key in keys]
        if rows:
            sql = f"DELETE FROM {table} WHERE kind = ? AND name = ?"  # noqa: S608 - ours
            self._write(lambda connection: connection.executemany(sql, rows))

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Run statements, all or none. A failure is told: a full disk must not stop containers' restarts."""
        try:
            result = self._file.write(work)
        except sqlite3.Error as error:
            self.write_failure = str(error)
            if self._on_failure is not None:
                self._on_failure(str(error))
            return None
        self.write_failure = ""
        return result


def status_rows(statuses: Iterable[conditions.ObjectStatus]) -> Rows:
    """Return what is written down of statuses. Apart from the writing, as there may be thousands of them."""
    return _rows([(status.key, status) for status in statuses])


def _rows(values: list[tuple[ObjectKey, object]]) -> Rows:
    return [(key.kind.value, key.name, canonical.dumps(value).decode()) for key, value in values]
