"""What the journal records, as it is answered."""

import pathlib
from collections.abc import Iterator

import pytest

from agent.agent_api import past, records
from agent.converge import history, journal, signals
from agent.plan import planner
from tests import builders


@pytest.fixture
def book(tmp_path: pathlib.Path) -> Iterator[journal.Journal]:
    with journal.Journal(tmp_path / "j", pytest.fail) as opened:
        yield opened


def test_revisions__more_than_the_limit__are_the_last_in_the_order_of_reading(book: journal.Journal) -> None:
    for number in range(3):
        book.history.record_revision(history.Revision(f"r{number}", "/srv", float(number), (), None))
    book.history.record_applied("r2", 7.0)
    assert records.revisions(book.history, 2) == (
        past.Revision("r1", "/srv", 1.0, None, ()),
        past.Revision("r2", "/srv", 2.0, 7.0, ()),
    )


def test_revisions__the_same_one_as_before__says_that_something_else_has_changed(book: journal.Journal) -> None:
    for at, revision, problems in ((1.0, "A", ()), (2.0, "A", ()), (3.0, "A", ("no",)), (4.0, "A", ()), (5.0, "B", ())):
        book.history.record_revision(history.Revision(revision, "/srv", at, problems, None))
    assert [row.inputs_changed for row in records.revisions(book.history, 10)] == [False, True, False, False, False]
    assert [row.inputs_changed for row in records.revisions(book.history, 4)] == [True, False, False, False]
    assert [row.read_at for row in records.revisions(book.history, 1)] == [5.0]


@pytest.mark.parametrize(
    ("name", "times"),
    [("", [1.0, 2.0, 3.0]), ("web", [1.0, 3.0]), ("container/web", [1.0, 3.0]), ("worker", [2.0]), ("we", [])],
)
def test_events__of_a_name__are_those_of_the_object_in_order(
    book: journal.Journal, name: str, times: list[float]
) -> None:
    configs = builders.config("web"), builders.config("worker")
    computed = planner.compute_plan(builders.desired(*configs), builders.world(), builders.rules())
    number = book.record_plan(computed, 0.5)
    actions = {step.action.key.name: step.action for step in reversed(computed.steps)}
    for at, key in ((1.0, "web"), (2.0, "worker"), (3.0, "web")):
        error = OSError("full") if at == 3.0 else None
        result = signals.Result.FAILED if error else signals.Result.SUCCEEDED
        book.history.record_outcome(number, signals.ActionFinished(actions[key], result, 0.5, error, at))
    events = records.events(book.history, 20, name)
    assert [event.at for event in events] == times
    assert records.events(book.history, 1, name) == events[-1:]
    if name == "web":
        assert events[-1] == past.Event(3.0, "Container/web", "CreateContainer", "Missing", "failed", "full", 0.5, "r1")
