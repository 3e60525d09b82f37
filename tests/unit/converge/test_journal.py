"""What is remembered over restarts, and what happens when it cannot be."""

import contextlib
import dataclasses
import pathlib
import sqlite3
import subprocess
import tempfile
from typing import Any

import pytest

from agent.converge import history, journal, signals
from agent.kit import damage, notices, state_format
from agent.model import conditions, ledger, state
from agent.plan import actions, planner
from agent.reasons import Reason
from tests import builders, damages, full_disks

WEB = builders.config("web", env=(("PASSWORD", "hunter2"),))
KEY = state.key_of(WEB)


def opened(path: pathlib.Path) -> journal.Journal:
    def failed(message: str) -> None:
        pytest.fail(message)

    return journal.Journal(path, failed)


def status(name: str, since: float = 1.0) -> conditions.ObjectStatus:
    ready = conditions.Condition(
        conditions.ConditionType.READY, conditions.ConditionStatus.TRUE, "Running", "ok", since
    )
    return conditions.ObjectStatus(state.key_of(builders.config(name)), "hash", (ready,), "running 1s")


def test_ledger__opened_again__is_as_it_was(tmp_path: pathlib.Path) -> None:
    count = ledger.RestartCount(ledger.RestartReason.OOM, 3)
    entry = ledger.LedgerEntry(KEY, "hash", streak=2, restarts=(count,), restarting=True)
    other = ledger.LedgerEntry(state.key_of(builders.config("api")), "")
    with opened(tmp_path / "j") as book:
        book.remember([entry, other])
        book.forget([other.key])
    with opened(tmp_path / "j") as book:
        assert book.ledger() == (entry,)
        assert book.entry(KEY) == entry
        assert book.entry(other.key) == ledger.LedgerEntry(other.key, "")


def test_statuses__opened_again__are_as_they_were(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as book:
        book.save_statuses([status("web"), status("api"), status("old")], [])
        book.save_statuses([status("web", since=2.0)], [status("old").key])
    with journal.Journal(tmp_path / "j") as book:
        assert book.statuses() == (status("api"), status("web", since=2.0))


def test_good__opened_again__is_as_it_was(tmp_path: pathlib.Path) -> None:
    desired = builders.desired(WEB, builders.network_config(), builders.volume_config())
    with opened(tmp_path / "j") as book:
        assert book.good() is None
        book.accept(journal.Good(builders.desired(), "elsewhere", 4.0))
        book.accept(journal.Good(desired, "here", 5.0))
    with opened(tmp_path / "j") as book:
        assert book.good() == journal.Good(desired, "here", 5.0)


def test_open__damaged_file__is_put_aside(tmp_path: pathlib.Path) -> None:
    (tmp_path / "j").write_bytes(b"this is no database at all, but long enough to be looked at" * 100)
    with opened(tmp_path / "j") as book:
        assert book.ledger() == ()
        book.remember([ledger.LedgerEntry(KEY, "hash")])
        (notice,) = book.notices()
        assert notice.reason is notices.NoticeReason.RECORDS_DAMAGED
        assert "file is not a database" in notice.message
    (aside,) = damage.put_aside_before(tmp_path / "j")
    assert aside.name in notice.message
    with opened(tmp_path / "j") as book:
        assert book.notices() == ()


def _fill(path: pathlib.Path) -> None:
    with opened(path) as book:
        book.accept(journal.Good(builders.desired(WEB), "here", 5.0))
        book.remember([ledger.LedgerEntry(state.key_of(builders.config(f"c{n}")), f"hash{n}") for n in range(200)])
        book.save_statuses([status(f"c{n}") for n in range(200)], [])
        plan = planner.compute_plan(builders.desired(WEB), builders.world(), builders.rules())
        for number in range(50):
            book.record_plan(plan, float(number))
            book.history.record_revision(history.Revision(f"r{number}", "here", float(number), (), None))


@pytest.mark.parametrize("kind", damages.KINDS)
def test_open__damaged_anywhere__opens_keeps_what_it_can_and_goes_on(kind: str) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = pathlib.Path(folder) / "j"
        _fill(path)
        sound = path.read_bytes()
        kept = []
        for seed in range(100):
            damages.damage(path, kind, seed)
            with opened(path) as book:
                kept.append(len(book.ledger()))
                book.statuses(), book.good(), book.history.revisions(), book.history.plans()
                book.remember([ledger.LedgerEntry(KEY, "hash")])
                assert book.entry(KEY).applied_hash == "hash"
            with journal.Journal(path) as book:
                assert book.entry(KEY).applied_hash == "hash"
            for file in path.parent.iterdir():
                file.unlink()
            path.write_bytes(sound)
        assert sum(kept) / len(kept) > 100, "most of it can still be read"


@pytest.mark.parametrize("kind", damages.KINDS)
def test_use__damaged_meanwhile__nothing_that_counts_is_lost(kind: str) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = pathlib.Path(folder) / "j"
        for seed in range(20):
            _fill(path)
            with journal.Journal(path, lambda _: None) as book:
                before = book.ledger()
                with contextlib.closing(sqlite3.connect(path)) as other:
                    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                damages.damage(path, kind, seed)
                book.statuses(), book.good(), book.history.revisions(), book.history.plans()
                for entry in before[:20]:
                    book.remember([dataclasses.replace(entry, streak=7)])
                book.save_statuses([status("c1", since=2.0)], [])
                after = book.ledger()
                mended = book.notices()
            with opened(path) as book:
                if mended:
                    assert book.ledger() == after
            for file in path.parent.iterdir():
                file.unlink()


@pytest.mark.root
def test_look__the_disk_is_full_and_the_agent_was_killed__is_read(tmp_path: pathlib.Path) -> None:
    _fill(tmp_path / "j")
    with opened(tmp_path / "j") as book:
        book.remember([ledger.LedgerEntry(KEY, "hash")])
        copies = {suffix: (tmp_path / f"j{suffix}").read_bytes() for suffix in ("", "-wal")}
    full = tmp_path / "full"
    full.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", full], check=True)
    try:
        for suffix, data in copies.items():
            (full / f"j{suffix}").write_bytes(data)
        full_disks.fill(full)
        with journal.Journal(full / "j") as book:
            assert book.entry(KEY).applied_hash == "hash"
            assert len(book.history.plans()) == 50
    finally:
        subprocess.run(["umount", full], check=True)


def test_open__only_to_read_and_not_there__says_so(tmp_path: pathlib.Path) -> None:
    with pytest.raises(journal.JournalUnavailable, match="--root"):
        journal.Journal(tmp_path / "j")


def test_open__made__is_closed_to_everybody_else(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as book:
        book.accept(journal.Good(builders.desired(WEB), "here", 4.0))
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_open__nowhere_to_write__says_so(tmp_path: pathlib.Path) -> None:
    with pytest.raises(journal.JournalUnavailable, match="permissions"):
        opened(tmp_path / "missing" / "j")


def _write_and_change(path: pathlib.Path, *statements: str) -> None:
    """Write a journal with an entry, a status and a good revision, and change it by SQL statements."""
    with opened(path) as book:
        book.remember([ledger.LedgerEntry(KEY, "hash")])
        book.save_statuses([status("web")], [])
        book.accept(journal.Good(builders.desired(WEB), "here", 5.0))
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    "change",
    [
        "PRAGMA user_version = 2",
        "UPDATE ledger SET body = json_set(body, '$.added', 1)",
        "ALTER TABLE ledger ADD COLUMN added TEXT NOT NULL DEFAULT 'x'",
    ],
)
def test_open__a_newer_release_has_written__is_refused_and_nothing_is_lost(tmp_path: pathlib.Path, change: str) -> None:
    used = ["UPDATE ledger SET added = 'y'"] if "COLUMN" in change else []
    _write_and_change(tmp_path / "j", change, *used)
    (tmp_path / "instance.json").write_text('{"release": "99.0.0"}')
    for _ in range(2):
        with pytest.raises(state_format.NewerState, match=r"j is state of trimtab 99\.0\.0, this is"):
            opened(tmp_path / "j")


@pytest.mark.parametrize(("table", "read"), [("statuses", journal.Journal.statuses), ("good", journal.Journal.good)])
def test_read__a_newer_release_has_written__is_refused(tmp_path: pathlib.Path, table: str, read: Any) -> None:
    column = "desired" if table == "good" else "body"
    _write_and_change(tmp_path / "j", f"UPDATE {table} SET {column} = json_set({column}, '$.added', 1)")  # noqa: S608 - ours
    (tmp_path / "instance.json").write_text('{"release": "99.0.0"}')
    with opened(tmp_path / "j") as book, pytest.raises(state_format.NewerState, match="there is no field 'added'"):
        read(book)


@pytest.mark.parametrize("name", ["streak", "restarts", "restarting", "digests", "newest"])
def test_ledger__an_earlier_release_remembered_less__is_read(tmp_path: pathlib.Path, name: str) -> None:
    _write_and_change(tmp_path / "j", f"UPDATE ledger SET body = json_remove(body, '$.{name}')")  # noqa: S608 - ours
    with opened(tmp_path / "j") as book:
        assert book.ledger() == (ledger.LedgerEntry(KEY, "hash"),)
        assert book.notices() == ()


def test_read__rows_that_make_no_sense__are_told_of(tmp_path: pathlib.Path) -> None:
    _write_and_change(tmp_path / "j", "UPDATE ledger SET body = '{}'")
    with opened(tmp_path / "j") as book:
        (notice,) = book.notices()
    assert notice.reason is notices.NoticeReason.RECORDS_DAMAGED
    assert notice.message.startswith("1 row of ledger cannot be read and does not count: LedgerEntry: the field")


def test_read__damaged_by_whatever__is_left_out(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as book:
        book.remember([ledger.LedgerEntry(KEY, "hash")])
        book.accept(journal.Good(builders.desired(WEB), "here", 5.0))
    with contextlib.closing(sqlite3.connect(tmp_path / "j")) as connection, connection:
        connection.execute("UPDATE ledger SET body = '{\"strange\": 1}'")
        connection.execute("UPDATE good SET desired = '{\"strange\": 1}'")
    connection.close()
    with opened(tmp_path / "j") as book:
        assert book.ledger() == ()
        assert book.good() is None


def test_write__disk_does_not_take_it__is_told_and_remembered_in_memory(tmp_path: pathlib.Path) -> None:
    messages: list[str] = []
    with journal.Journal(tmp_path / "j", messages.append) as book:
        other = sqlite3.connect(tmp_path / "j")
        other.execute("DROP TABLE ledger")
        other.close()
        entry = ledger.LedgerEntry(KEY, "hash", streak=1)
        book.remember([entry])
        assert book.entry(KEY) == entry
    assert len(messages) == 1
    assert "ledger" in messages[0]


def test_history__plans_and_outcomes__tell_no_values(tmp_path: pathlib.Path) -> None:
    computed = planner.compute_plan(builders.desired(WEB), builders.world(), builders.rules())
    with opened(tmp_path / "j") as book:
        number = book.record_plan(computed, 10.0)
        action = computed.steps[0].action
        finished = signals.ActionFinished(action, signals.Result.FAILED, 0.5, OSError("full"), 11.0)
        book.history.record_outcome(number, finished)
        (past,) = book.history.plans()
        (outcome,) = book.history.outcomes(number)
    assert (past.id, past.at, past.revision) == (number, 10.0, "r1")
    assert [(step.key, step.action, step.reason) for step in past.steps] == [
        ("Container/web", "CreateContainer", "Missing"),
        ("Container/web", "StartContainer", "Missing"),
    ]
    assert outcome == history.Outcome(
        number, "Container/web", "CreateContainer", "Missing", signals.Result.FAILED, "full", 11.0, 0.5
    )
    assert b"hunter2" not in (tmp_path / "j").read_bytes()


def test_history__goes_on_and_on__is_bounded(tmp_path: pathlib.Path) -> None:
    computed = planner.compute_plan(builders.desired(WEB), builders.world(), builders.rules())
    finished = signals.ActionFinished(computed.steps[0].action, signals.Result.SUCCEEDED, 0.5, None, 11.0)
    with opened(tmp_path / "j") as book:
        for number in range(history.KEPT_PLANS + 50):
            plan = book.record_plan(computed, float(number))
            book.history.record_outcome(plan, finished)
            book.history.record_revision(history.Revision(f"r{number}", "here", float(number), (), None))
        assert len(book.history.plans(10_000)) == history.KEPT_PLANS
        assert len(book.history.revisions(10_000)) == history.KEPT_REVISIONS
        assert book.history.revisions()[0].revision == f"r{history.KEPT_PLANS + 49}"
        assert book.history.outcomes(1) == ()


def test_history__requests_that_belong_to_no_plan__are_bounded(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as book:
        book.history.record_request("Source", "Suspend", 1.0)
        with contextlib.closing(sqlite3.connect(tmp_path / "j")) as connection, connection:  # as many as an hour has
            connection.execute(
                "INSERT INTO outcomes (rowid, plan, key, action, reason, result, error, at, duration)"
                " VALUES (?, 0, 'Source', 'Resume', 'Requested', 'succeeded', '', 2.0, 0.0)",
                (history.KEPT_OUTCOMES + 1,),
            )
        book.history.record_request("Source", "Suspend", 3.0)
        assert [action.outcome.at for action in book.history.actions(10)] == [3.0, 2.0]


def test_history__revision_is_applied__is_new_only_once(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as book:
        book.history.record_revision(history.Revision("r1", "here", 1.0, ("a.yaml:1:1: oh",), None))
        book.history.record_revision(history.Revision("r1", "here", 2.0, (), None))
        assert book.history.record_applied("r1", 3.0)
        assert not book.history.record_applied("r1", 4.0)
        assert book.history.revisions() == (
            history.Revision("r1", "here", 2.0, (), 3.0),
            history.Revision("r1", "here", 1.0, ("a.yaml:1:1: oh",), None),
        )


def read(revision: str, at: float, *problems: str) -> history.Revision:
    """Return a reading of a revision."""
    return history.Revision(revision, "here", at, problems, None)


def test_history__a_revision_that_comes_again__is_a_row_of_its_own_that_is_applied_anew(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as book:
        for at, revision in ((1.0, "A"), (3.0, "B"), (5.0, "A")):
            book.history.record_revision(read(revision, at))
            assert book.history.record_applied(revision, at + 1.0)
        rows = [(row.revision, row.read_at, row.applied_at) for row in book.history.revisions()]
    assert rows == [("A", 5.0, 6.0), ("B", 3.0, 4.0), ("A", 1.0, 2.0)]


def test_history__what_has_stood_all_the_while__stays_applied(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as book:
        book.history.record_revision(read("A", 1.0))
        book.history.record_applied("A", 2.0)
        book.history.record_revision(read("B", 3.0, "a.yaml:1:1: oh"))
        book.history.record_revision(read("A", 4.0), has_stood=True)
        assert book.history.revisions(1)[0].applied_at == 2.0
        book.history.record_revision(read("A", 5.0))
        assert book.history.revisions(1)[0].applied_at is None, "it declares something else by now"


def test_history__rejected_for_the_same_problems_as_just_before__is_no_second_row(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as book:
        for at, problem in ((1.0, "oh"), (2.0, "oh"), (3.0, "no"), (4.0, "oh")):
            book.history.record_revision(read("A", at, problem))
        assert [row.read_at for row in book.history.revisions()] == [4.0, 3.0, 1.0]
        book.history.record_revision(read("A", 5.0))
        book.history.record_revision(read("A", 6.0))
        assert [row.read_at for row in book.history.revisions(2)] == [6.0, 5.0]


_BY_NAME = """
CREATE TABLE revisions (
    revision TEXT PRIMARY KEY, source TEXT NOT NULL, read_at REAL NOT NULL, problems TEXT NOT NULL, applied_at REAL);
"""
"""As earlier releases have it."""


def by_name(path: pathlib.Path, *revisions: str) -> None:
    """Write a journal of an earlier release."""
    opened(path).__exit__()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(f"DROP TABLE revisions; {_BY_NAME}")
        for number, revision in enumerate(revisions):
            connection.execute("INSERT INTO revisions VALUES (?, 'here', ?, '[]', NULL)", (revision, float(number)))


def test_history__of_an_earlier_release__is_taken_over_in_its_order_and_goes_on(tmp_path: pathlib.Path) -> None:
    by_name(tmp_path / "j", "B", "A", "C")
    with journal.Journal(tmp_path / "j") as looking:
        assert [row.revision for row in looking.history.revisions()] == ["C", "A", "B"], "also where it is only read"
    for _ in range(2):
        with opened(tmp_path / "j") as book:
            assert [row.revision for row in book.history.revisions()] == ["C", "A", "B"]
            assert book.notices() == ()
    with opened(tmp_path / "j") as book:
        book.history.record_revision(read("A", 9.0))
        assert [row.revision for row in book.history.revisions()] == ["A", "C", "A", "B"]
        for number in range(history.KEPT_REVISIONS):
            book.history.record_revision(read("A", float(number)))
        assert len(book.history.revisions(10_000)) == history.KEPT_REVISIONS


def test_history__of_this_release__is_written_to_by_an_earlier_one(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as book:
        book.history.record_revision(read("A", 1.0))
        book.history.record_applied("A", 2.0)
    with contextlib.closing(sqlite3.connect(tmp_path / "j")) as connection, connection:
        connection.execute(  # its statement
            "INSERT OR REPLACE INTO revisions (revision, source, read_at, problems, applied_at)"
            " VALUES ('A', 'here', 3.0, '[]', (SELECT applied_at FROM revisions WHERE revision = 'A'))"
        )
    with opened(tmp_path / "j") as book:
        assert [(row.read_at, row.applied_at) for row in book.history.revisions()] == [(3.0, 2.0), (1.0, 2.0)]


def test_history__of_an_earlier_release_that_somebody_holds__is_written_as_before(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_name(tmp_path / "j", "A", "B")
    monkeypatch.setattr(history, "_REVISIONS", "CREATE TABLE nothing_of_this")  # as a full disk ends it halfway
    with opened(tmp_path / "j") as book:
        book.history.record_revision(read("A", 5.0))
        assert [(row.revision, row.read_at) for row in book.history.revisions()] == [("A", 5.0), ("B", 1.0)]
        assert book.history.record_applied("A", 6.0)


def test_action__has_a_short_name_for_history() -> None:
    cause = actions.Cause(Reason.MISSING, "")
    step = planner.plan.Step(0, actions.RemoveContainer(KEY, cause, "web"), ())
    assert history.name_of(step) == ("RemoveContainer", "Missing")
