"""The journal's SQLite file: opened, read and written, and put aside and begun anew where it turns out to be damaged.

What can still be read of a damaged one is taken over. The journal is memory, not intent, so that nothing waits for it.
"""

import contextlib
import os
import pathlib
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from agent import errors
from agent.kit import columns, counts, damage, frozen, permissions

T = TypeVar("T")


class JournalUnavailable(errors.TrimtabError):
    """The journal cannot be opened."""


@frozen.value
class Mended:
    """What was damaged, and what became of it."""

    message: str
    at: float
    """Seconds since the epoch."""


class JournalFile:
    """The database, for one thread. ``read_only``: beside a running agent, and where nothing can be written."""

    def __init__(
        self, path: pathlib.Path, schema: str, upgrade: Callable[[sqlite3.Connection], None], *, read_only: bool
    ) -> None:
        """Open or make it; ``upgrade`` changes tables of earlier releases beyond columns that they lack.

        Raises ``JournalUnavailable``, and ``kit.state_format.NewerState``.
        """
        self.path = path
        """Where it lies."""
        self._schema, self._upgrade = schema, upgrade
        self._read_only = read_only
        self.mended: Mended | None = None
        """``None`` where nothing was damaged since it was opened."""
        self.on_mended: Callable[[], None] = lambda: None
        """Told that rows may be missing: whoever has them in memory writes them again."""
        try:
            self._connection = self._opened()
        except (sqlite3.DatabaseError, OSError) as error:
            raise _unavailable(path, error, read_only=read_only) from error

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return the rows of a SELECT. Raises ``JournalUnavailable``."""
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.DatabaseError as error:
            if self._read_only or not damage.is_damage(error):
                raise JournalUnavailable(f"cannot read the journal {self.path}: {error}") from error
            self._mend(error)
            return self._connection.execute(sql, parameters).fetchall()

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run statements, all of them or none; once more where the file was damaged and is mended now.

        Raises ``sqlite3.Error``.
        """
        try:
            return self._executed(work)
        except sqlite3.DatabaseError as error:
            if not damage.is_damage(error):
                raise
            self._mend(error)
            return self._executed(work)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _executed(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            return work(connection)

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._connected()
        except sqlite3.DatabaseError as error:
            if self._read_only and damage.is_out_of_reach(error) and self.path.exists():
                return _with_names(damage.copied(self.path))
            if self._read_only or not _is_unusable(error):
                raise
            return self._begun_anew(error)

    def _mend(self, error: sqlite3.DatabaseError) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        self._connection = self._begun_anew(error)
        self.on_mended()

    def _begun_anew(self, error: sqlite3.DatabaseError) -> sqlite3.Connection:
        aside = damage.put_aside(self.path, time.time())
        connection = self._connected()
        count = damage.salvage(aside, connection)
        rows = counts.counted(count, "row")
        message = f"it was damaged ({error}) and was begun anew with {rows} of it; it is kept as {aside.name}"
        self.mended = Mended(message, time.time())
        return connection

    def _connected(self) -> sqlite3.Connection:
        target = f"file:{self.path}?mode=ro" if self._read_only else f"file:{self.path}"
        if not self._read_only:  # what is declared may hold secrets; SQLite gives its other files the mode of this one
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(target, uri=True, isolation_level=None)
        try:
            _with_names(connection)
            if self._read_only:
                columns.check_format(connection, self.path)
                connection.execute("SELECT 1 FROM good")
            else:
                columns.complete(connection, (self._schema,), self.path)
                self._upgrade(connection)
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.executescript(self._schema)
                columns.mark_format(connection, self.path)
                _read_all(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def _read_all(connection: sqlite3.Connection) -> None:
    """Read everything, to change it. Raises ``sqlite3.DatabaseError`` where it is damaged."""
    damage.check(connection)
    for table in damage.tables(connection):
        for _ in connection.execute(f"SELECT * FROM {table}"):  # noqa: S608 - ours
            pass


def _unavailable(path: pathlib.Path, error: Exception, *, read_only: bool) -> JournalUnavailable:
    """Return the error that says which of the reasons it is: each has another way out."""
    if permissions.is_withheld(path):
        message = f"the journal {path} cannot be read: permission denied"
        return JournalUnavailable(message, hint=permissions.RUN_AS_ROOT)
    if read_only and not path.exists():
        message = f"no agent has run here yet: there is no journal {path}"
        return JournalUnavailable(
            message, hint="start one by trimtab run SOURCE, or give the --root of the one that runs"
        )
    return JournalUnavailable(
        f"cannot open the journal {path}: {error}", hint="look at the disk and at its permissions"
    )


def _with_names(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.row_factory = sqlite3.Row
    return connection


def _is_unusable(error: sqlite3.DatabaseError) -> bool:
    """Tell whether the file is damaged, or has tables that are not ours (a sound page at a wrong place)."""
    return damage.is_damage(error) or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
