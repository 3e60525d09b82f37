"""Records of other releases: earlier ones are read, newer ones are refused, and none is taken for damaged."""

import contextlib
import dataclasses
import json
import pathlib
import sqlite3
from typing import Any

import pytest

from agent import errors
from agent.engine import mending, records, redo
from agent.engine.containers import table
from agent.engine.network import table as network_table
from agent.engine.spec import network as network_spec
from agent.kit import canonical, state_format
from tests import addressing
from tests.unit.drivers import test_native_translate as drawn

SCHEMAS = (table.SCHEMA, network_table.SCHEMA)
LATER = table.SCHEMA.replace("id TEXT PRIMARY KEY,", "id TEXT PRIMARY KEY, kind TEXT NOT NULL DEFAULT 'Container',")


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    """Records of a container and of a network with an endpoint and a published port."""
    path = tmp_path / "engine.sqlite"
    assert mending.mend(path, SCHEMAS, {}) == ""
    with contextlib.closing(records.Database(path, SCHEMAS)) as database:
        table.Table(database).put(drawn.record(name="web"))
        kept = network_table.Table(database, "abc")
        kept.put_network(network_spec.NetworkSpec("shop", (addressing.subnet("10.9.0.0/24", "10.9.0.1"),)))
        kept.put_endpoint(addressing.endpoint("1", "web", "shop", "eth0", "10.9.0.2", ()))
        kept.put_publication(network_spec.Publication("1", ()))
    return path


def _change(path: pathlib.Path, sql: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql, values)


def _rewrite(path: pathlib.Path, name: str, **fields: Any) -> None:
    """Change the bodies of a table; ``None`` takes a field out."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (text,) = connection.execute(f"SELECT body FROM {name}").fetchone()  # noqa: S608 - ours
    body = {key: value for key, value in {**json.loads(text), **fields}.items() if value is not None}
    _change(path, f"UPDATE {name} SET body = ?", json.dumps(body))  # noqa: S608 - ours


def _read(path: pathlib.Path) -> tuple[table.Table, network_table.Table]:
    with contextlib.closing(records.Database(path, SCHEMAS)) as database:
        return table.Table(database), network_table.Table(database, "abc")


@pytest.mark.parametrize("read_only", [False, True])
def test_database__of_a_higher_format__is_refused_and_left_as_it_is(path: pathlib.Path, read_only: bool) -> None:
    _change(path, "PRAGMA user_version = 2")
    with pytest.raises(state_format.NewerState, match=f"{path} is state of a newer trimtab"):
        records.Database(path, SCHEMAS, read_only=read_only)
    with pytest.raises(state_format.NewerState):
        mending.mend(path, SCHEMAS, {})
    assert sorted(file.name for file in path.parent.glob("engine.*")) == ["engine.redo", "engine.sqlite"]


def test_database__made_before_there_were_formats__has_this_one(path: pathlib.Path) -> None:
    _change(path, "PRAGMA user_version = 0")
    _read(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (state_format.FORMAT,)


def test_mend__the_redo_log_has_a_higher_format__is_refused_and_nothing_is_made_again(path: pathlib.Path) -> None:
    log = mending.log_of(path)
    head, *lines = log.read_bytes().splitlines(keepends=True)
    assert json.loads(head[9:])["version"] == state_format.FORMAT
    fields = {**json.loads(head[9:]), "version": 2}
    log.write_bytes(redo._line(fields) + b"".join(lines))
    path.unlink()
    with pytest.raises(state_format.NewerState, match=r"engine\.redo is state of a newer trimtab"):
        mending.mend(path, SCHEMAS, {})


@pytest.mark.parametrize("name", ["containers", "networks", "endpoints", "publications"])
def test_table__a_field_that_is_not_known__is_refused(path: pathlib.Path, name: str) -> None:
    _rewrite(path, name, added="x")
    with pytest.raises(state_format.NewerState, match="there is no field 'added'"):
        _read(path)


def test_table__a_container_whose_record_is_damaged__says_which_one(path: pathlib.Path) -> None:
    _rewrite(path, "containers", spec=None)
    with pytest.raises(errors.Unavailable, match=r"the record of container web in .* cannot be read") as failure:
        _read(path)
    assert failure.value.reason == "RecordsDamaged"


@pytest.mark.parametrize(
    "name",
    [field.name for field in dataclasses.fields(table.ContainerRecord) if field.default is not dataclasses.MISSING],
)
def test_table__a_field_is_absent__means_its_default(path: pathlib.Path, name: str) -> None:
    _rewrite(path, "containers", **{name: None})
    (kept,) = _read(path)[0].all()
    assert kept == drawn.record(name="web")


def test_mend__tables_of_an_earlier_release__are_completed_and_no_damage(path: pathlib.Path) -> None:
    """The column stands in the middle of the later schema, and at the end of the table that was there before."""
    assert mending.mend(path, (LATER, network_table.SCHEMA), {}) == ""
    assert mending.mend(path, (LATER, network_table.SCHEMA), {}) == "", "its redo log says the same"
    with contextlib.closing(records.Database(path, (LATER, network_table.SCHEMA))) as database:
        assert [row["kind"] for row in database.query("SELECT kind FROM containers")] == ["Container"]


def test_put__whatever_record__is_what_an_earlier_release_reads(path: pathlib.Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (text,) = connection.execute("SELECT body FROM containers").fetchone()
    assert set(json.loads(text)) == {field.name for field in dataclasses.fields(table.ContainerRecord)}
    assert text == canonical.dumps(drawn.record(name="web")).decode()
