"""Which lines the loop's log has."""

import dataclasses

import pytest
from structlog.testing import capture_logs

from agent import errors
from agent.converge import signals
from agent.manifests import problem
from agent.model import container, health, policy, state
from agent.model.key import Kind
from agent.observe import checks, probes
from agent.plan import actions, planner
from agent.reasons import Reason
from agent.runtime import events
from agent.telemetry import log_sink
from tests import builders
from tests.unit.telemetry import conftest

WEB = builders.config("web")
KEY = state.key_of(WEB)


def lines(*emitted: signals.Signal) -> list[str]:
    """Return ``level: event`` of each line, but for debug ones."""
    with capture_logs() as logs:
        sink = log_sink.LogSink("trimtab delete SOURCE", str)
        for signal in emitted:
            sink.take(signal)
    return [f"{line['log_level']}: {line['event']}" for line in logs if line["log_level"] != "debug"]


def done(action: actions.Action, result: signals.Result = signals.Result.SUCCEEDED) -> signals.ActionFinished:
    return signals.ActionFinished(action, result, 0.1, None, 1.0)


def test_log_sink__action_succeeds__is_a_line_with_its_cause() -> None:
    missing = actions.Cause(Reason.MISSING, "not there yet")
    exited = actions.Cause(Reason.EXITED, "exited with 1")
    assert lines(
        done(actions.CreateContainer(KEY, missing, WEB, "web")),
        done(actions.StartContainer(KEY, exited, "web", None, 1)),
        done(actions.StopContainer(KEY, missing, "web", WEB.stop), signals.Result.SKIPPED),
    ) == ["info: web: created (not there yet)", "info: web: started (restart: exited with 1)"]


def test_log_sink__image_is_collected__is_a_line_and_other_events_are_none() -> None:
    emitted = [
        signals.RuntimeEvent(events.RuntimeEvent(Kind.IMAGE, "app:1", "app:1", action, 1.0))
        for action in (events.EventAction.REMOVED, events.EventAction.COLLECTED)
    ]
    assert lines(*emitted) == ["info: app:1: removed (the disk is filling, and nobody used it)"]


@pytest.mark.parametrize(
    "change",
    [
        {"env": (("PASSWORD", "hunter2"),)},
        {"command": ("serve", "--password=hunter2")},
        {"args": ("--password=hunter2",)},
        {"labels": (("note", "hunter2"),)},
    ],
)
def test_log_sink__what_changes_may_be_secret__is_not_told(change: dict[str, object]) -> None:
    changed = dataclasses.replace(WEB, **change)
    observed = builders.world(builders.observed(WEB), ledger=(builders.remembered(changed),))
    computed = planner.compute_plan(builders.desired(changed), observed, builders.rules())
    with capture_logs() as logs:
        sink = log_sink.LogSink("trimtab delete SOURCE", str)
        sink.take(conftest.walked(builders.desired(changed), observed))
        for step in computed.steps:
            sink.take(signals.ActionStarted(step.action, 1.0))
            sink.take(done(step.action))
    assert logs
    assert "hunter2" not in str(logs)


def test_log_sink__image_changes__tells_both() -> None:
    changed = dataclasses.replace(WEB, image="docker.io/library/app:2")
    computed = planner.compute_plan(
        builders.desired(changed, builders.image_config("docker.io/library/app:2")),
        builders.world(builders.observed(WEB)),
        builders.rules(),
    )
    printed = lines(*(done(step.action) for step in computed.steps))
    assert any("docker.io/library/app:1 -> docker.io/library/app:2" in line for line in printed)


def test_log_sink__object_fails__says_why_and_how_bad_it_is() -> None:
    hold = policy.Hold(KEY, "PortInUse", "port 80 is in use", 1.0)
    assert lines(signals.ObjectDisposed(hold, 1, stalled=False), signals.ObjectDisposed(hold, 1, stalled=True)) == [
        "warning: web: port 80 is in use",
        "error: web: port 80 is in use",
    ]


def test_log_sink__object_waits__is_told_once_and_when_it_is_over() -> None:
    waiting = conftest.walked(
        builders.desired(WEB),
        builders.world(builders.exited(WEB, 1, at=999.5), ledger=(builders.remembered(WEB, streak=9),)),
    )
    busy = conftest.walked(builders.desired(WEB), builders.world(builders.exited(WEB, 1, at=1.0)))
    well = conftest.walked(builders.desired(WEB), builders.world(builders.observed(WEB)))
    assert lines(waiting, waiting, busy, well, well) == [
        "warning: web: exited with 1; failure 10 in a row",
        "info: web: running",
    ]


def waiting_for(db: container.ObservedContainer, streak: int) -> signals.PassFinished:
    """Return a pass in which ``web`` waits for a ``db`` that has to be healthy."""
    probe = health.Probe(health.TcpProbe(80), 0.0, 1.0, 1.0, 1, 3)
    config = dataclasses.replace(db.config, health=health.HealthConfig(None, probe, None))
    web = builders.config("web", depends_on=(container.Dependency("db", container.DependencyCondition.HEALTHY),))
    memory = (builders.remembered(config, streak=streak),)
    return conftest.walked(builders.desired(web, config), builders.world(db, ledger=memory))


def test_log_sink__waits_for_what_crashes_in_a_loop__is_told_once_however_often_it_crashes() -> None:
    db = builders.config("db")
    passes = []
    for streak in (2, 3, 4, 5):
        passes += [
            waiting_for(builders.exited(db, 1, at=999.9), streak),
            waiting_for(builders.exited(db, 1, at=1.0), streak),
            waiting_for(builders.observed(db), streak),
        ]
    printed = lines(*passes)
    assert [line for line in printed if "web" in line] == [
        "warning: web: db is not Healthy: BackOff",
        "warning: web: db is not Healthy yet",
    ]
    assert [line for line in printed if "web" not in line] == [
        f"warning: db: exited with 1; failure {number} in a row" for number in (3, 4, 5, 6)
    ]


def test_log_sink__waits_again_after_it_was_well__is_told_again() -> None:
    db = builders.config("db")
    waiting = waiting_for(builders.exited(db, 1, at=999.9), 2)
    web = builders.config("web")
    well = conftest.walked(builders.desired(web), builders.world(builders.observed(web)))
    printed = [line for line in lines(waiting, well, waiting) if "web" in line]
    line = "warning: web: db is not Healthy: BackOff"
    assert printed == [line, "info: web: running", line]


def test_log_sink__runs_again_for_a_moment_only__is_not_said_to_be_well() -> None:
    def at(moment: float, existing: container.ObservedContainer) -> signals.PassFinished:
        observed = builders.world(existing, ledger=(builders.remembered(WEB, streak=3),), now=moment)
        return conftest.walked(builders.desired(WEB), observed)

    ended = builders.exited(WEB, 1, at=999.9)
    restarted = builders.observed(WEB, started_at=1010.0)
    assert lines(at(1000.0, ended), at(1010.1, restarted)) == ["warning: web: exited with 1; failure 4 in a row"]
    assert lines(at(1000.0, ended), at(1010.1, restarted), at(1011.0, restarted)) == [
        "warning: web: exited with 1; failure 4 in a row",
        "info: web: running",
    ]


def test_log_sink__runtime_is_away__is_told_once_and_again_the_next_time() -> None:
    failed = signals.PassFailed((signals.Trigger.RELIST,), 1.0, errors.Unavailable("no engine"), 1.0)
    well = conftest.walked(builders.desired(WEB), builders.world(builders.observed(WEB)))
    line = "error: the runtime cannot be observed; trying again"
    assert lines(failed, failed, well, failed) == [line, line]


def test_log_sink__commands_in_messages__have_the_flags_of_the_instance() -> None:
    sink = log_sink.LogSink("trimtab delete SOURCE", lambda text: text.replace("trimtab ", "trimtab --root /r "))
    hold = policy.Hold(KEY, "Suspended", "it is suspended until trimtab resume web")
    with capture_logs() as logs:
        sink.take(signals.ObjectDisposed(hold, 1, stalled=False))
    assert logs[-1]["event"] == "web: it is suspended until trimtab --root /r resume web"


def test_log_sink__source_is_bad__names_each_problem() -> None:
    wrong = (problem.Problem("a.yaml", 1, 2, "oh", "mend it"), problem.Problem("b.yaml", 2, 1, "no"))
    assert lines(signals.SourceRejected("/srv", "r1", wrong, 1.0, is_first=False)) == [
        "error: a.yaml:1:2: oh (mend it)",
        "error: b.yaml:2:1: no",
        "error: the manifests have problems: the last good revision stands",
    ]


def test_log_sink__source_is_bad_from_the_start__says_that_nothing_is_done() -> None:
    wrong = (problem.Problem("a.yaml", 1, 2, "oh"),)
    assert lines(signals.SourceRejected("/srv", "r1", wrong, 1.0, is_first=True)) == [
        "error: a.yaml:1:2: oh",
        "error: the manifests have problems: nothing is done until they are mended",
    ]


def test_log_sink__source_is_read__is_told_where_it_changes_something() -> None:
    changed = signals.SourceRead("/srv", "r1", 3, changed=True, empty=False, at=1.0)
    same = dataclasses.replace(changed, changed=False)
    empty = dataclasses.replace(same, empty=True)
    assert lines(changed, same, empty, empty, same, empty) == [
        "info: new revision",
        "warning: the source declares nothing: what runs is kept",
        "warning: the source declares nothing: what runs is kept",
    ]


def test_log_sink__source_may_be_half_written__says_what_is_removed_and_when() -> None:
    assert lines(signals.SourceAwaited("/srv", "Container/db", 9.97)) == [
        "info: Container/db is no longer declared: it is removed in 10 s, unless a file changes again"
    ]


def test_log_sink__source_cannot_be_read__is_told_once() -> None:
    failed = signals.SourceFailed("/srv", "no such directory", "make it", repeated=False, at=1.0)
    assert lines(failed, dataclasses.replace(failed, repeated=True)) == [
        "error: the source cannot be read: no such directory"
    ]


def test_log_sink__events_are_lost__is_told_and_when_they_are_back() -> None:
    def stream(connected: bool) -> signals.EventStream:
        return signals.EventStream(connected, "gone", 1.0)

    assert lines(stream(connected=True), stream(connected=False), stream(connected=True)) == [
        "warning: the runtime's events are lost; changes are found by looking",
        "info: the runtime's events are back",
    ]


def test_log_sink__anything_else_that_goes_wrong__is_told() -> None:
    assert lines(
        signals.JournalFailed("disk full"),
        signals.JournalFailed("disk full"),
        signals.TaskFailed("relist", KeyError("x")),
        signals.RevisionApplied("r1", 0.3, 1.0),
        signals.ProbeFinished(
            probes.ProbeResult("web", "liveness", outcome=checks.ProbeOutcome.FAILURE, message="no", duration=0.1)
        ),
    ) == [
        "error: the journal cannot be written",
        "error: relist broke",
        "info: everything is as declared",
    ]
