"""What people who wait are told."""

import pytest

from agent import invocation
from agent.cli import progress
from agent.converge import signals
from agent.model import key, policy
from agent.plan import actions
from agent.reasons import Reason
from agent.runtime import api

KEY = key.ObjectKey(key.Kind.NETWORK, "shop")
ACTION = actions.RemoveNetwork(KEY, actions.Cause(Reason.ORPHANED, "no longer declared"), "shop")


def test_progress__elsewhere_than_on_a_terminal__is_a_line_an_action(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.ConvergenceProgress(invocation.Invocation()) as progress_line:
        progress_line(signals.ActionStarted(ACTION, 1.0))
        progress_line(signals.ActionProgress(ACTION, api.Progress("pulling", 1, 2)))
        progress_line(signals.ActionFinished(ACTION, signals.Result.SUCCEEDED, 0.256, None, 2.0))
        progress_line(signals.ActionFinished(ACTION, signals.Result.SKIPPED, 0.0, None, 2.0))
    assert capsys.readouterr() == ("", "✓ RemoveNetwork Network/shop 0.26 s\n- RemoveNetwork Network/shop skipped\n")


def test_progress__a_failure__says_why(capsys: pytest.CaptureFixture[str]) -> None:
    progress_line = progress.ConvergenceProgress(invocation.Invocation())
    progress_line(signals.ActionFinished(ACTION, signals.Result.FAILED, 0.5, ValueError("x"), 2.0))
    progress_line(signals.ObjectDisposed(policy.Hold(KEY, "InUse", "web uses it"), 1, stalled=False))
    progress_line(signals.TaskFailed("relist", ValueError("broken")))
    assert capsys.readouterr().err == (
        "✗ RemoveNetwork Network/shop 0.50 s\n  Network/shop: InUse: web uses it\n  ValueError: broken\n"
    )


def test_progress__commands_in_messages__have_the_flags_of_the_instance(capsys: pytest.CaptureFixture[str]) -> None:
    progress_line = progress.ConvergenceProgress(invocation.Invocation(flags=("--root", "/r")))
    hold = policy.Hold(KEY, "Suspended", "it is suspended until trimtab resume Network/shop")
    progress_line(signals.ObjectDisposed(hold, 1, stalled=False))
    assert "until trimtab --root /r resume Network/shop\n" in capsys.readouterr().err


def test_progress__a_source_that_may_be_half_written__says_what_is_waited_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress_line = progress.ConvergenceProgress(invocation.Invocation())
    progress_line(signals.SourceAwaited("/srv", "Container/web", 1.0))
    assert capsys.readouterr().err == ""
    progress_line(signals.SourceAwaited("/srv", "Container/web", 9.6))
    assert capsys.readouterr().err.startswith("waiting for up to 10 s: SOURCE no longer declares Container/web, ")
