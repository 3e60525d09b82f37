"""What people who wait are told."""

import pytest

from agent.cli import progress
from agent.converge import signals
from agent.model import key, policy
from agent.plan import actions
from agent.runtime import api

KEY = key.ObjectKey(key.Kind.NETWORK, "shop")
ACTION = actions.RemoveNetwork(KEY, actions.Cause(actions.Reason.ORPHANED, "no longer declared"), "shop")


def test_progress__elsewhere_than_on_a_terminal__is_a_line_an_action(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.Progress() as told:
        told(signals.ActionStarted(ACTION, 1.0))
        told(signals.ActionProgress(ACTION, api.Progress("pulling", 1, 2)))
        told(signals.ActionFinished(ACTION, signals.Result.SUCCEEDED, 0.256, None, 2.0))
        told(signals.ActionFinished(ACTION, signals.Result.SKIPPED, 0.0, None, 2.0))
    assert capsys.readouterr() == ("", "✓ RemoveNetwork Network/shop 0.26 s\n- RemoveNetwork Network/shop skipped\n")


def test_progress__a_failure__says_why(capsys: pytest.CaptureFixture[str]) -> None:
    told = progress.Progress()
    told(signals.ActionFinished(ACTION, signals.Result.FAILED, 0.5, ValueError("x"), 2.0))
    told(signals.ObjectDisposed(policy.Hold(KEY, "InUse", "web uses it"), 1, stalled=False))
    told(signals.TaskFailed("relist", ValueError("broken")))
    assert capsys.readouterr().err == (
        "✗ RemoveNetwork Network/shop 0.50 s\n  Network/shop: InUse: web uses it\n  ValueError: broken\n"
    )
