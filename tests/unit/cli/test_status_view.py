"""What ``status`` says: how every object is, why it is not ready, and when it is tried again as of now."""

import dataclasses

from agent.agent_api import status
from agent.cli import status_view
from agent.kit import notices
from agent.model import conditions
from agent.model.conditions import ConditionStatus, ConditionType
from agent.model.key import Kind, ObjectKey

NOW = 10_000.0
RUNNING = status.AgentStatus(status.AgentState.RUNNING, 4711, NOW - 300.0, "1.2.3", "native")
ABSENT = status.AgentStatus(status.AgentState.ABSENT)
NOBODY = status.Trouble(status.TroubleReason.AGENT_ABSENT, "no agent is running: nothing keeps this so")
SOURCE = status.SourceStatus("/srv", "r1", NOW - 500.0, NOW - 490.0, NOW - 5.0, status.LookResult.GOOD)
FIRST_LINES = [
    "agent running for 5m (process 4711, trimtab 1.2.3, runtime native)",
    "source /srv, revision r1 of 8m ago, last look 5s ago",
]


def item(name: str, *, ready: bool, reason: str, message: str = "", **fields: object) -> status.Object:
    """Make a container's status; ``stalled``, ``detail``, ``until`` and ``restarts`` as they are given."""
    answers = {
        ConditionType.READY: ready,
        ConditionType.RECONCILING: not ready,
        ConditionType.STALLED: bool(fields.pop("stalled", False)),
    }
    status_conditions = tuple(
        conditions.Condition(type, ConditionStatus.TRUE if yes else ConditionStatus.FALSE, reason, message, NOW - 90.0)
        for type, yes in answers.items()
    )
    status_object = status.Object(ObjectKey(Kind.CONTAINER, name), status_conditions, "", None, 0)
    return dataclasses.replace(status_object, **fields)  # type: ignore[arg-type]


WELL = item("api", ready=True, reason="Healthy", detail="running, healthy")
LOOPING = item(
    "web",
    ready=False,
    reason="BackOff",
    message="exited with 3; failure 5 in a row",
    detail="exited (3)",
    until=NOW + 45.0,
    restarts=4,
)
STALLED = item(
    *("x",),
    ready=False,
    reason="StartFailed",
    message="no such program",
    detail="StartFailed",
    until=NOW + 200.0,
    stalled=True,
)


def answer(*objects: status.Object, **fields: object) -> status.Status:
    """Make an answer of an agent that runs, other where it is said."""
    report = status.Status(RUNNING, SOURCE, NOW - 1.0, objects, None, ())
    return dataclasses.replace(report, **fields)  # type: ignore[arg-type]


def table(answered: status.Status, now: float = NOW, width: int = 0) -> list[str]:
    """Return the table's lines without what stands above them."""
    lines = list(status_view.lines(answered, now, width))
    return lines[next(number for number, line in enumerate(lines) if line.startswith("OBJECT")) :]


def test_status__an_agent_runs__says_so_and_when_the_source_was_last_looked_at() -> None:
    assert list(status_view.lines(answer(WELL), NOW))[:2] == FIRST_LINES


def test_status__not_ready__says_why_below_the_row_and_marks_what_is_stalled() -> None:
    assert table(answer(WELL, LOOPING, STALLED)) == [
        "OBJECT         READY  STATUS                                RESTARTS  AGE",
        "Container/api  True   running, healthy                                90s",
        "Container/web  False  exited (3), next start in 45s         4         90s",
        "    BackOff: exited with 3; failure 5 in a row",
        "Container/x    False  StartFailed, stalled, next try in 3m            90s",
        "    StartFailed: no such program",
    ]


def test_status__looked_at_later__the_rest_of_the_time_is_what_is_left() -> None:
    rows = [table(answer(LOOPING), now=NOW + later)[1] for later in (0.0, 40.0, 50.0)]
    assert [row.split("exited (3)")[1].split("  ")[0] for row in rows] == [
        *(", next start in 45s", ", next start in 5s", ", next start now"),
    ]


def test_status__no_agent_is_running__says_so_first_and_promises_no_start() -> None:
    looked = answer(LOOPING, agent=ABSENT, source=dataclasses.replace(SOURCE, looked_at=None), troubles=(NOBODY,))
    assert list(status_view.lines(looked, NOW))[1] == "not well: no agent is running: nothing keeps this so"
    assert table(looked)[1:] == [
        "Container/web  False  exited (3)  4         90s",
        "    BackOff: exited with 3; failure 5 in a row",
    ]


def test_status__the_source_cannot_be_read__says_when_and_why_in_the_first_lines() -> None:
    failed = dataclasses.replace(
        SOURCE, result=status.LookResult.FAILED, message="no route to host", succeeded_at=NOW - 240.0
    )
    troubles = tuple(status.source_troubles(failed, empty=False))
    lines = list(status_view.lines(answer(WELL, source=failed, troubles=troubles), NOW))
    assert lines[1:3] == [
        "source /srv, revision r1 of 8m ago, last look 5s ago failed, last read 4m ago",
        "not well: the source cannot be read: no route to host",
    ]


def test_status__the_source_was_never_read__says_so() -> None:
    never = status.SourceStatus("/srv")
    lines = list(status_view.lines(answer(source=never, observed_at=None), NOW))
    assert lines[1:] == ["source /srv, not looked at yet", "nothing has been looked at yet"]
    assert [trouble.reason for trouble in status.source_troubles(never, empty=False)] == ["SourceNeverRead"]


def test_status__manifests_have_problems__are_listed() -> None:
    bad = dataclasses.replace(SOURCE, result=status.LookResult.REJECTED, problems=("a.yaml:1:1: no", "b.yaml:2:1: no"))
    troubles = tuple(status.source_troubles(bad, empty=False))
    assert list(status_view.lines(answer(WELL, source=bad, troubles=troubles), NOW))[1:5] == [
        "source /srv, revision r1 of 8m ago, last look 5s ago: problems",
        "not well: the manifests have 2 problems: the last good revision stands",
        "problem a.yaml:1:1: no",
        "problem b.yaml:2:1: no",
    ]


def test_status__manifests_have_problems_from_the_start__says_that_nothing_is_done() -> None:
    bad = status.SourceStatus("/srv", result=status.LookResult.REJECTED, problems=("a.yaml:1:1: no",))
    messages = [trouble.message for trouble in status.source_troubles(bad, empty=False)]
    assert messages == ["the manifests have 1 problem: nothing is done until they are mended"]


def test_status__the_disk_is_full__is_a_trouble() -> None:
    assert status.disk_troubles(status.DiskStatus(2**30, 2**29, 1000)) == ()
    assert status.disk_troubles(status.DiskStatus(2**30, 2**29, None)) == ()
    full = status.disk_troubles(status.DiskStatus(2**30, 2**20, 1000))
    no_files = status.disk_troubles(status.DiskStatus(2**30, 2**29, 0))
    assert [trouble.message.split(":")[0] for trouble in (*full, *no_files)] == [
        "the disk of the root is full (1.0 MiB left)",
        "the disk of the root is full (no more files)",
    ]


def test_status__the_runtime_has_left_overs__is_not_well_and_a_mended_database_is_noted() -> None:
    standing_notices = (
        notices.Notice(notices.NoticeReason.CLEAN_UP_FAILED, "container 4f1d", "target is busy", NOW - 9.0, 3, NOW),
        notices.Notice(notices.NoticeReason.RECORDS_DAMAGED, "engine.sqlite", "was made again", NOW - 9.0),
    )
    troubles = tuple(status.notice_troubles(standing_notices))
    answered = answer(WELL, notices=standing_notices, troubles=troubles)
    assert list(status_view.lines(answered, NOW))[2:4] == [
        "not well: container 4f1d cannot be cleaned up (3 attempts so far): target is busy",
        "note: engine.sqlite: was made again",
    ]
    assert not answered.is_well
    assert answer(WELL, notices=standing_notices[1:]).is_well


def test_status__a_narrow_terminal__the_reason_is_wrapped_and_stays_indented() -> None:
    assert table(answer(LOOPING), width=30)[2:] == ["    BackOff: exited with 3;", "    failure 5 in a row"]


def test_status__a_message_would_steer_the_terminal__is_shown_harmless() -> None:
    hostile = item("web", ready=False, reason="Unhealthy", message="\x1b[2J\nsecond", detail="running")
    assert table(answer(hostile))[2:] == ["    Unhealthy: \\x1b[2J", "    second"]


def test_status__after_a_delete__says_that_nothing_is_declared() -> None:
    nothing = dataclasses.replace(SOURCE, declares_nothing=True)
    assert list(status_view.lines(answer(source=nothing), NOW))[1:] == [
        "source /srv, revision r1 of 8m ago, last look 5s ago, nothing of it is declared any more",
        "nothing is declared",
    ]


def test_status__is_well__only_with_an_agent_and_everything_ready_or_kept_on_purpose() -> None:
    kept = item("data", ready=False, reason="Retained")
    assert answer(WELL, kept).is_well
    assert not answer(WELL, LOOPING).is_well
    assert not answer(WELL, agent=ABSENT, troubles=(NOBODY,)).is_well


def test_status__wide__says_what_runs_and_where() -> None:
    running = status.ContainerStatus(
        "nginx:1", ("0.0.0.0:80:80/tcp", "0.0.0.0:443:443/tcp"), (("shop", "10.0.0.2"),), 1, 1
    )
    web = dataclasses.replace(WELL, container=running, created_at=NOW - 7200.0)
    waiting = dataclasses.replace(WELL, container=status.ContainerStatus("redis:7", (), (), 0, 1))
    lines = list(status_view.lines(answer(web, waiting, WELL), NOW, is_wide=True))
    assert [line.split()[4:] for line in lines[-4:]] == [
        ["AGE", "INSTANCES", "IMAGE", "PORTS", "ADDRESS"],
        ["2h", "1/1", "nginx:1", "0.0.0.0:80:80/tcp,0.0.0.0:443:443/tcp", "shop=10.0.0.2"],
        ["90s", "0/1", "redis:7", "-", "-"],
        ["90s", "-", "-", "-", "-"],
    ]
