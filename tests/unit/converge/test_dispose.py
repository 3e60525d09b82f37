"""What follows from each kind of error."""

import pytest

from agent import errors
from agent.converge import dispose
from agent.model import state
from agent.plan import actions
from agent.reasons import Reason
from tests import builders

CAUSE = actions.Cause(Reason.MISSING, "not there yet")
KEY = state.key_of(builders.config())
START = actions.StartContainer(KEY, CAUSE, "web", None, 0)
REMOVALS = (
    actions.RemoveContainer(KEY, CAUSE, "web"),
    actions.RemoveImage(KEY, CAUSE, "app"),
    actions.RemoveNetwork(KEY, CAUSE, "net"),
    actions.RemoveVolume(KEY, CAUSE, "data"),
    actions.StopContainer(KEY, CAUSE, "web", builders.config().stop),
    actions.DisconnectContainer(KEY, CAUSE, "web", "net"),
)


@pytest.mark.parametrize("action", REMOVALS, ids=lambda action: type(action).__name__)
def test_judge__what_is_to_go_is_not_there__is_done(action: actions.Action) -> None:
    assert dispose.judge(errors.NotFound("gone"), action) is dispose.Verdict.DONE


def test_judge__what_is_to_start_is_not_there__is_tried_again() -> None:
    assert dispose.judge(errors.NotFound("gone"), START) is dispose.Verdict.RETRY


@pytest.mark.parametrize(
    "error",
    [
        errors.Unavailable("x"),
        errors.Conflict("x"),
        errors.InUse("x"),
        errors.AlreadyExists("x"),
        OSError("x"),
        KeyError("x"),
    ],
)
def test_judge__it_may_work_later__is_tried_again(error: Exception) -> None:
    assert dispose.judge(error, START) is dispose.Verdict.RETRY


def test_dispose__failing_in_a_row__waits_twice_as_long_up_to_five_minutes() -> None:
    def wait(attempts: int) -> float:
        around = dispose.Circumstances(START, attempts, "hash", now=1000.0)
        return (dispose.dispose(errors.Unavailable("x"), around).hold.until or 0.0) - 1000.0

    assert [wait(attempts) for attempts in (1, 2, 3, 4, 9, 10, 1000)] == [1, 2, 4, 8, 256, 300, 300]


def test_dispose__can_never_work__stalls_and_is_tried_seldom() -> None:
    error = errors.InvalidArgument("no such program", hint="look into the image", reason="StartFailed")
    disposition = dispose.dispose(error, dispose.Circumstances(START, 1, "hash", now=1000.0))
    assert disposition.verdict is dispose.Verdict.STALL
    assert (disposition.hold.key, disposition.hold.reason, disposition.hold.until) == (KEY, "StartFailed", 1300.0)
    assert disposition.hold.message == "no such program (look into the image)"
    assert disposition.hold.config_hash == "hash"


def test_dispose__nobody_expected_it__says_its_type() -> None:
    disposition = dispose.dispose(ZeroDivisionError("oh"), dispose.Circumstances(START, 1, None, now=0.0))
    assert (disposition.hold.reason, disposition.hold.message) == ("InternalError", "ZeroDivisionError: oh")
