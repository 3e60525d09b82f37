"""What is remembered over restarts, and what happens when it cannot be."""

import pathlib
import sqlite3

import pytest

from agent.converge import history, journal, signals
from agent.model import conditions, ledger, state
from agent.plan import actions, planner
from tests import builders

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
    assert (tmp_path / "j.damaged").exists()


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


def test_read__written_by_another_version__is_left_out(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as book:
        book.remember([ledger.LedgerEntry(KEY, "hash")])
        book.accept(journal.Good(builders.desired(WEB), "here", 5.0))
    with sqlite3.connect(tmp_path / "j") as connection:
        connection.execute("UPDATE ledger SET body = '{\"strange\": 1}'")
        connection.execute("UPDATE good SET desired = '{\"strange\": 1}'")
    connection.close()
    with opened(tmp_path / "j") as book:
        assert book.ledger() == ()
        assert book.good() is None


def test_write__disk_does_not_take_it__is_told_and_remembered_in_memory(tmp_path: pathlib.Path) -> None:
    told: list[str] = []
    with journal.Journal(tmp_path / "j", told.append) as book:
        other = sqlite3.connect(tmp_path / "j")
        other.execute("DROP TABLE ledger")
        other.close()
        entry = ledger.LedgerEntry(KEY, "hash", streak=1)
        book.remember([entry])
        assert book.entry(KEY) == entry
    assert len(told) == 1
    assert "ledger" in told[0]


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


def test_history__revision_is_applied__is_new_only_once(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as book:
        book.history.record_revision(history.Revision("r1", "here", 1.0, ("a.yaml:1:1: oh",), None))
        book.history.record_revision(history.Revision("r1", "here", 2.0, (), None))
        assert book.history.record_applied("r1", 3.0)
        assert not book.history.record_applied("r1", 4.0)
        assert book.history.revisions() == (history.Revision("r1", "here", 2.0, (), 3.0),)


def test_action__has_a_short_name_for_history() -> None:
    cause = actions.Cause(actions.Reason.MISSING, "")
    step = planner.plan.Step(0, actions.RemoveContainer(KEY, cause, "web"), ())
    assert history.name_of(step) == ("RemoveContainer", "Missing")
