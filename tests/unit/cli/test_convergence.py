"""What ``apply`` and ``delete`` say at their end."""

import dataclasses
import json

import click
import pytest

from agent import invocation
from agent.agent_api import past
from agent.cli import convergence, options
from agent.converge import completion, once, signals
from agent.model import conditions, state
from agent.model.conditions import ConditionStatus, ConditionType
from agent.plan import actions
from agent.reasons import Reason
from tests import builders

KEY = state.key_of(builders.config("web"))
STATUS = conditions.ObjectStatus(
    KEY,
    "hash",
    tuple(conditions.Condition(type, ConditionStatus.FALSE, "BackOff", "exited with 3", 1.0) for type in ConditionType),
    "exited (3)",
    8.0,
)
LEFT = (completion.Unfinished(KEY, "BackOff", "exited with 3; failure 2 in a row"),)


ACTION = actions.StartContainer(KEY, actions.Cause(Reason.MISSING, "not there yet"), "web", None, 0)


def ended(
    converged: once.Converged, output: options.Output = options.Output.TEXT, done: tuple[actions.Action, ...] = ()
) -> int:
    """Return the exit code with which a command ends after this result, and after what was done for it."""

    async def work(sink: signals.Sink) -> once.Converged:
        for action in done:
            sink(signals.ActionFinished(action, signals.Result.SUCCEEDED, 0.25, None, 1.0))
        return converged

    with pytest.raises(click.exceptions.Exit) as caught:
        convergence.converge(work, convergence.Ending(output, "applied", invocation.Invocation()))
    return caught.value.exit_code


def test_apply__all_is_up__says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(once.Converged(once.Outcome.APPLIED, "r1", (), (), timed_out=False), done=(ACTION,)) == 0
    assert capsys.readouterr() == ("applied\n", "✓ StartContainer Container/web 0.25 s\n")


def test_apply__nothing_was_done__says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(once.Converged(once.Outcome.APPLIED, "r1", (), (), timed_out=False)) == 0
    assert capsys.readouterr() == ("nothing to change\n", "")


def test_apply__something_is_not_up__says_which_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(once.Converged(once.Outcome.FAILED, "r1", (STATUS,), LEFT, timed_out=False)) == 1
    assert capsys.readouterr() == (
        "not applied: 1 of 1 object is not as it should be\n",
        "Container/web: BackOff: exited with 3; failure 2 in a row\n",
    )


def test_apply__for_programs__is_spelled_as_plan_and_status_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(once.Converged(once.Outcome.PARTIAL, "r1", (STATUS,), LEFT, timed_out=True), options.Output.JSON) == 1
    condition = {"status": "False", "reason": "BackOff", "message": "exited with 3", "since": 1.0}
    assert json.loads(capsys.readouterr().out) == {
        "outcome": "partial",
        "revision": "r1",
        "nothingHere": False,
        "timedOut": True,
        "unfinished": [
            {"object": "Container/web", "reason": "BackOff", "message": "exited with 3; failure 2 in a row"}
        ],
        "objects": [
            {
                "object": "Container/web",
                "detail": "exited (3)",
                "until": 8.0,
                "conditions": [{"type": type, **condition} for type in ("Ready", "Reconciling", "Stalled")],
            }
        ],
    }


@pytest.mark.parametrize("output", options.Output)
def test_apply__source_is_empty__says_what_that_means(
    capsys: pytest.CaptureFixture[str], output: options.Output
) -> None:
    kept = once.Converged(once.Outcome.APPLIED, "r1", (STATUS,), (), timed_out=False, declares_nothing=True)
    assert ended(kept, output) == 0
    assert capsys.readouterr().err == (
        "SOURCE declares nothing; what runs is left as it is."
        " To remove it: trimtab delete MANIFESTS, with those that declared it\n"
    )


def test_apply__source_is_empty_and_so_is_the_host__says_no_more_than_that(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(once.Converged(once.Outcome.APPLIED, "r1", (), (), timed_out=False, declares_nothing=True)) == 0
    assert capsys.readouterr() == ("nothing to change\n", "SOURCE declares nothing\n")


def test_show_events__of_an_agent__are_the_lines_of_progress(capsys: pytest.CaptureFixture[str]) -> None:
    done = past.Event(1.0, "Container/web", "StartContainer", "Missing", "succeeded", "", 0.25, "r1")
    skipped = dataclasses.replace(done, action="RenameContainer", result="skipped", duration=0.0)
    convergence.show_events([done, skipped])
    captured = capsys.readouterr()
    assert captured.err == "✓ StartContainer Container/web 0.25 s\n- RenameContainer Container/web skipped\n"
    assert captured.out == ""
