"""SQLite databases of other releases: columns that are missing are added, and ones that are not known are checked.

A column that a release adds to a table has a DEFAULT in its schema: that is what its absence means. One that a newer
release has added is in nobody's way as long as every row has its default.
"""

import contextlib
import pathlib
import sqlite3
from collections.abc import Iterable

from agent.kit import damage, state_format


def check_format(connection: sqlite3.Connection, path: pathlib.Path) -> int:
    """Return the format that a database was last written in; 0 before there were any. Raises ``NewerState``."""
    number = int(connection.execute("PRAGMA user_version").fetchone()[0])
    state_format.check(path, number)
    return number


def mark_format(connection: sqlite3.Connection, path: pathlib.Path) -> None:
    """Write this release's format into a database. Raises ``NewerState``."""
    if check_format(connection, path) != state_format.FORMAT:
        connection.execute(f"PRAGMA user_version = {state_format.FORMAT}")


def complete(connection: sqlite3.Connection, schemas: Iterable[str], path: pathlib.Path) -> None:
    """Add what the tables of an earlier release lack. Raises ``NewerState`` and ``sqlite3.Error``.

    For databases that were there before; it has to be done before the schema is run, whose indices may need a column.
    """
    check_format(connection, path)
    present = {table: _columns(connection, table) for table in damage.tables(connection)}
    with contextlib.closing(sqlite3.connect(":memory:")) as empty:
        for schema in schemas:
            empty.executescript(schema)
        expected = {table: _columns(empty, table) for table in damage.tables(empty)}
    for table in present.keys() & expected.keys():
        for name in expected[table].keys() - present[table].keys():
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {expected[table][name]}")
        for name in present[table].keys() - expected[table].keys():
            _check_default(connection, table, name, path)


def _columns(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """Return the columns of a table, each with its definition."""
    rows = connection.execute(f'PRAGMA table_info("{table}")')
    return {
        name: " ".join(filter(None, (kind, "NOT NULL" if required else "", f"DEFAULT {default or 'NULL'}")))
        for _, name, kind, required, default, _ in rows
    }


def _check_default(connection: sqlite3.Connection, table: str, name: str, path: pathlib.Path) -> None:
    default = next(row[4] for row in connection.execute(f'PRAGMA table_info("{table}")') if row[1] == name)
    query = f'SELECT 1 FROM "{table}" WHERE "{name}" IS NOT ({default or "NULL"}) LIMIT 1'  # noqa: S608 - its own names
    if connection.execute(query).fetchone() is not None:
        raise state_format.newer(path, f"its table {table} has a column {name}")
