"""Volumes in the records, whichever driver keeps their data."""

import contextlib
import pathlib
import sqlite3
from collections.abc import Iterator

import pytest

from agent.engine import layout, records
from agent.engine.volumes import local, volumes
from agent.kit import state_format


class OtherDriver(local.LocalDriver):
    """A driver of another name."""


@pytest.fixture
def where(tmp_path: pathlib.Path) -> layout.Layout:
    prepared = layout.of(tmp_path / "root", tmp_path / "run")
    prepared.prepare()
    return prepared


@pytest.fixture
def database(where: layout.Layout) -> Iterator[records.Database]:
    with contextlib.closing(records.Database(where.records, (volumes.SCHEMA,))) as opened:
        yield opened


def test_create__with_a_driver__is_that_drivers_from_then_on(
    where: layout.Layout, database: records.Database, tmp_path: pathlib.Path
) -> None:
    drivers = {"other": OtherDriver(tmp_path / "elsewhere")}
    stored = volumes.Volumes(where, database, drivers)
    stored.create("data", (), 1.0, "other")
    stored.create("data", (("a", "b"),), 2.0)
    reopened = volumes.Volumes(where, database, drivers)
    (record,) = reopened.list()
    assert (record.driver, record.path, record.labels) == ("other", tmp_path / "elsewhere/data/_data", (("a", "b"),))
    reopened.recover()
    reopened.remove("data")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_list__a_driver_that_this_release_has_not__is_of_a_newer_one(
    where: layout.Layout, database: records.Database, tmp_path: pathlib.Path
) -> None:
    volumes.Volumes(where, database, {"other": OtherDriver(tmp_path / "elsewhere")}).create("data", (), 1.0, "other")
    with pytest.raises(state_format.NewerState, match="volume data has the driver other"):
        volumes.Volumes(where, database).list()


def test_list__records_of_before_there_were_drivers__are_local(where: layout.Layout) -> None:
    with contextlib.closing(sqlite3.connect(where.records)) as earlier:
        earlier.executescript(
            "CREATE TABLE volumes (name TEXT PRIMARY KEY, labels TEXT NOT NULL, created_at REAL NOT NULL,"
            " removing INTEGER NOT NULL DEFAULT 0); INSERT INTO volumes VALUES ('data', '[]', 1.0, 0)"
        )
    with contextlib.closing(records.Database(where.records, (volumes.SCHEMA,))) as opened:
        (record,) = volumes.Volumes(where, opened).list()
    assert (record.driver, record.path) == ("local", where.volumes / "data/_data")
