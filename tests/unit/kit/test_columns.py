"""Tables of other releases: what is missing is added, what is not known and used is refused."""

import contextlib
import pathlib
import sqlite3
from collections.abc import Iterator

import pytest

from agent.kit import columns, state_format

EARLIER = "CREATE TABLE IF NOT EXISTS volumes (name TEXT PRIMARY KEY, created_at REAL NOT NULL);"
LATER = """
CREATE TABLE IF NOT EXISTS volumes (
    name TEXT PRIMARY KEY, driver TEXT NOT NULL DEFAULT 'local', created_at REAL NOT NULL, size INTEGER);
CREATE INDEX IF NOT EXISTS volumes_driver ON volumes (driver);
"""


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "engine.sqlite"


@contextlib.contextmanager
def database(path: pathlib.Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def test_complete__of_an_earlier_release__absent_columns_mean_their_defaults(path: pathlib.Path) -> None:
    with database(path) as connection:
        connection.executescript(EARLIER)
        connection.execute("INSERT INTO volumes (name, created_at) VALUES ('data', 1.5)")
        columns.complete(connection, [LATER], path)
        connection.executescript(LATER)
        assert connection.execute("SELECT name, driver, created_at, size FROM volumes").fetchall() == [
            ("data", "local", 1.5, None)
        ]


def test_complete__of_a_newer_release_and_not_used__is_left_as_it_is(path: pathlib.Path) -> None:
    with database(path) as connection:
        connection.executescript(LATER)
        connection.execute("INSERT INTO volumes (name, created_at) VALUES ('data', 1.5)")
        names = [row[1] for row in connection.execute("PRAGMA table_info(volumes)")]
        columns.complete(connection, [EARLIER], path)
        assert [row[1] for row in connection.execute("PRAGMA table_info(volumes)")] == names


@pytest.mark.parametrize(("name", "value"), [("driver", "nfs"), ("size", 1)])
def test_complete__of_a_newer_release_and_used__is_refused(path: pathlib.Path, name: str, value: object) -> None:
    with database(path) as connection:
        connection.executescript(LATER)
        connection.execute("INSERT INTO volumes (name, created_at) VALUES ('data', 1.5)")
        connection.execute(f"UPDATE volumes SET {name} = ?", (value,))  # noqa: S608 - ours
        with pytest.raises(state_format.NewerState, match=f"its table volumes has a column {name}"):
            columns.complete(connection, [EARLIER], path)


def test_mark_format__a_database_without_one__has_this_releases(path: pathlib.Path) -> None:
    with database(path) as connection:
        assert columns.check_format(connection, path) == 0
        columns.mark_format(connection, path)
        assert columns.check_format(connection, path) == state_format.FORMAT


def test_mark_format__a_newer_one__is_refused_and_stays(path: pathlib.Path) -> None:
    with database(path) as connection:
        connection.execute("PRAGMA user_version = 2")
        with pytest.raises(state_format.NewerState, match="it has format 2"):
            columns.mark_format(connection, path)
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
