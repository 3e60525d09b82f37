"""The records' redo log: every change of them once more, a line each with a checksum, to make a damaged database again.

It begins with all rows as they were (a snapshot), and goes on with the statements of each transaction, written while
the database is locked for it and before the commit. So it is never behind the database but for what a power loss has
taken of it, and by ``changes``, which the database counts by itself, each knows whether the other one is.
"""

import errno
import json
import os
import pathlib
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from agent.kit import atomicfile, state_format

Statement = tuple[str, Sequence[Any]]
LIMIT = 8 * 1024**2
"""Bytes after the snapshot before the next one is taken, unless the snapshot itself is larger than a quarter of it."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS changes (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL);
INSERT OR IGNORE INTO changes (id, count) VALUES (1, 0);
"""
"""How many rows were changed so far. Triggers count, so that the changes of other releases are counted as well."""


class Broken(Exception):
    """The log is not whole: a line of it is damaged, or it does not lead to where it says."""


class Log:
    """The log of one database. Every call but ``replay`` is made while the database is locked for writing."""

    def __init__(self, path: pathlib.Path) -> None:
        """Nothing is opened yet."""
        self._path = path
        self._descriptor: int | None = None
        self._limit = LIMIT

    def append(self, data: bytes) -> int:
        """Write down a ``transaction`` that is about to be committed, and return where: ``cut`` takes it back.

        Raises ``OSError``; what was written by halves is taken back by itself.
        """
        descriptor = self._opened()
        size = os.fstat(descriptor).st_size
        try:
            whole = os.write(descriptor, data) == len(data)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
        if not whole:
            os.ftruncate(descriptor, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return size

    def cut(self, size: int) -> None:
        """Take back what was appended last: its transaction was not committed."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, size)

    def is_long(self) -> bool:
        """Return whether it is time for another snapshot."""
        return self._descriptor is not None and os.fstat(self._descriptor).st_size > self._limit

    def begin(self, data: bytes) -> None:
        """Start the log anew with a ``snapshot`` of the database. Raises ``OSError``."""
        atomicfile.write(self._path, data, durable=False)
        self.close()
        self._limit = max(LIMIT, 4 * len(data)) + len(data)

    def replay(self, connection: sqlite3.Connection) -> int:
        """Make an empty database, with tables and triggers, what it was.

        Return what it counted before the last transaction, which a crash may have cut short of its commit. Raises
        ``Broken``, after which all that is sound is in the database, ``FileNotFoundError`` without a log, and
        ``kit.state_format.NewerState``.
        """
        data = self._path.read_bytes()
        lines = [*_lines(data), *([] if data.endswith(b"\n") else [None])]
        if lines and isinstance(lines[0], dict):
            state_format.check(self._path, lines[0].get("version"))
        connection.execute("BEGIN")
        try:
            return _replay(connection, lines)
        finally:
            connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _opened(self) -> int:
        """Open the file, again where another process has started it anew, or somebody has removed it."""
        if self._descriptor is not None and os.fstat(self._descriptor).st_nlink == 0:
            self.close()
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o600)
            if os.fstat(self._descriptor).st_size == 0:  # it has no snapshot to begin with: it is time for one
                self._limit = 0
        return self._descriptor


def transaction(changes: int, statements: Sequence[Statement]) -> bytes:
    """Return a transaction as it is written down."""
    return _line([changes, [[sql, list(values)] for sql, values in statements]])


def snapshot(connection: sqlite3.Connection) -> bytes:
    """Return a database as it is written down."""
    lines = [_line([statement, list(values)]) for statement, values in rows(connection)]
    head = {"version": state_format.FORMAT, "changes": changes(connection), "rows": len(lines)}
    return b"".join([_line(head), *lines])


def changes(connection: sqlite3.Connection) -> int:
    """Return how many rows of a database were changed so far."""
    row = connection.execute("SELECT count FROM changes").fetchone()
    return int(row[0])


def count_changes(connection: sqlite3.Connection) -> None:
    """Let a database count its changes."""
    connection.executescript(SCHEMA)
    for table in tables(connection):
        for verb in ("INSERT", "UPDATE", "DELETE"):
            name = f"changes_{table}_{verb.lower()}"
            action = "UPDATE changes SET count = count + 1"
            connection.execute(f"CREATE TRIGGER IF NOT EXISTS {name} AFTER {verb} ON {table} BEGIN {action}; END")


def tables(connection: sqlite3.Connection) -> list[str]:
    """Return the names of all tables that have records."""
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name != 'changes'"
    )
    return sorted(row[0] for row in rows)


def rows(connection: sqlite3.Connection) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Return all rows, each with the statement that inserts it; in an order of their own.

    By the names of the columns: those that were added to a table that was there before come last in it.
    """
    for table in tables(connection):
        columns = sorted(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - names of ours
        order = ", ".join(map(str, range(1, len(columns) + 1)))
        for row in connection.execute(f"SELECT {names} FROM {table} ORDER BY {order}"):  # noqa: S608 - names of ours
            yield statement, tuple(row)


def _replay(connection: sqlite3.Connection, lines: Sequence[Any]) -> int:
    broken = None in lines
    sound = [line for line in lines if line is not None]
    head = sound[0] if sound and isinstance(sound[0], dict) else None
    count = 0 if head is None else int(head["rows"])
    body = sound if head is None else sound[1:]
    snapshot = [line for line in body if isinstance(line[0], str)]
    broken |= head is None or len(snapshot) != count
    broken |= not _executed(connection, snapshot)
    if head is not None:
        connection.execute("UPDATE changes SET count = ?", (head["changes"],))
    before = changes(connection)
    for number, statements in (line for line in body if not isinstance(line[0], str)):
        before = changes(connection)
        broken |= not _executed(connection, statements) or changes(connection) != number
    if broken:
        raise Broken("the redo log is not whole")
    return before


def _executed(connection: sqlite3.Connection, statements: Iterable[Sequence[Any]]) -> bool:
    whole = True
    for sql, values in statements:
        try:
            connection.execute(sql, values)
        except sqlite3.Error:  # it stands on a line that is damaged
            whole = False
    return whole


def _line(value: object) -> bytes:
    data = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    return b"%08x %s\n" % (zlib.crc32(data), data)


def _lines(data: bytes) -> Iterator[Any]:
    """Read all lines; ``None`` for each that is damaged."""
    for line in data.split(b"\n")[:-1]:
        checksum, _, text = line.partition(b" ")
        yield json.loads(text) if checksum == b"%08x" % zlib.crc32(text) else None
