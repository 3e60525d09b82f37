"""When a container is started again, and what for: the arithmetic by itself."""

import dataclasses

import pytest

from agent.model import container, ledger
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, restarts
from agent.reasons import Reason
from tests import builders

KEY = ObjectKey(Kind.CONTAINER, "web")
BACKOFF = container.BackoffConfig(initial=1.0, maximum=300.0, reset=600.0)
ALWAYS, ON_FAILURE, UNLESS_STOPPED, NEVER = (container.RestartConfig(name, BACKOFF) for name in container.RestartPolicy)
ENDED = builders.observed(
    builders.config(), container.ContainerState.EXITED, exit_code=1, started_at=100.0, finished_at=110.0
)
THRICE = ledger.LedgerEntry(KEY, "", streak=3)
OURS = dataclasses.replace(THRICE, restarting=True)


def changed(**fields: object) -> container.ObservedContainer:
    """Return the ended container with some fields changed."""
    return dataclasses.replace(ENDED, **fields)


def test_exited__waits_for_its_streak_and_counts_one_more() -> None:
    assert restarts.of_exited(ALWAYS, ENDED, THRICE) == restarts.Restart(
        114.0, actions.Cause(Reason.EXITED, "exited with 1"), ledger.RestartReason.EXIT, 4
    )


def test_exited__for_want_of_memory__says_so() -> None:
    restart = restarts.of_exited(ALWAYS, changed(oom_killed=True), None)
    cause = actions.Cause(Reason.OOM_KILLED, "killed for want of memory")
    assert restart == restarts.Restart(110.0, cause, ledger.RestartReason.OOM, 1)


def test_exited__nobody_knows_how_and_when__is_due_from_the_beginning() -> None:
    restart = restarts.of_exited(ALWAYS, changed(exit_code=None, finished_at=None), THRICE)
    assert restart is not None
    assert (restart.due, restart.cause.message) == (4.0, "exited with an unknown code")


@pytest.mark.parametrize(("seconds", "streak"), [(599.9, 4), (600.0, 1), (600.1, 1)])
def test_exited__after_a_run_that_was_long_enough__is_the_first_again(seconds: float, streak: int) -> None:
    restart = restarts.of_exited(ALWAYS, changed(finished_at=100.0 + seconds), THRICE)
    assert restart is not None
    assert restart.streak == streak


@pytest.mark.parametrize(
    ("restart", "code", "asked", "starts"),
    [
        *[(ALWAYS, code, asked, True) for code in (0, 1) for asked in (False, True)],
        *[(ON_FAILURE, code, asked, code != 0) for code in (0, 1) for asked in (False, True)],
        *[(UNLESS_STOPPED, code, asked, not asked) for code in (0, 1) for asked in (False, True)],
        *[(NEVER, code, asked, False) for code in (0, 1) for asked in (False, True)],
    ],
)
def test_exited__by_itself_or_by_people__starts_as_its_policy_says(
    restart: container.RestartConfig, code: int, asked: bool, starts: bool
) -> None:
    restart_due = restarts.of_exited(restart, changed(exit_code=code, stop_requested=asked), THRICE)
    assert (restart_due is not None) is starts


@pytest.mark.parametrize("restart", [ALWAYS, ON_FAILURE, UNLESS_STOPPED, NEVER])
def test_exited__stopped_by_us__is_started_at_once_and_counts_for_nothing(restart: container.RestartConfig) -> None:
    restart_due = restarts.of_exited(restart, changed(exit_code=0, stop_requested=True), OURS)
    assert restart_due is not None
    assert (restart_due.due, restart_due.cause.reason, restart_due.streak) == (110.0, Reason.INTERRUPTED, 3)


@pytest.mark.parametrize(
    ("observed", "memory", "ours"),
    [
        (changed(stop_requested=True), OURS, True),
        (changed(stop_requested=True, state=container.ContainerState.RUNNING), OURS, False),
        (changed(stop_requested=False), OURS, False),
        (changed(stop_requested=True), THRICE, False),
        (changed(stop_requested=True), None, False),
    ],
)
def test_stopped_by_us__has_ended_was_asked_to_and_we_remember(
    observed: container.ObservedContainer, memory: ledger.LedgerEntry | None, ours: bool
) -> None:
    assert restarts.is_stopped_by_us(observed, memory) is ours


@pytest.mark.parametrize(
    ("fields", "killed"),
    [
        ({"exit_code": None}, True),
        ({"exit_code": 137}, True),
        ({"exit_code": 143}, True),
        ({"exit_code": 0}, False),
        ({"exit_code": 1}, False),
        ({"exit_code": 137, "oom_killed": True}, False),
        ({"exit_code": 143, "stop_requested": True}, False),
    ],
)
def test_killed_behind_our_back(fields: dict[str, object], killed: bool) -> None:
    assert restarts.killed_behind_our_back(changed(**fields)) is killed


def test_unhealthy__waits_from_its_failure_on() -> None:
    running = changed(state=container.ContainerState.RUNNING)
    restart = restarts.of_unhealthy(ALWAYS, running, THRICE, (200.0, "no answer"))
    cause = actions.Cause(Reason.UNHEALTHY, "no answer")
    assert restart == restarts.Restart(204.0, cause, ledger.RestartReason.UNHEALTHY, 4)
    assert restarts.of_unhealthy(ALWAYS, running, None, (200.0, "")).cause.message == "its probe failed"


@pytest.mark.parametrize(("started", "ended", "streak"), [(None, 599.9, 4), (None, 600.0, 1), (0.0, None, 4)])
def test_streak__nobody_knows_when_it_was_started_or_ended__counts_from_the_beginning(
    started: float | None, ended: float | None, streak: int
) -> None:
    restart = restarts.of_exited(ALWAYS, changed(started_at=started, finished_at=ended), THRICE)
    assert restart is not None
    assert restart.streak == streak


def test_exited__stopped_by_us_and_nobody_knows_when__is_due_from_the_beginning_and_says_why() -> None:
    restart = restarts.of_exited(NEVER, changed(stop_requested=True, finished_at=None), OURS)
    cause = actions.Cause(Reason.INTERRUPTED, "was stopped for a change that has not come about")
    assert restart == restarts.Restart(0.0, cause, ledger.RestartReason.EXIT, 3)


def test_on_request__waits_for_nothing_and_counts_for_nothing() -> None:
    cause = actions.Cause(Reason.REQUESTED, "somebody has asked for it")
    assert restarts.on_request(5.0) == restarts.Restart(5.0, cause, None, 0)


def test_streak__nobody_knows_when_it_ended__is_taken_for_the_beginning() -> None:
    soon = container.RestartConfig(container.RestartPolicy.ALWAYS, dataclasses.replace(BACKOFF, reset=0.5))
    restart = restarts.of_exited(soon, changed(started_at=None, finished_at=None), THRICE)
    assert restart is not None
    assert restart.streak == 4
