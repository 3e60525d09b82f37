"""What ``status`` says: how every object is, why it is not ready, and when it is tried again as of now."""

import pathlib
from collections.abc import Iterator

import pytest

from agent.cli import standing
from agent.converge import journal
from agent.model import conditions, ledger, state
from agent.model.conditions import ConditionStatus, ConditionType
from tests import builders

NOW = 10_000.0
AGENT = 4711


@pytest.fixture
def book(tmp_path: pathlib.Path) -> Iterator[journal.Journal]:
    with journal.Journal(tmp_path / "agent.sqlite", pytest.fail) as opened:
        yield opened


def status(name: str, ready: bool, reason: str, message: str, **fields: object) -> conditions.ObjectStatus:
    """Give what is said of a container; ``stalled``, ``detail`` and ``until`` as they are given."""
    answers = {
        ConditionType.READY: ready,
        ConditionType.RECONCILING: not ready,
        ConditionType.STALLED: bool(fields.get("stalled")),
    }
    said = tuple(
        conditions.Condition(type, ConditionStatus.TRUE if yes else ConditionStatus.FALSE, reason, message, NOW - 90.0)
        for type, yes in answers.items()
    )
    detail, until = str(fields.get("detail", "")), fields.get("until")
    key = state.key_of(builders.config(name))
    assert until is None or isinstance(until, float)
    return conditions.ObjectStatus(key, "hash", said, detail, until)


WELL = status("api", ready=True, reason="Healthy", message="running, and its probes succeed", detail="running, healthy")
LOOPING = status(
    "web",
    ready=False,
    reason="BackOff",
    message="exited with 3; failure 5 in a row",
    detail="exited (3)",
    until=NOW + 45.0,
)
STALLED = status(
    "x",
    ready=False,
    reason="StartFailed",
    message="no such program",
    detail="StartFailed",
    until=NOW + 200.0,
    stalled=True,
)


def told(book: journal.Journal, agent: int | None = AGENT, now: float = NOW, width: int = 0) -> list[str]:
    """Give the table's lines without what stands above them."""
    lines = list(standing.lines(book, agent, now, width))
    return lines[next(number for number, line in enumerate(lines) if line.startswith("OBJECT")) :]


def test_status__not_ready__says_why_below_the_row_and_marks_what_is_stalled(book: journal.Journal) -> None:
    book.save_statuses([WELL, LOOPING, STALLED], [])
    book.remember([ledger.LedgerEntry(LOOPING.key, "", 5, (ledger.RestartCount(ledger.RestartReason.EXIT, 4),))])
    assert told(book) == [
        "OBJECT         READY  STATUS                                RESTARTS  AGE",
        "Container/api  True   running, healthy                                90s",
        "Container/web  False  exited (3), next start in 45s         4         90s",
        "    BackOff: exited with 3; failure 5 in a row",
        "Container/x    False  StartFailed, stalled, next try in 3m            90s",
        "    StartFailed: no such program",
    ]


def test_status__looked_at_later__the_rest_of_the_time_is_what_is_left(book: journal.Journal) -> None:
    book.save_statuses([LOOPING], [])
    rows = [told(book, now=NOW + later)[1] for later in (0.0, 40.0, 50.0)]
    assert [row.split("exited (3)")[1].split("  ")[0] for row in rows] == [
        *(", next start in 45s", ", next start in 5s", ", next start now"),
    ]


def test_status__no_agent_is_at_work__promises_no_start(book: journal.Journal) -> None:
    book.save_statuses([LOOPING], [])
    assert told(book, agent=None)[1:] == [
        "Container/web  False  exited (3)            90s",
        "    BackOff: exited with 3; failure 5 in a row",
        "no agent is at work here: what is not ready is tried again by the next run or apply",
    ]
    book.save_statuses([WELL], [LOOPING.key])
    assert told(book, agent=None)[1:] == ["Container/api  True   running, healthy            90s"]


def test_status__a_narrow_terminal__the_reason_is_wrapped_and_stays_indented(book: journal.Journal) -> None:
    book.save_statuses([LOOPING], [])
    assert told(book, width=30)[2:] == ["    BackOff: exited with 3;", "    failure 5 in a row"]


def test_status__a_message_would_steer_the_terminal__is_shown_harmless(book: journal.Journal) -> None:
    book.save_statuses(
        [status("web", ready=False, reason="Unhealthy", message="\x1b[2J\nsecond", detail="running")], []
    )
    assert told(book)[2:] == ["    Unhealthy: \\x1b[2J", "    second"]


def test_status__after_a_delete__says_that_nothing_is_declared(book: journal.Journal) -> None:
    book.accept(journal.Good(state.DesiredState("r1"), "/srv", NOW - 5.0))
    assert list(standing.lines(book, None, NOW)) == [
        "source /srv, revision r1, read 5s ago, nothing of it is declared any more",
        "nothing is declared",
    ]


def test_status__the_agent_has_only_just_begun__does_not_say_that_nothing_is_declared(book: journal.Journal) -> None:
    book.accept(journal.Good(builders.desired(builders.config()), "/srv", NOW - 5.0))
    assert list(standing.lines(book, AGENT, NOW)) == [
        "source /srv, revision r1, read 5s ago",
        "nothing has been looked at yet",
    ]


def test_status__for_programs__gives_the_moment_and_who_is_at_work(book: journal.Journal) -> None:
    book.save_statuses([LOOPING], [])
    found = standing.document(book, AGENT)
    assert found["agent"] == AGENT
    assert found["objects"] == [
        {
            "object": "Container/web",
            "detail": "exited (3)",
            "until": NOW + 45.0,
            "restarts": 0,
            "conditions": LOOPING.conditions,
        }
    ]


def test_status__written_by_an_earlier_version__is_shown_as_it_is(
    book: journal.Journal, tmp_path: pathlib.Path
) -> None:
    old = '{"key":{"kind":"Container","name":"web"},"config_hash":"","detail":"running 50s, healthy","conditions":%s}'
    one = '{"type":"%s","status":"%s","reason":"Healthy","message":"well","since":9910.0}'
    found = ",".join(one % pair for pair in (("Ready", "True"), ("Reconciling", "False"), ("Stalled", "False")))
    book.save_statuses([WELL], [])
    book._connection.execute("UPDATE statuses SET name = 'web', body = ?", (old % f"[{found}]",))
    with journal.Journal(tmp_path / "agent.sqlite") as again:
        assert told(again)[1:] == ["Container/web  True   running 50s, healthy            90s"]
