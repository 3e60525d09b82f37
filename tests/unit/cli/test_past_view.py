"""The text of history and events."""

from agent.agent_api import past
from agent.cli import past_view

AT = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC


def test_history__each_result__is_a_row_with_its_problems_below() -> None:
    revisions = (
        past.Revision("r1", "/srv", AT, AT + 0.25, ()),
        past.Revision("r2", "/srv", AT + 60.0, None, ("a.yaml:1:1: no", "b.yaml:2:1: \x1bno")),
        past.Revision("r1", "/srv", AT + 120.0, AT + 0.25, ()),
        past.Revision("r3", "/srv", AT + 180.0, None, ()),
    )
    assert list(past_view.history_lines(revisions)) == [
        "READ                  RESULT              REVISION",
        "2023-11-14 22:13:20Z  applied after 0.2s  r1",
        "2023-11-14 22:14:20Z  2 problems          r2",
        "    a.yaml:1:1: no",
        "    b.yaml:2:1: \\x1bno",
        "2023-11-14 22:15:20Z  applied             r1",
        "2023-11-14 22:16:20Z  not applied         r3",
    ]


def test_history__the_same_files_mean_something_else__says_so() -> None:
    revisions = (past.Revision("r1", "/srv", AT, AT + 1.0, ()), past.Revision("r1", "/srv", AT + 60.0, None, (), True))
    assert list(past_view.history_lines(revisions))[-1] == (
        "2023-11-14 22:14:20Z  not applied         r1"
        " (the same files; env files, archives, contexts or settings changed)"
    )


def test_history__nothing_was_read__says_so() -> None:
    assert list(past_view.history_lines(())) == ["nothing was read yet"]


def test_events__each__has_its_reason_result_and_duration_and_the_error_below() -> None:
    events = (
        past.Event(AT, "Container/web", "StartContainer", "Missing", "failed", "no such program: x", 0.25, "r1"),
        past.Event(AT, "Image/nginx", "EnsureImage", "Updated", "succeeded", "", 125.0, "r1"),
        past.Event(AT, "Container/api", "StartContainer", "Missing", "skipped", "", 0.0, "r1"),
    )
    assert list(past_view.event_lines(events)) == [
        "TIME                  OBJECT         ACTION          REASON   RESULT",
        "2023-11-14 22:13:20Z  Container/web  StartContainer  Missing  failed in 0.2s",
        "    no such program: x",
        "2023-11-14 22:13:20Z  Image/nginx    EnsureImage     Updated  succeeded in 2m",
        "2023-11-14 22:13:20Z  Container/api  StartContainer  Missing  skipped",
    ]


def test_events__none__says_of_what() -> None:
    assert list(past_view.event_lines((), "web")) == ["nothing is recorded of web"]
    assert list(past_view.event_lines(())) == ["nothing was done yet"]
