"""A damaged database of records: it is found, put aside, and what was recorded is there again."""

import contextlib
import json
import os
import pathlib
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator

import pytest

from agent import errors
from agent.engine import engine, mending, records, redo, soundness
from agent.kit import damage
from tests import damages

SCHEMAS = engine.SCHEMAS


@pytest.fixture
def path() -> Iterator[pathlib.Path]:
    """Records of some dozen objects, of an engine that was closed; in memory, as it is opened some thousand times."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = pathlib.Path(folder) / "engine.sqlite"
        assert mending.mend(path, SCHEMAS, soundness.CHECKS) == ""
        with contextlib.closing(records.Database(path, SCHEMAS)) as database:
            _fill(database)
        yield path


def _container(number: int) -> tuple[str, str, str]:
    body = {"id": f"id{number}", "name": f"web{number}", "spec": {"env": ["x" * 1500]}}
    return f"id{number}", f"web{number}", json.dumps(body)


def _fill(database: records.Database) -> None:
    for number in range(40):
        database.execute("INSERT INTO containers (id, name, body) VALUES (?, ?, ?)", _container(number))
        endpoint = {"container_id": f"id{number}", "network": "shop", "address": f"10.0.0.{number}"}
        with database.transaction():
            database.execute(
                "INSERT INTO endpoints (container_id, network, address, body) VALUES (?, 'shop', ?, ?)",
                (f"id{number}", f"10.0.0.{number}", json.dumps(endpoint)),
            )
            database.execute("INSERT INTO snapshots (chain_id, directory) VALUES (?, ?)", (f"c{number}", f"d{number}"))
    for number in range(0, 40, 4):
        database.execute("DELETE FROM containers WHERE id = ?", (f"id{number}",))
    database.execute("INSERT INTO volumes (name, labels, created_at) VALUES ('data', '[]', 1.5)")


def _rows(path: pathlib.Path) -> list[object]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return list(redo.rows(connection))


def _mended(path: pathlib.Path) -> str:
    return mending.mend(path, SCHEMAS, soundness.CHECKS)


def test_mend__sound__says_nothing_and_changes_nothing(path: pathlib.Path) -> None:
    before = _rows(path)
    assert len(before) == 30 + 40 + 40 + 1
    assert _mended(path) == ""
    assert _rows(path) == before
    assert damage.put_aside_before(path) == []


@pytest.mark.parametrize("kind", damages.KINDS)
def test_mend__damaged_anywhere__everything_is_there_again(path: pathlib.Path, kind: str) -> None:
    before, sound = _rows(path), path.read_bytes()
    for seed in range(20):  # a hundred each, and as far as an engine's start, are in test_damaged_records
        damages.damage(path, kind, seed)
        changed = path.read_bytes() != sound
        message = _mended(path)
        assert _rows(path) == before, (kind, seed)
        assert _mended(path) == "", "it is sound from then on"
        if message:
            assert changed
            assert "were damaged" in message
        with contextlib.closing(records.Database(path, SCHEMAS)) as database:
            assert database.execute("UPDATE volumes SET created_at = 1.5") == 1
        for file in path.parent.iterdir():
            file.unlink()
        path.write_bytes(sound)
        _mended(path)
    assert len(damage.put_aside_before(path)) <= damage.KEPT


@pytest.mark.parametrize("kind", damages.KINDS)
def test_mend__its_write_ahead_log_is_damaged__nothing_is_lost(path: pathlib.Path, kind: str) -> None:
    for seed in range(10):
        with contextlib.closing(records.Database(path, SCHEMAS)) as database:
            database.execute("INSERT INTO containers (id, name, body) VALUES (?, ?, ?)", _container(100 + seed))
            before = [tuple(row) for row in database.query("SELECT * FROM containers ORDER BY id")]
            copies = {
                suffix: path.with_name(path.name + suffix).read_bytes() for suffix in ("", "-wal")
            }  # as a kill leaves it
        for suffix, data in copies.items():
            path.with_name(path.name + suffix).write_bytes(data)
        damages.damage(path.with_name(path.name + "-wal"), kind, seed)
        _mended(path)
        with contextlib.closing(records.Database(path, SCHEMAS)) as database:
            assert [tuple(row) for row in database.query("SELECT * FROM containers ORDER BY id")] == before


@pytest.mark.parametrize("kind", damages.KINDS)
def test_mend__the_redo_log_is_damaged__the_database_is_right(path: pathlib.Path, kind: str) -> None:
    before = _rows(path)
    for seed in range(10):
        damages.damage(mending.log_of(path), kind, seed)
        assert _mended(path) == ""
        assert _rows(path) == before


def test_mend__both_are_damaged__what_can_be_read_is_kept(path: pathlib.Path) -> None:
    before = set(map(str, _rows(path)))
    for seed in range(20):
        damages.damage(path, "zeroes", seed)
        damages.damage(mending.log_of(path), "zeroes", seed)
        _mended(path)
        assert set(map(str, _rows(path))) <= before, "nothing is there that never was"
        with contextlib.closing(records.Database(path, SCHEMAS)) as database:
            assert database.execute("INSERT OR REPLACE INTO volumes (name, labels, created_at) VALUES ('a', '[]', 1)")
            database.execute("DELETE FROM volumes WHERE name = 'a'")


def test_mend__killed_before_the_commit__it_is_made_up_for(path: pathlib.Path) -> None:
    with contextlib.closing(records.Database(path, SCHEMAS)) as database:
        before = path.read_bytes(), path.with_name(path.name + "-wal").read_bytes()
        database.execute("DELETE FROM volumes")
    path.write_bytes(before[0])
    path.with_name(path.name + "-wal").write_bytes(before[1])
    assert _mended(path) == "", "that is no damage"
    assert not [row for row in _rows(path) if "volumes" in str(row)]
    assert _mended(path) == ""


def test_mend__an_earlier_release_has_written_meanwhile__its_changes_stand(path: pathlib.Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM containers WHERE id = 'id1'")
        connection.commit()
    before = _rows(path)
    assert _mended(path) == ""
    assert _rows(path) == before


def test_mend__removed__is_made_again(path: pathlib.Path) -> None:
    before = _rows(path)
    path.unlink()
    assert "the file was removed" in _mended(path)
    assert _rows(path) == before


def test_use__damaged_or_removed_meanwhile__goes_on_with_everything(path: pathlib.Path) -> None:
    for seed in range(30):
        messages: list[str] = []
        with contextlib.closing(records.Database(path, SCHEMAS)) as database:
            database.on_mended = messages.append
            before = [tuple(row) for row in database.query("SELECT * FROM endpoints ORDER BY 1, 2")]
            with contextlib.closing(sqlite3.connect(path)) as other:
                other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            damages.damage(path, damages.KINDS[seed % 4], seed)
            if seed % 5 == 0:
                path.unlink()
            with contextlib.suppress(errors.Unavailable), database.transaction():
                database.execute("UPDATE volumes SET created_at = created_at + 1")
            database.execute("UPDATE volumes SET created_at = created_at + 1")
            assert [tuple(row) for row in database.query("SELECT * FROM endpoints ORDER BY 1, 2")] == before
        _mended(path)


def test_use__another_connection_has_mended_it__both_go_on_with_the_same(path: pathlib.Path) -> None:
    with (
        contextlib.closing(records.Database(path, SCHEMAS)) as first,
        contextlib.closing(records.Database(path, SCHEMAS)) as second,
    ):
        path.unlink()
        first.execute("DELETE FROM volumes")
        second.execute("DELETE FROM snapshots")
        assert first.query("SELECT * FROM snapshots") == second.query("SELECT * FROM volumes") == []
    assert _mended(path) == ""


def test_use__many_at_a_time__the_log_says_what_the_database_says(path: pathlib.Path) -> None:
    def work(number: int) -> None:
        with contextlib.closing(records.Database(path, SCHEMAS)) as database:
            for step in range(50):
                database.execute(
                    "INSERT OR REPLACE INTO snapshots (chain_id, directory) VALUES (?, ?)",
                    (f"shared{step % 3}", f"{number}-{step}"),
                )

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    before = _rows(path)
    path.unlink()
    assert _mended(path)
    assert _rows(path) == before


def test_use__the_log_is_long__it_is_begun_anew(path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redo, "LIMIT", 20_000)
    _mended(path)
    size = mending.log_of(path).stat().st_size
    with contextlib.closing(records.Database(path, SCHEMAS)) as database:
        for number in range(2000):
            database.execute("UPDATE volumes SET created_at = ?", (float(number),))
            assert mending.log_of(path).stat().st_size < 6 * size + 40_000
    assert _mended(path) == ""


def test_use__one_log_cannot_be_written__the_other_is_begun_and_tells_all(
    path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redo, "LIMIT", 1_000)
    second = path.with_name("second.redo")
    _mended(path)
    mending.log_of(path).unlink()
    mending.log_of(path).mkdir()
    with contextlib.closing(records.Database(path, SCHEMAS, second_log=second)) as database:
        for number in range(50):
            database.execute("UPDATE volumes SET created_at = ?", (float(number),))
    before = _rows(path)
    path.unlink()
    mending.log_of(path).rmdir()
    mending.mend(path, SCHEMAS, soundness.CHECKS, second)
    assert _rows(path) == before


def test_use__a_statement_fails__is_in_neither(path: pathlib.Path) -> None:
    with contextlib.closing(records.Database(path, SCHEMAS)) as database:
        with pytest.raises(sqlite3.IntegrityError):
            database.execute("INSERT INTO containers (id, name, body) VALUES ('new', 'web1', '{}')")
        with pytest.raises(errors.Unavailable, match="syntax error"):
            _delete_and_fail(database)
        assert len(database.query("SELECT * FROM volumes")) == 1
    assert _mended(path) == ""
    before = _rows(path)
    path.unlink()
    _mended(path)
    assert _rows(path) == before


def _delete_and_fail(database: records.Database) -> None:
    with database.transaction():
        database.execute("DELETE FROM volumes")
        database.query("SELECT * FROM nothing")


def test_look__damaged__shows_what_is_known_and_mends_nothing(path: pathlib.Path) -> None:
    data = b"\0" * 5000
    path.write_bytes(data)
    with contextlib.closing(records.Database(path, SCHEMAS, read_only=True)) as database:
        assert len(database.query("SELECT * FROM containers")) == 30
    assert path.read_bytes() == data


def test_look__damaged_without_a_log__says_so(path: pathlib.Path) -> None:
    path.write_bytes(b"\0" * 5000)
    mending.log_of(path).unlink()
    with (
        pytest.raises(errors.Unavailable, match="are damaged"),
        contextlib.closing(records.Database(path, SCHEMAS, read_only=True)) as database,
    ):
        database.query("SELECT * FROM containers")


def test_files__nobody_else_may_read_them(path: pathlib.Path) -> None:
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file
    assert os.access(path, os.R_OK)


@pytest.fixture
def twice(path: pathlib.Path) -> pathlib.Path:
    """The path of a second redo log; everything was recorded with it."""
    second = path.with_name("run") / "engine.redo"
    second.parent.mkdir()
    assert mending.mend(path, SCHEMAS, soundness.CHECKS, second) == ""
    with contextlib.closing(records.Database(path, SCHEMAS, second_log=second)) as database:
        database.execute("DELETE FROM volumes")
        database.execute("INSERT INTO volumes (name, labels, created_at) VALUES ('more', '[]', 2.5)")
    return second


def _remove(path: pathlib.Path) -> None:
    path.unlink(missing_ok=True)


def _overwrite(path: pathlib.Path) -> None:
    path.write_bytes(b"garbage" * 5000)


@pytest.mark.parametrize("lose", [_remove, _overwrite])
def test_mend__database_and_redo_log_are_both_lost__is_made_again_from_the_second_log(
    path: pathlib.Path, twice: pathlib.Path, lose: Callable[[pathlib.Path], None]
) -> None:
    before = _rows(path)
    for lost in (path, mending.log_of(path)):
        lose(lost)
    with contextlib.closing(records.Database(path, SCHEMAS, read_only=True, second_log=twice)) as database:
        assert [row["name"] for row in database.query("SELECT name FROM volumes")] == ["more"]
    message = mending.mend(path, SCHEMAS, soundness.CHECKS, twice)
    assert "made again from the copy of its redo log in the run directory" in message
    assert _rows(path) == before
    assert len(damage.put_aside_before(path)) == 1, "doctor can tell of it"
    path.unlink()
    twice.unlink()
    assert "made again from its redo log" in mending.mend(path, SCHEMAS, soundness.CHECKS, twice)
    assert _rows(path) == before


@pytest.mark.parametrize("lose", [_remove, _overwrite])
def test_database__both_are_lost_while_it_is_open__goes_on_with_what_the_second_log_has(
    path: pathlib.Path, twice: pathlib.Path, lose: Callable[[pathlib.Path], None]
) -> None:
    messages: list[str] = []
    with contextlib.closing(records.Database(path, SCHEMAS, second_log=twice)) as database:
        database.on_mended = messages.append
        for lost in (path, mending.log_of(path)):
            lose(lost)
        path.with_name(path.name + "-wal").unlink(missing_ok=True)
        database.execute("INSERT INTO volumes (name, labels, created_at) VALUES ('last', '[]', 3.5)")
        assert [row["name"] for row in database.query("SELECT name FROM volumes ORDER BY name")] == ["last", "more"]
    (message,) = messages
    assert "the copy of its redo log" in message
    before = _rows(path)
    path.unlink()
    twice.unlink()
    assert "made again from its redo log" in _mended(path), "it was begun anew"
    assert _rows(path) == before


def test_database__its_redo_log_is_removed_while_it_is_open__begins_another_one(path: pathlib.Path) -> None:
    with contextlib.closing(records.Database(path, SCHEMAS)) as database:
        database.execute("INSERT INTO volumes (name, labels, created_at) VALUES ('more', '[]', 2.5)")
        mending.log_of(path).unlink()
        database.execute("INSERT INTO volumes (name, labels, created_at) VALUES ('last', '[]', 3.5)")
    before = _rows(path)
    path.unlink()
    assert "made again from its redo log" in _mended(path)
    assert _rows(path) == before
