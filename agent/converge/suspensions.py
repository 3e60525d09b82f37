"""What people have suspended, in the journal: it is kept over restarts of the agent, and ends by a resume only."""

import contextlib
import sqlite3
from collections.abc import Callable

from agent.converge import journal_file
from agent.model import suspension
from agent.model.key import Kind, ObjectKey

SCHEMA = """
CREATE TABLE IF NOT EXISTS suspensions (
    kind TEXT NOT NULL, name TEXT NOT NULL, since REAL NOT NULL, PRIMARY KEY (kind, name));
"""
_SOURCE = ("", "")
"""The row of the whole source, which has no kind and no name."""
_Row = tuple[str, str]


class SuspensionTable:
    """The journal's table of suspensions, and what of it is in memory."""

    def __init__(
        self,
        file: journal_file.JournalFile,
        write: Callable[[Callable[[sqlite3.Connection], sqlite3.Cursor]], sqlite3.Cursor | None],
    ) -> None:
        """Share the journal's file and its way of writing."""
        self._write = write
        self._since = _read(file)
        self._current = _suspensions(self._since)

    @property
    def current(self) -> suspension.Suspensions:
        """Return all that is suspended."""
        return self._current

    def suspend(self, keys: frozenset[ObjectKey] | None, at: float) -> tuple[str, ...] | None:
        """Suspend objects, or the source (``None``); return what was not suspended before, as people read it.

        ``None``: it cannot be written down, and nothing has changed.
        """
        added = [row for row in _rows(keys) if row not in self._since]
        return _subjects(added) if self._replace(dict.fromkeys(added, at), []) else None

    def resume(self, keys: frozenset[ObjectKey] | None) -> tuple[str, ...] | None:
        """Resume objects, or the source (``None``); return what was suspended before, as ``suspend`` does."""
        removed = [row for row in _rows(keys) if row in self._since]
        return _subjects(removed) if self._replace({}, removed) else None

    def restore(self) -> None:
        """Write all of it again: rows may be missing in a journal that was mended."""
        self._replace(self._since, [])

    def _replace(self, added: dict[_Row, float], dropped: list[_Row]) -> bool:
        def work(connection: sqlite3.Connection) -> sqlite3.Cursor:
            connection.executemany("DELETE FROM suspensions WHERE kind = ? AND name = ?", dropped)
            sql = "INSERT OR REPLACE INTO suspensions (kind, name, since) VALUES (?, ?, ?)"
            return connection.executemany(sql, [(*row, since) for row, since in added.items()])

        if (added or dropped) and self._write(work) is None:
            return False
        self._since = {row: since for row, since in self._since.items() if row not in dropped} | added
        self._current = _suspensions(self._since)
        return True


def _read(file: journal_file.JournalFile) -> dict[_Row, float]:
    """Return the rows. A journal of an earlier release that is only read has no such table."""
    if not file.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'suspensions'"):
        return {}
    return {(row["kind"], row["name"]): row["since"] for row in file.rows("SELECT * FROM suspensions")}


def _rows(keys: frozenset[ObjectKey] | None) -> list[_Row]:
    return [_SOURCE] if keys is None else [(key.kind.value, key.name) for key in sorted(keys)]


def _subjects(rows: list[_Row]) -> tuple[str, ...]:
    return tuple(suspension.SOURCE if row == _SOURCE else f"{row[0]}/{row[1]}" for row in rows)


def _suspensions(since: dict[_Row, float]) -> suspension.Suspensions:
    objects = []
    for (kind, name), moment in since.items():
        with contextlib.suppress(ValueError):  # a kind of another release, of which nothing is declared here
            objects.append(suspension.Suspension(ObjectKey(Kind(kind), name), moment))
    return suspension.Suspensions(since.get(_SOURCE), tuple(sorted(objects)))
