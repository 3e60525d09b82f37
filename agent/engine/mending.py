"""A damaged database of records is found when it is opened or used, put aside, and made again from its redo log.

The log is there twice, in different directories. Without a whole one (that of an earlier release, or both damaged too)
whatever can still be read of the damaged database is taken over. What then has no record is left over, and the records
are right about all else.
"""

import contextlib
import fcntl
import os
import pathlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from agent.engine import redo
from agent.kit import columns, damage, frozen
from agent.reasons import Reason

REASON = Reason.RECORDS_DAMAGED
_NEW = ".new"

Check = Callable[[sqlite3.Row], object]
"""Raises ``ValueError`` for a row that its room cannot use."""


@frozen.value
class Damaged:
    """A database that has to be made again."""

    path: pathlib.Path
    logs: tuple[pathlib.Path, ...]
    """Its redo logs, by ``logs_of``."""
    reason: str
    identity: tuple[int, int] | None = None
    """Device and inode of what was found damaged; ``None`` where nobody else can have replaced it."""


def log_of(path: pathlib.Path) -> pathlib.Path:
    """Return where the redo log of a database is."""
    return path.with_suffix(".redo")


def logs_of(path: pathlib.Path, second_log: pathlib.Path | None) -> tuple[pathlib.Path, ...]:
    """Return all redo logs of a database, that beside it first."""
    return (log_of(path), *([] if second_log is None else [second_log]))


def mend(
    path: pathlib.Path, schemas: Iterable[str], checks: Mapping[str, Check], second_log: pathlib.Path | None = None
) -> str:
    """Examine a database before it is used, make it again where it is damaged, and say what was done; else nothing.

    ``second_log``: where the redo log is once more. For who has the instance to himself. Raises ``OSError`` and
    ``sqlite3.Error`` where it cannot be mended either, and ``kit.state_format.NewerState``.
    """
    schemas, logs = tuple(schemas), logs_of(path, second_log)
    if path.exists():
        _complete(path, schemas)
    for suffix in damage.SUFFIXES:
        path.with_name(f"{path.name}{_NEW}{suffix}").unlink(missing_ok=True)
    if path.exists():
        reason = _examined(path, schemas, checks)
    else:
        reason = "the file was removed" if any(log.exists() for log in logs) else ""
    message = rebuild(Damaged(path, logs, reason), schemas) if reason else ""
    with contextlib.closing(connected(path, schemas)) as connection:
        if reason:
            _drop_unusable(connection, checks)
        data = redo.snapshot(connection)
        for log in logs:
            with contextlib.suppress(OSError):  # a full disk: it is begun later, and the database is sound
                redo.Log(log).begin(data)
    return message


def rebuild(damaged: Damaged, schemas: Iterable[str]) -> str:
    """Put a database aside, make it again, and say so. Nothing is done where somebody else has done it meanwhile.

    Raises ``OSError`` and ``sqlite3.Error``.
    """
    path, identity = damaged.path, damaged.identity
    with _alone(path):
        if identity is not None and path.exists() and (path.stat().st_dev, path.stat().st_ino) != identity:
            return ""
        was_removed = not path.exists()
        # what was removed leaves its trace too: ``doctor`` tells of what was put aside
        aside = damage.note(path, time.time()) if was_removed else damage.put_aside(path, time.time())
        fresh = path.with_name(path.name + _NEW)
        source = _rebuilt(fresh, damaged.logs, aside, tuple(schemas))
        fresh.rename(path)
        where = "" if was_removed else f"; it is kept as {aside.name}"
        return f"the records were damaged ({damaged.reason}) and were made again from {source}{where}"


def _rebuilt(fresh: pathlib.Path, logs: Sequence[pathlib.Path], aside: pathlib.Path, schemas: tuple[str, ...]) -> str:
    """Make a database from the first redo log that is whole, or else from what can be read; return what it was."""
    names = ("its redo log", "the copy of its redo log in the run directory")
    for log, name in zip(logs, names, strict=False):
        with _emptied(fresh, schemas) as connection:
            if _is_replayed(log, connection):
                return name
    with _emptied(fresh, schemas) as connection:
        _is_replayed(logs[0], connection)
        damage.salvage(aside, connection)
    return "what could still be read of it"


@contextlib.contextmanager
def _emptied(path: pathlib.Path, schemas: Iterable[str]) -> Iterator[sqlite3.Connection]:
    for suffix in damage.SUFFIXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    with contextlib.closing(connected(path, schemas)) as connection:
        yield connection


def copy(path: pathlib.Path, logs: Iterable[pathlib.Path], schemas: Iterable[str]) -> sqlite3.Connection:
    """Return a copy in memory of what is known, for who only looks, and where nothing can be written.

    Raises ``redo.Broken`` where too little is known, ``OSError``.
    """
    if path.exists():
        with contextlib.suppress(sqlite3.Error):
            connection = damage.copied(path)
            columns.check_format(connection, path)
            damage.check(connection)
            connection.row_factory = sqlite3.Row
            return connection
    for log in logs:
        connection = connected(pathlib.Path(":memory:"), schemas)
        if _is_replayed(log, connection):
            connection.row_factory = sqlite3.Row
            return connection
        connection.close()
    raise redo.Broken("it has no redo log that is whole")


def connected(path: pathlib.Path, schemas: Iterable[str], *, read_only: bool = False) -> sqlite3.Connection:
    """Open a database, with all its tables unless it is only read.

    Raises ``sqlite3.Error``, ``OSError`` and ``kit.state_format.NewerState``.
    """
    in_memory = str(path) == ":memory:"
    if not read_only and not in_memory:  # environments are in it; SQLite's other files get its mode
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    target = f"file:{path}?mode=ro" if read_only else f"file:{path}"
    connection = sqlite3.connect(target, uri=True, isolation_level=None, timeout=5.0)
    try:
        columns.check_format(connection, path)
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            for schema in schemas:
                connection.executescript(schema)
            redo.count_changes(connection)
            columns.mark_format(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _complete(path: pathlib.Path, schemas: Iterable[str]) -> None:
    """Add the columns that an earlier release's tables lack; a damaged database is completed when it is made again."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path, timeout=5.0)) as connection:
        columns.complete(connection, schemas, path)


def _examined(path: pathlib.Path, schemas: Iterable[str], checks: Mapping[str, Check]) -> str:
    """Return what is wrong with a database; empty where nothing is."""
    try:
        with contextlib.closing(connected(path, schemas)) as connection:
            damage.check(connection)
            connection.row_factory = sqlite3.Row
            unusable = [table for table, check in checks.items() if _unusable(connection, table, check)]
            if unusable:
                return f"rows of {', '.join(unusable)} make no sense"
            connection.row_factory = None
            return _compared(path, connection, schemas)
    except sqlite3.Error as error:
        if damage.is_damage(error) or _has_other_tables(error):
            return str(error)
        raise


def _compared(path: pathlib.Path, connection: sqlite3.Connection, schemas: Iterable[str]) -> str:
    """Compare a database with its redo log, which is never behind it after anything but a power loss."""
    with contextlib.closing(connected(pathlib.Path(":memory:"), schemas)) as replayed:
        try:
            before_last = redo.Log(log_of(path)).replay(replayed)
        except (redo.Broken, FileNotFoundError):
            return ""
        present, remembered = redo.changes(connection), redo.changes(replayed)
        if present > remembered or list(redo.rows(connection)) == list(redo.rows(replayed)):
            return ""
        if present == before_last:  # it was killed between the two: the log is what would have been
            _replace_rows(connection, replayed)
            return ""
        return "it is not what its redo log says"


def _replace_rows(connection: sqlite3.Connection, replayed: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for table in redo.tables(connection):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of ours
    for statement, values in redo.rows(replayed):
        connection.execute(statement, values)
    connection.execute("UPDATE changes SET count = ?", (redo.changes(replayed),))
    connection.execute("COMMIT")


def _unusable(connection: sqlite3.Connection, table: str, check: Check) -> list[int]:
    """Return the numbers (rowid) of rows that cannot be used."""
    lines = []
    for row in connection.execute(f"SELECT rowid AS number_, * FROM {table}"):  # noqa: S608 - names of ours
        try:
            check(row)
        except (ValueError, TypeError):
            lines.append(row["number_"])
    return lines


def _drop_unusable(connection: sqlite3.Connection, checks: Mapping[str, Check]) -> None:
    connection.row_factory = sqlite3.Row
    for table, check in checks.items():
        for number in _unusable(connection, table, check):
            connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (number,))  # noqa: S608 - names of ours
    connection.row_factory = None


def _is_replayed(log: pathlib.Path, connection: sqlite3.Connection) -> bool:
    try:
        redo.Log(log).replay(connection)
    except (redo.Broken, FileNotFoundError):
        return False
    return True


def _has_other_tables(error: sqlite3.Error) -> bool:
    """Return whether a statement does not fit the tables: a page of the schema was overwritten by another sound one."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR


@contextlib.contextmanager
def _alone(path: pathlib.Path) -> Iterator[None]:
    """Keep other connections from mending the same database at the same time."""
    descriptor = os.open(log_of(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
