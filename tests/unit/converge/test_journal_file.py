"""The journal's file by itself: how it is opened, who can read it, and what becomes of it where it is damaged."""

import contextlib
import os
import pathlib
import re
import sqlite3
import time
from collections.abc import Callable, Iterator

import pytest

from agent.converge import journal_file
from agent.kit import damage, state_format
from tests.unit.converge import conftest

SCHEMA = """
CREATE TABLE IF NOT EXISTS good (id INTEGER PRIMARY KEY, text TEXT NOT NULL, note TEXT NOT NULL DEFAULT 'none');
CREATE INDEX IF NOT EXISTS good_text ON good (text);
"""
EARLIER = "CREATE TABLE good (id INTEGER PRIMARY KEY, text TEXT NOT NULL); INSERT INTO good (text) VALUES ('a')"
NOBODY = 65534


@contextlib.contextmanager
def opened(
    path: pathlib.Path,
    *,
    read_only: bool = False,
    upgrade: Callable[[sqlite3.Connection], None] = lambda _: None,
) -> Iterator[journal_file.JournalFile]:
    """Open a journal's file for a while."""
    file = journal_file.JournalFile(path, SCHEMA, upgrade, read_only=read_only)
    try:
        yield file
    finally:
        file.close()


def put(file: journal_file.JournalFile, text: str) -> None:
    """Write a row."""
    file.write(lambda connection: connection.execute("INSERT INTO good (text) VALUES (?)", (text,)))


def texts(file: journal_file.JournalFile) -> list[str]:
    """Return all rows."""
    return [row["text"] for row in file.rows("SELECT text FROM good ORDER BY id")]


def changed(path: pathlib.Path, script: str) -> None:
    """Run SQL on a database as another program does."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(script)


def filled(path: pathlib.Path, *rows: str) -> None:
    """Write a sound file with rows, all of it in the database itself."""
    with opened(path) as file:
        for text in rows:
            put(file, text)
    changed(path, "PRAGMA wal_checkpoint(TRUNCATE)")


def overwrite_page(path: pathlib.Path, name: str) -> None:
    """Put zeroes in the place of the first page of a table or an index."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(bytes(size))


def test_open__made__has_write_ahead_logging_and_this_releases_format(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as file:
        settings = [file.rows(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous", "user_version")]
        assert settings == ["wal", 1, state_format.FORMAT]
        assert file.mended is None


def test_open__of_an_earlier_release__gets_the_columns_that_it_lacks_and_is_upgraded(tmp_path: pathlib.Path) -> None:
    changed(tmp_path / "j", EARLIER)
    calls: list[str] = []

    def upgrade(connection: sqlite3.Connection) -> None:
        calls.extend(row["note"] for row in connection.execute("SELECT note FROM good"))

    with opened(tmp_path / "j", upgrade=upgrade) as file:
        assert [tuple(row) for row in file.rows("SELECT text, note FROM good")] == [("a", "none")]
        assert file.mended is None
    assert calls == ["none"]


@pytest.mark.parametrize("read_only", [False, True])
def test_open__of_a_newer_format__is_refused_and_let_go_of(tmp_path: pathlib.Path, read_only: bool) -> None:
    filled(tmp_path / "j", "a")
    changed(tmp_path / "j", f"PRAGMA user_version = {state_format.FORMAT + 1}")
    with pytest.raises(state_format.NewerState) as caught, opened(tmp_path / "j", read_only=read_only):
        pass
    assert conftest.open_files(tmp_path) == [], f"after {caught.value}"


def test_open__only_to_read__what_is_no_journal_or_damaged_is_said_and_left_as_it_is(tmp_path: pathlib.Path) -> None:
    changed(tmp_path / "other", "CREATE TABLE other (id INTEGER)")
    (tmp_path / "damaged").write_bytes(b"no database at all" * 1000)
    for name, reason in (("other", "no such table: good"), ("damaged", "file is not a database")):
        before = (tmp_path / name).read_bytes()
        message = re.escape(f"cannot open the journal {tmp_path / name}: {reason}")
        with (
            pytest.raises(journal_file.JournalUnavailable, match=message) as caught,
            opened(tmp_path / name, read_only=True),
        ):
            pass
        assert caught.value.hint == "look at the disk and at its permissions"
        assert (tmp_path / name).read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged", "other"]


def test_open__only_to_read_and_not_there__says_how_one_comes_about_and_makes_none(tmp_path: pathlib.Path) -> None:
    message = re.escape(f"no agent has run here yet: there is no journal {tmp_path / 'j'}")
    with (
        pytest.raises(journal_file.JournalUnavailable, match=message) as caught,
        opened(tmp_path / "j", read_only=True),
    ):
        pass
    assert caught.value.hint == "start one by trimtab run SOURCE, or give the --root of the one that runs"
    assert list(tmp_path.iterdir()) == []


def test_open__cannot_be_written_beside__is_refused_and_not_taken_for_damaged(tmp_path: pathlib.Path) -> None:
    filled(tmp_path / "j", "a")
    (tmp_path / "j-wal").mkdir()  # where SQLite needs a file
    with (
        pytest.raises(journal_file.JournalUnavailable, match="cannot open the journal") as caught,
        opened(tmp_path / "j"),
    ):
        pass
    assert caught.value.hint == "look at the disk and at its permissions"
    assert damage.put_aside_before(tmp_path / "j") == []


@pytest.mark.root
def test_open__of_somebody_else__says_that_it_is_withheld(tmp_path: pathlib.Path) -> None:
    filled(tmp_path / "j", "a")
    tmp_path.chmod(0o700)
    os.seteuid(NOBODY)
    try:
        with pytest.raises(journal_file.JournalUnavailable) as caught, opened(tmp_path / "j", read_only=True):
            pass
    finally:
        os.seteuid(0)
    assert str(caught.value) == f"the journal {tmp_path / 'j'} cannot be read: permission denied (run it with sudo)"


def test_open__has_tables_that_are_not_ours__is_begun_anew(tmp_path: pathlib.Path) -> None:
    changed(tmp_path / "j", "CREATE TABLE good (strange INTEGER); INSERT INTO good VALUES (1)")
    with opened(tmp_path / "j") as file:
        assert file.mended is not None
        assert texts(file) == []
        put(file, "a")
        assert texts(file) == ["a"]


@pytest.mark.parametrize("place", ["index", "text"])
def test_open__is_damaged_where_nobody_looks_at_first__is_mended_with_what_can_be_read(
    tmp_path: pathlib.Path, place: str
) -> None:
    filled(tmp_path / "j", "a", "b")
    if place == "index":
        overwrite_page(tmp_path / "j", "good_text")
    else:
        changed(tmp_path / "j", "UPDATE good SET text = CAST(x'ff' AS TEXT) WHERE id = 1")
    began = time.time()
    with opened(tmp_path / "j") as file:
        assert file.mended is not None
        assert began <= file.mended.at <= time.time()
        (aside,) = damage.put_aside_before(tmp_path / "j")
        rows = "2 rows" if place == "index" else "1 row"
        assert file.mended.message.startswith("it was damaged (")
        assert file.mended.message.endswith(f"and was begun anew with {rows} of it; it is kept as {aside.name}")
    for _ in range(2):
        with opened(tmp_path / "j") as file:
            assert file.mended is None
            assert texts(file)[-1] == "b"


@pytest.mark.parametrize("writes", [False, True])
def test_use__was_damaged_meanwhile__is_mended_and_whoever_has_rows_in_memory_is_told(
    tmp_path: pathlib.Path, writes: bool
) -> None:
    filled(tmp_path / "j", "a")
    told: list[str] = []
    with opened(tmp_path / "j") as file:
        changed(tmp_path / "j", "INSERT INTO good (text) VALUES ('b'); PRAGMA wal_checkpoint(TRUNCATE)")
        (tmp_path / "j").write_bytes(b"\xff" * (tmp_path / "j").stat().st_size)
        if writes:
            file.on_mended = lambda: told.append("mended")
            put(file, "c")
            assert (told, texts(file)) == (["mended"], ["c"])
        else:
            assert texts(file) == [], "nobody had anything in memory"
        assert file.mended is not None
        assert len(damage.put_aside_before(tmp_path / "j")) == 1


def test_use__only_read_and_damaged_meanwhile__is_said_and_left_as_it_is(tmp_path: pathlib.Path) -> None:
    filled(tmp_path / "j", "a")
    with opened(tmp_path / "j", read_only=True) as file:
        changed(tmp_path / "j", "INSERT INTO good (text) VALUES ('b'); PRAGMA wal_checkpoint(TRUNCATE)")
        (tmp_path / "j").write_bytes(b"\xff" * (tmp_path / "j").stat().st_size)
        message = re.escape(f"cannot read the journal {tmp_path / 'j'}: ")
        with pytest.raises(journal_file.JournalUnavailable, match=message):
            texts(file)
    assert damage.put_aside_before(tmp_path / "j") == []


def test_use__a_statement_is_wrong__is_raised_and_the_file_stays(tmp_path: pathlib.Path) -> None:
    filled(tmp_path / "j", "a")
    with opened(tmp_path / "j") as file:
        with pytest.raises(journal_file.JournalUnavailable, match="no such table: absent"):
            file.rows("SELECT * FROM absent")
        with pytest.raises(sqlite3.OperationalError, match="no such table: absent"):
            file.write(lambda connection: connection.execute("DELETE FROM absent"))
        assert (texts(file), file.mended) == (["a"], None)


def test_write__fails_halfway__nothing_of_it_is_written(tmp_path: pathlib.Path) -> None:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO good (text) VALUES ('half')")
        connection.execute("INSERT INTO good (text) VALUES (NULL)")

    with opened(tmp_path / "j") as file:
        with pytest.raises(sqlite3.IntegrityError):
            file.write(work)
        assert texts(file) == []


def test_close__what_follows__is_refused(tmp_path: pathlib.Path) -> None:
    file = journal_file.JournalFile(tmp_path / "j", SCHEMA, lambda _: None, read_only=False)
    file.close()
    with pytest.raises(journal_file.JournalUnavailable, match="closed database"):
        texts(file)
    assert conftest.open_files(tmp_path) == []
