"""What the journal has in memory beside its file: when it is written, sorted, mended and told of."""

import contextlib
import pathlib
import sqlite3
import time

import pytest

from agent.converge import journal
from agent.kit import damage, failpoint, notices, state_format
from agent.model import conditions, ledger, suspension
from agent.model.key import Kind, ObjectKey
from tests import builders
from tests.unit.converge import conftest

WEB, API = (ObjectKey(Kind.CONTAINER, name) for name in ("web", "api"))
IMAGE = ObjectKey(Kind.IMAGE, builders.IMAGE)


def opened(path: pathlib.Path) -> journal.Journal:
    return journal.Journal(path, pytest.fail)


def status(name: str) -> conditions.ObjectStatus:
    """Return what is said of a container."""
    ready = conditions.Condition(conditions.ConditionType.READY, conditions.ConditionStatus.TRUE, "Running", "ok", 1.0)
    return conditions.ObjectStatus(ObjectKey(Kind.CONTAINER, name), "hash", (ready,), "running")


def changed(path: pathlib.Path, *statements: str) -> None:
    """Change a journal by SQL, as another program does."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def filled(path: pathlib.Path) -> None:
    """Write a journal with two entries, two statuses and a good revision."""
    with opened(path) as book:
        book.remember([ledger.LedgerEntry(WEB, "a"), ledger.LedgerEntry(API, "b")])
        book.save_statuses([status("web"), status("api")], [])
        book.accept(journal.Good(builders.desired(), "here", 5.0))


def test_ledger__changes__is_sorted_anew_and_otherwise_stays(tmp_path: pathlib.Path) -> None:
    entries = {key: ledger.LedgerEntry(key, "hash") for key in (WEB, IMAGE, API)}
    with opened(tmp_path / "j") as book:
        assert book.ledger() == ()
        book.remember([entries[WEB], entries[IMAGE]])
        book.remember([entries[API]])
        before = book.ledger()
        assert before == (entries[API], entries[WEB], entries[IMAGE])
        book.remember([entries[WEB]])
        book.forget([ObjectKey(Kind.NETWORK, "web")])
        assert book.ledger() is before
        book.forget([API])
        assert book.ledger() == (entries[WEB], entries[IMAGE])


def test_write__nothing_has_changed__writes_nothing(tmp_path: pathlib.Path) -> None:
    filled(tmp_path / "j")
    with journal.Journal(tmp_path / "j") as book:  # which is only read: it could not write
        book.remember([ledger.LedgerEntry(WEB, "a")])
        book.remember([])
        book.forget([IMAGE])
        book.save_statuses([], [])
        assert book.write_failure == ""
        book.forget([WEB])
        assert book.write_failure == "attempt to write a readonly database"


def test_write__works_again__there_is_no_failure_any_more(tmp_path: pathlib.Path) -> None:
    messages: list[str] = []
    with journal.Journal(tmp_path / "j", messages.append) as book:
        changed(tmp_path / "j", "ALTER TABLE ledger RENAME TO elsewhere")
        for _ in range(2):
            book.remember([ledger.LedgerEntry(WEB, "a")])
        assert messages == [book.write_failure] == ["no such table: ledger"]
        changed(tmp_path / "j", "ALTER TABLE elsewhere RENAME TO ledger")
        book.remember([ledger.LedgerEntry(WEB, "b")])
        assert (len(messages), book.write_failure) == (1, "")


def test_suspend__cannot_be_written__says_why_and_what_to_look_at(tmp_path: pathlib.Path) -> None:
    filled(tmp_path / "j")
    with journal.Journal(tmp_path / "j") as book, pytest.raises(journal.JournalUnavailable) as caught:
        book.suspend(None, 1.0)
    reason = "attempt to write a readonly database"
    hint = "nothing has changed; look at the disk and at its permissions"
    assert str(caught.value) == f"the journal {tmp_path / 'j'} cannot be written: {reason} ({hint})"


def test_runtimes__noted__are_kept_once_each(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as book:
        assert book.runtimes() == frozenset()
        for name in ("native", "docker", "native"):
            book.note_runtime(name)
    with opened(tmp_path / "j") as book:
        assert book.runtimes() == {"native", "docker"}


def test_plan__is_to_be_written_down__may_be_where_the_agent_dies(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as book:
        failpoint.arm("converge.journal", "error")
        with pytest.raises(failpoint.FailpointError):
            book.keep_plan("r1", "[]", 1.0)
        assert book.history.plans() == ()


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (["UPDATE ledger SET body = '{' WHERE name = 'web'"], "1 row of ledger cannot be read and does not count: "),
        (["UPDATE ledger SET body = '{'"], "2 rows of ledger cannot be read and do not count: "),
    ],
)
def test_notices__rows_cannot_be_read__say_how_many_and_since_when(
    tmp_path: pathlib.Path, statements: list[str], message: str
) -> None:
    filled(tmp_path / "j")
    changed(tmp_path / "j", *statements)
    began = time.time()
    with opened(tmp_path / "j") as book:
        (notice,) = book.notices()
        assert (notice.reason, notice.subject) == (notices.NoticeReason.RECORDS_DAMAGED, "j")
        assert notice.message.startswith(message)
        assert began <= notice.since <= time.time()


def test_notices__two_tables_cannot_be_read__tell_of_both_until_they_can(tmp_path: pathlib.Path) -> None:
    filled(tmp_path / "j")
    changed(tmp_path / "j", "UPDATE ledger SET body = '{'", "UPDATE statuses SET body = '{'")
    with opened(tmp_path / "j") as book:
        assert book.statuses() == ()
        (notice,) = book.notices()
        of_ledger, of_statuses = notice.message.split("; ")
        assert (of_ledger[:17], of_statuses[:19]) == ("2 rows of ledger ", "2 rows of statuses ")
        book.save_statuses([status("web"), status("api")], [])
        assert book.statuses() == (status("api"), status("web"))
        (notice,) = book.notices()
        assert notice.message == of_ledger


def test_notices__was_damaged_meanwhile__is_told_and_nothing_in_memory_is_lost(tmp_path: pathlib.Path) -> None:
    filled(tmp_path / "j")
    began = time.time()
    with opened(tmp_path / "j") as book:
        book.suspend(frozenset({WEB}), 7.0)
        before = book.ledger()
        changed(tmp_path / "j", "UPDATE good SET at = 6.0")
        changed(tmp_path / "j", "PRAGMA wal_checkpoint(TRUNCATE)")
        (tmp_path / "j").write_bytes(b"\xff" * (tmp_path / "j").stat().st_size)
        assert book.history.plans() == ()
        (notice,) = book.notices()
        assert (notice.reason, notice.subject) == (notices.NoticeReason.RECORDS_DAMAGED, "j")
        assert notice.message.startswith("it was damaged (")
        assert began <= notice.since <= time.time()
    with opened(tmp_path / "j") as book:
        assert book.ledger() == before
        assert book.suspensions.current == suspension.Suspensions(None, (suspension.Suspension(WEB, 7.0),))


@pytest.mark.parametrize(("table", "subject"), [("statuses", "table statuses"), ("good", "the last good revision")])
def test_read__a_newer_release_has_written__says_what_of_it(tmp_path: pathlib.Path, table: str, subject: str) -> None:
    filled(tmp_path / "j")
    column = "desired" if table == "good" else "body"
    changed(tmp_path / "j", f"UPDATE {table} SET {column} = json_set({column}, '$.added', 1)")  # noqa: S608 - ours
    (tmp_path / state_format.STAMP).write_text('{"release": "99.0.0"}')
    with opened(tmp_path / "j") as book, pytest.raises(state_format.NewerState, match=f": {subject}: "):
        book.good() if table == "good" else book.statuses()


def test_open__a_newer_release_has_written_the_ledger__lets_go_of_the_file(tmp_path: pathlib.Path) -> None:
    filled(tmp_path / "j")
    changed(tmp_path / "j", "UPDATE ledger SET body = json_set(body, '$.added', 1)")
    (tmp_path / state_format.STAMP).write_text('{"release": "99.0.0"}')
    with pytest.raises(state_format.NewerState, match="table ledger") as caught:
        opened(tmp_path / "j")
    assert conftest.open_files(tmp_path) == [], f"after {caught.value}"


def test_read__damaged_beside_a_newer_release__is_left_out(tmp_path: pathlib.Path) -> None:
    filled(tmp_path / "j")
    changed(tmp_path / "j", "UPDATE ledger SET body = '{}'", "UPDATE good SET desired = '{}'")
    (tmp_path / state_format.STAMP).write_text('{"release": "99.0.0"}')
    with opened(tmp_path / "j") as book:
        assert (book.ledger(), book.good()) == ((), None)


def test_is_forgetful__only_where_something_was_declared_that_is_not_known_any_more(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "j"
    with opened(path) as book:
        assert book.is_forgetful() is False, "nothing was ever declared"
        book.accept(journal.Good(builders.desired(), "here", 5.0))
        assert book.is_forgetful() is False
        changed(path, "UPDATE good SET desired = '{'")
        assert book.is_forgetful() is True, "it cannot be read"
        changed(path, "DELETE FROM good")
        assert book.is_forgetful() is False
        damage.put_aside_name(path, 1.0).touch()
        assert book.is_forgetful() is True, "it was damaged before"
        book.accept(journal.Good(builders.desired(), "here", 6.0))
        assert book.is_forgetful() is False
