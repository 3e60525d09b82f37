"""The engine's memory: one SQLite database in WAL mode, in which every room keeps tables of its own.

A commit is atomic against a crash of the program. It is not synced one by one (``synchronous=NORMAL``): a power loss
may take the last commits, never the consistency, and whatever then has no record is removed by ``recover``.
"""

import contextlib
import os
import pathlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from agent.engine import errors

Row = sqlite3.Row

NOWHERE = pathlib.Path(":memory:")
"""The path of a database that is empty and forgotten when it is closed."""


class Database:
    """A connection for one thread. Statements commit by themselves unless they stand in a ``transaction``."""

    def __init__(self, path: pathlib.Path, schemas: Iterable[str], *, read_only: bool = False) -> None:
        """Open or make the database; ``schemas`` are idempotent DDL scripts (``CREATE TABLE IF NOT EXISTS``).

        Raises ``errors.Unavailable`` where the file cannot be opened.
        """
        self.read_only = read_only
        target = f"file:{path}?mode=ro" if read_only else f"file:{path}"
        try:
            if not read_only and path != NOWHERE:  # environments are in it; SQLite's other files get its mode
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = sqlite3.connect(target, uri=True, isolation_level=None, timeout=5.0)
            self._connection.row_factory = sqlite3.Row
            if not read_only:
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute("PRAGMA synchronous=NORMAL")
                for schema in schemas:
                    self._connection.executescript(schema)
        except (sqlite3.Error, OSError) as error:
            raise errors.Unavailable(f"cannot open the records at {path}: {error}") from error

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Give all rows of a SELECT."""
        return self._connection.execute(sql, parameters).fetchall()

    def first(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        """Give the first row of a SELECT, or ``None``."""
        row: Row | None = self._connection.execute(sql, parameters).fetchone()
        return row

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement and give the number of rows that it changed.

        Raises ``sqlite3.IntegrityError``, and ``errors.Unavailable`` (``DiskFull``) where it cannot be written.
        """
        with _writing():
            return self._connection.execute(sql, parameters).rowcount

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements inside, or none of them. Must not be nested or span an ``await``. Raises like ``execute``."""
        with _writing():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has rolled it back already
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
        reason, hint = ("DiskFull", "free space on the disk of --root") if full else ("HostFailure", "")
        raise errors.Unavailable(f"the records cannot be written: {error}", hint=hint, reason=reason) from error
