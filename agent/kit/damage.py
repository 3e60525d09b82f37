"""Damaged SQLite databases: how they are known, put aside, and read as far as they can be."""

import contextlib
import datetime as dt
import os
import pathlib
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator

KEPT = 3
"""Damaged databases that are kept of one name, the newest: they are for people, and a disk is not to fill with them."""
SUFFIXES = ("", "-wal", "-shm")
"""What SQLite appends to the names of a database's files."""
_MARK = ".damaged-"
_MOMENT = "%Y%m%dT%H%M%S.%f"
"""When a database was put aside (UTC), as it stands in its name."""
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_TOOBIG})
"""Nothing that we write is too big: what is read so is the length in a damaged row."""
_OUT_OF_REACH = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PROTOCOL,
    }
)
_PRIMARY = 0xFF
"""What of an extended result code is its kind."""
_HEADER = 100
"""Bytes at the beginning of a database."""
_LARGEST = 16 * 1024**3
"""Bytes of a database that is believed when it says how large it is."""
_MOST_FINDINGS = 1_000_000
"""Of a check: a mistaken one is told for each row, and must not stand before one that is none."""
_NULL = re.compile(r"NULL value in ([^.]+)\.(.+)")
_NOT_TEXT = "Could not decode to UTF-8"
"""How Python's module says, without a code, that a text in a row is none any more."""


def is_damage(error: BaseException) -> bool:
    """Return whether an error means that the database itself is damaged, and not busy, full or out of reach."""
    if not isinstance(error, sqlite3.Error):
        return False
    code = getattr(error, "sqlite_errorcode", None)
    return (code is not None and code & _PRIMARY in _DAMAGE) or str(error).startswith(_NOT_TEXT)


def is_out_of_reach(error: BaseException) -> bool:
    """Return whether SQLite could not make the files that it needs even to read: on a full disk, or a read-only one."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.Error) and code is not None and code & _PRIMARY in _OUT_OF_REACH


def copied(path: pathlib.Path) -> sqlite3.Connection:
    """Return a copy in memory of a database; nothing is written to its disk. Raises ``OSError``, ``sqlite3.Error``."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a directory of our own in it
    with tempfile.TemporaryDirectory(prefix="trimtab-", dir=memory) as folder:
        copy = pathlib.Path(folder) / "copy"
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(path.with_name(path.name + suffix), copy.with_name(copy.name + suffix))
        target = sqlite3.connect(":memory:", isolation_level=None)
        with contextlib.closing(sqlite3.connect(copy)) as source:
            source.backup(target)
        return target


def check(connection: sqlite3.Connection) -> None:
    """Read every page of a database. Raises ``sqlite3.DatabaseError`` for which ``is_damage`` holds."""
    rows = connection.execute(f"PRAGMA quick_check({_MOST_FINDINGS})").fetchall()
    findings = [row[0] for row in rows if row[0] != "ok" and not _is_mistaken(connection, row[0])]
    if findings or not rows:
        error = sqlite3.DatabaseError(f"database disk image is malformed: {next(iter(findings), None)}")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def _is_mistaken(connection: sqlite3.Connection, finding: str) -> bool:
    """Return whether a finding is SQLite's own mistake.

    Its check (3.40, Debian 12's) takes the columns of a table WITHOUT ROWID in the order of its key: it looks for NULL
    in the wrong ones.
    """
    match = _NULL.fullmatch(finding)
    if match is None:
        return False
    table, column = (name.replace('"', '""') for name in match.groups())
    query = f"""SELECT 1 FROM "{table}" WHERE typeof("{column}") = 'null' LIMIT 1"""  # noqa: S608 - our own names
    return connection.execute(query).fetchone() is None


def put_aside(path: pathlib.Path, now: float) -> pathlib.Path:
    """Rename a database (or any file) with its other files, so that its name is free; old ones are removed."""
    aside = put_aside_name(path, now)
    for suffix in SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    for old in put_aside_before(path)[:-KEPT]:
        for suffix in SUFFIXES:
            old.with_name(old.name + suffix).unlink(missing_ok=True)
    return aside


def put_aside_name(path: pathlib.Path, now: float) -> pathlib.Path:
    """Return what a database is called that is put aside now."""
    moment = dt.datetime.fromtimestamp(now, dt.UTC).strftime(_MOMENT)
    return path.with_name(f"{path.name}{_MARK}{moment}")


def note(path: pathlib.Path, now: float) -> pathlib.Path:
    """Leave the trace of a database that was removed: an empty one, put aside."""
    path.touch(mode=0o600)
    return put_aside(path, now)


def put_aside_before(path: pathlib.Path) -> list[pathlib.Path]:
    """Return the damaged databases that once were at a path, the oldest first."""
    names = path.parent.glob(f"{path.name}{_MARK}*")
    return sorted(file for file in names if not file.name.endswith(SUFFIXES[1:]))


def put_aside_at(aside: pathlib.Path) -> dt.datetime | None:
    """Return when a database was put aside, by its name; ``None`` where that says nothing of it."""
    try:
        return dt.datetime.strptime(aside.name.rpartition(_MARK)[2], _MOMENT).replace(tzinfo=dt.UTC)
    except ValueError:
        return None


def salvage(damaged: pathlib.Path, target: sqlite3.Connection) -> int:
    """Copy all rows that can still be read to an empty database with the same tables, and return their number.

    Rows are read from both ends of a table, as a damaged page in the middle ends each reading. Rows that the target
    has already, by its own keys, stay as they are there.
    """
    count = 0
    _lengthen(damaged)
    with contextlib.suppress(sqlite3.Error), contextlib.closing(_opened(damaged)) as source:
        for table in tables(target):
            columns = [row[1] for row in target.execute(f"PRAGMA table_info({table})")]
            for row in _rows(source, table, columns):
                marks = ", ".join("?" * len(columns))
                with contextlib.suppress(sqlite3.Error):
                    sql = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - ours
                    count += target.execute(sql, row).rowcount
    return count


def _lengthen(path: pathlib.Path) -> None:
    """Append what a truncated database lacks, as zeroes: SQLite reads nothing of one that is shorter than it says."""
    with contextlib.suppress(OSError), path.open("r+b") as file:
        header = file.read(_HEADER)
        page, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
        size = (65536 if page == 1 else page) * pages
        if file.seek(0, os.SEEK_END) < size <= _LARGEST:
            file.truncate(size)


def _opened(path: pathlib.Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}", uri=True, isolation_level=None, timeout=0.0)


def tables(connection: sqlite3.Connection) -> list[str]:
    """Return the names of a database's tables."""
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    return [row[0] for row in connection.execute(sql)]


def _rows(source: sqlite3.Connection, table: str, columns: list[str]) -> Iterator[tuple[object, ...]]:
    for order in ("", " ORDER BY rowid DESC"):
        with contextlib.suppress(sqlite3.Error):
            cursor = source.execute(f"SELECT {', '.join(columns)} FROM {table}{order}")  # noqa: S608 - ours
            while (row := cursor.fetchone()) is not None:
                yield tuple(row)
            return
