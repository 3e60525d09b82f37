"""What is written down of the past, row by row: requests, outcomes, and which of them somebody is told."""

import contextlib
import pathlib
import sqlite3

import pytest

from agent.converge import history, journal, signals
from agent.model import state
from agent.plan import actions
from agent.reasons import Reason
from tests import builders

KEY = state.key_of(builders.config())
START = actions.StartContainer(KEY, actions.Cause(Reason.MISSING, "not there yet"), "web", None, 0)


def opened(path: pathlib.Path) -> journal.Journal:
    return journal.Journal(path, pytest.fail)


def outcome(number: int, error: str, at: float) -> history.Outcome:
    """Return how the start ended."""
    result = signals.Result.FAILED if error else signals.Result.SUCCEEDED
    return history.Outcome(number, "Container/web", "StartContainer", "Missing", result, error, at, 0.5)


def test_actions__of_plans_and_of_people__are_told_whole_and_the_last_one_first(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as book:
        assert book.history.last_outcome() == 0
        first, second = (book.keep_plan(revision, "[]", 1.0) for revision in ("r1", "r2"))
        for number, error, at in ((first, None, 2.0), (second, OSError("full"), 3.0)):
            result = signals.Result.SUCCEEDED if error is None else signals.Result.FAILED
            book.history.record_outcome(number, signals.ActionFinished(START, result, 0.5, error, at))
        book.history.record_request("Network/web", "Suspend", 4.0)
        book.history.record_request("Container/api", "Suspend", 5.0)
        requests = [
            history.Outcome(second, subject, "Suspend", "Requested", signals.Result.SUCCEEDED, "", at, 0.0)
            for subject, at in (("Network/web", 4.0), ("Container/api", 5.0))
        ]
        told = [
            history.PastAction(requests[1], "r2"),
            history.PastAction(requests[0], "r2"),
            history.PastAction(outcome(second, "full", 3.0), "r2"),
            history.PastAction(outcome(first, "", 2.0), "r1"),
        ]
        assert list(book.history.actions(10)) == told
        assert list(book.history.actions(2)) == told[:2]
        assert list(book.history.actions(10, "web")) == told[1:]
        assert list(book.history.actions(10, "Container/web")) == told[2:]
        assert list(book.history.actions(10, after=2)) == told[:2]
        assert book.history.outcomes(first) == (outcome(first, "", 2.0),)
        assert book.history.last_outcome() == 4


def test_actions__their_plan_is_not_recorded__have_no_revision(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as book:
        book.history.record_request("Source", "Suspend", 1.0)
        (told,) = book.history.actions(10)
    assert (told.outcome.plan, told.revision) == (0, "")


def test_history__how_much_of_it_is_kept(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as book:
        for number in range(201):
            book.history.record_revision(history.Revision(f"r{number}", "here", float(number), (), None))
            book.keep_plan(f"r{number}", "[]", float(number))
        assert (len(book.history.revisions(1000)), len(book.history.plans(1000))) == (100, 200)
        assert (len(book.history.revisions()), len(book.history.plans())) == (100, 200)
        book.history.record_request("Source", "Suspend", 1.0)
        with contextlib.closing(sqlite3.connect(tmp_path / "j")) as connection, connection:  # as many as an hour has
            connection.execute("UPDATE outcomes SET rowid = 20000")
        book.history.record_request("Source", "Resume", 2.0)
        assert [action.outcome.at for action in book.history.actions(10)] == [2.0, 1.0]
        with contextlib.closing(sqlite3.connect(tmp_path / "j")) as connection, connection:
            connection.execute("UPDATE outcomes SET rowid = 1 WHERE rowid = 20000")
            connection.execute("UPDATE outcomes SET rowid = 20000 WHERE rowid = 20001")
        book.history.record_request("Source", "Suspend", 3.0)
        assert [action.outcome.at for action in book.history.actions(10)] == [3.0, 2.0]


def test_history__cannot_be_written__says_that_nothing_is_new(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as book:
        book.history.record_revision(history.Revision("r1", "here", 1.0, (), None))
        book.keep_plan("r1", "[]", 1.0)
    with journal.Journal(tmp_path / "j") as looking:
        assert looking.keep_plan("r2", "[]", 2.0) == 0
        assert looking.history.record_applied("r1", 2.0) is False
        assert [plan.revision for plan in looking.history.plans()] == ["r1"]


def test_history__of_this_release__is_not_written_anew_at_each_start(tmp_path: pathlib.Path) -> None:
    def row_numbers() -> list[int]:
        with contextlib.closing(sqlite3.connect(tmp_path / "j")) as connection:
            return [number for (number,) in connection.execute("SELECT rowid FROM revisions")]

    with opened(tmp_path / "j") as book:
        for number in range(102):
            book.history.record_revision(history.Revision(f"r{number}", "here", float(number), (), None))
    before = row_numbers()
    assert max(before) == 102
    with opened(tmp_path / "j"):
        assert row_numbers() == before
