"""Whether a database is sound, also where SQLite's own check is mistaken."""

import contextlib
import pathlib
import sqlite3

import pytest

from agent.kit import damage

TABLE = "CREATE TABLE t (a TEXT NOT NULL, b TEXT NOT NULL, c TEXT NOT NULL, PRIMARY KEY (a, c)) WITHOUT ROWID"
"""The order of the key is another one than that of the columns: SQLite 3.40 looks for NULL in the wrong ones."""


def test_check__rows_without_rowid_in_another_order__are_sound() -> None:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(TABLE)
        connection.executemany("INSERT INTO t VALUES (?, 'b', 'c')", [(str(number),) for number in range(300)])
        damage.check(connection)
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (300,)


def test_check__null_where_there_must_be_none__is_damage(tmp_path: pathlib.Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (a TEXT, b TEXT)")
        connection.execute("INSERT INTO t VALUES ('a', NULL)")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = 'CREATE TABLE t (a TEXT, b TEXT NOT NULL)' WHERE name = 't'")
    with contextlib.closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as connection:
        with pytest.raises(sqlite3.DatabaseError, match=r"NULL value in t\.b") as caught:
            damage.check(connection)
        assert damage.is_damage(caught.value)
