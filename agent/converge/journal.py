"""The agent's memory: one SQLite database beside the engine's.

It is memory, not intent: losing it loses back-offs, counts and history, and what stood while the source was bad. So a
damaged file is put aside, and a write that fails is told and not waited for.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Self

from agent import errors
from agent.converge import history
from agent.kit import canonical, failpoint
from agent.model import conditions, state
from agent.model import ledger as ledgers
from agent.model.key import ObjectKey
from agent.plan import plan

_JOURNAL = failpoint.register("converge.journal")

SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger (kind TEXT, name TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, name));
CREATE TABLE IF NOT EXISTS statuses (kind TEXT, name TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, name));
CREATE TABLE IF NOT EXISTS good (
    id INTEGER PRIMARY KEY CHECK (id = 1), revision TEXT NOT NULL, source TEXT NOT NULL, at REAL NOT NULL,
    desired TEXT NOT NULL);
"""


class JournalUnavailable(errors.TrimtabError):
    """The journal cannot be opened."""


@dataclasses.dataclass(frozen=True, slots=True)
class Good:
    """The last revision without problems: what stands while the source is bad."""

    desired: state.DesiredState
    source: str
    at: float
    """When it was read."""


class Journal:
    """The database, for one thread. Without ``on_failure`` it is only read, beside a running agent."""

    def __init__(self, path: pathlib.Path, on_failure: Callable[[str], None] | None = None) -> None:
        """Open or make it. ``on_failure`` is told of writes that fail. Raises ``JournalUnavailable``."""
        self._on_failure = on_failure
        self._connection = _open(path, read_only=on_failure is None)
        self._ledger = {entry.key: entry for entry in self._restored(ledgers.LedgerEntry, "ledger")}
        self.history = history.History(self._connection, self._writing)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ledger(self) -> tuple[ledgers.LedgerEntry, ...]:
        """Give all entries, sorted by key."""
        return tuple(sorted(self._ledger.values()))

    def entry(self, key: ObjectKey) -> ledgers.LedgerEntry:
        """Give an object's entry, a blank one for an object that nothing is remembered of."""
        return self._ledger.get(key) or ledgers.LedgerEntry(key, "")

    def remember(self, entries: Iterable[ledgers.LedgerEntry]) -> None:
        """Keep entries, replacing those of the same objects."""
        changed = [entry for entry in entries if self._ledger.get(entry.key) != entry]
        self._ledger |= {entry.key: entry for entry in changed}
        self._put("ledger", [(entry.key, entry) for entry in changed])

    def forget(self, keys: Iterable[ObjectKey]) -> None:
        """Drop the entries of objects that are gone."""
        gone = [key for key in keys if self._ledger.pop(key, None) is not None]
        self._drop("ledger", gone)

    def statuses(self) -> tuple[conditions.ObjectStatus, ...]:
        """Give what was last said of each object, sorted by key."""
        return tuple(sorted(self._restored(conditions.ObjectStatus, "statuses"), key=lambda status: status.key))

    def save_statuses(self, changed: Iterable[conditions.ObjectStatus], gone: Iterable[ObjectKey]) -> None:
        """Keep what is said of objects, and drop what was said of those that are gone."""
        self._put("statuses", [(status.key, status) for status in changed])
        self._drop("statuses", list(gone))

    def good(self) -> Good | None:
        """Give the last good revision, if there was one that can still be understood."""
        row = self._connection.execute("SELECT source, at, desired FROM good").fetchone()
        if row is None:
            return None
        try:
            return Good(canonical.restore(state.DesiredState, json.loads(row["desired"])), row["source"], row["at"])
        except ValueError:
            return None  # written by another version of the agent; the source will be read again

    def accept(self, good: Good) -> None:
        """Keep a revision as the last good one."""
        body = canonical.dumps(good.desired).decode()
        with self._writing():
            self._connection.execute(
                "INSERT OR REPLACE INTO good (id, revision, source, at, desired) VALUES (1, ?, ?, ?, ?)",
                (good.desired.revision, good.source, good.at, body),
            )

    def record_plan(self, computed: plan.Plan, at: float) -> int:
        """Write a plan down before it is performed; gives its number, by which outcomes refer to it."""
        _JOURNAL.hit()
        return self.history.record_plan(computed, at)

    def _restored(self, kind: type[canonical.T], table: str) -> Iterator[canonical.T]:
        for row in self._connection.execute(f"SELECT body FROM {table}").fetchall():  # noqa: S608 - ours
            with contextlib.suppress(ValueError):  # written by another version of the agent
                yield canonical.restore(kind, json.loads(row["body"]))

    def _put(self, table: str, values: list[tuple[ObjectKey, object]]) -> None:
        rows = [(key.kind.value, key.name, canonical.dumps(value).decode()) for key, value in values]
        if rows:
            with self._writing():
                self._connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", rows)  # noqa: S608

    def _drop(self, table: str, keys: list[ObjectKey]) -> None:
        rows = [(key.kind.value, key.name) for key in keys]
        if rows:
            with self._writing():
                self._connection.executemany(f"DELETE FROM {table} WHERE kind = ? AND name = ?", rows)  # noqa: S608

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """All statements inside or none of them. A failure is told: a full disk must not stop containers' restarts."""
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.Error as error:
            if self._on_failure is not None:
                self._on_failure(str(error))


def _open(path: pathlib.Path, *, read_only: bool) -> sqlite3.Connection:
    try:
        return _connect(path, read_only=read_only)
    except (sqlite3.DatabaseError, OSError) as error:
        if read_only or not _is_damage(error):
            hint = "has an agent run with this --root?" if read_only else "look at the disk and at its permissions"
            raise JournalUnavailable(f"cannot open the journal {path}: {error}", hint=hint) from error
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(path.with_name(f"{path.name}{suffix}.damaged"))
    return _connect(path, read_only=False)


def _is_damage(error: Exception) -> bool:
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)


def _connect(path: pathlib.Path, *, read_only: bool) -> sqlite3.Connection:
    target = f"file:{path}?mode=ro" if read_only else f"file:{path}"
    if not read_only:  # what is declared may hold secrets; SQLite gives its other files the mode of this one
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(target, uri=True, isolation_level=None, timeout=5.0)
    try:
        connection.row_factory = sqlite3.Row
        if read_only:
            connection.execute("SELECT 1 FROM good")
        else:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.executescript(SCHEMA + history.SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection
