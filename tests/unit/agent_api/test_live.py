"""What the running agent says of passes that were asked for."""

import dataclasses
import pathlib

import pytest

from agent.agent_api import live, reconciliation, status
from agent.converge import goal as goals
from agent.converge import journal, reconcile, signals
from agent.drivers.memory import driver, world
from agent.kit import clock
from agent.model.key import Kind, ObjectKey
from agent.plan import planner
from agent.sources import api
from tests import builders

WEB = ObjectKey(Kind.CONTAINER, "web")


def reconciled(path: pathlib.Path, *passes: reconcile.PassResult | None) -> reconciliation.Reconciliation:
    """Return what an agent says of passes whose source was looked at with success."""
    facts, time = live.LiveFacts(), clock.SystemClock()
    facts.take(signals.SourceLooked("/srv", api.SourceHealth().succeeded("r1", 1.0)))
    facts.take(signals.PassFailed((), 1.0, OSError("it hangs"), 1.0))
    with journal.Journal(path / "j", pytest.fail) as book:
        parts = reconcile.Parts(driver.runtime_in(world.World(time)), book, lambda _: None, time, builders.OWNER)
        return live.LiveStatus(facts, parts, path, str, "/srv").reconciled(passes)


def test_reconciled__arguments_have_changed__names_the_field_and_no_value(tmp_path: pathlib.Path) -> None:
    before = builders.config("web", args=("--password", "hunter2"))
    desired = builders.desired(dataclasses.replace(before, args=("--password", "hunter3")))
    observed = builders.world(builders.observed(before))
    computed = planner.compute_plan(desired, observed, builders.rules())
    ended = reconcile.PassResult(
        goals.Goal.everything(desired), 0.0, observed, computed, (), frozenset({WEB}), {}, None
    )
    answer = reconciled(tmp_path, None, ended)
    assert (answer.look, answer.error, answer.under_way) == (status.LookResult.GOOD, "", ("Container/web",))
    assert ("Container/web", "Changed", "args changed") in [
        (step.object, step.reason, step.message) for step in answer.steps
    ]
    assert "hunter" not in str(answer)


def test_reconciled__the_runtime_could_not_be_observed__says_why(tmp_path: pathlib.Path) -> None:
    answer = reconciled(tmp_path, None)
    assert (answer.error, answer.is_well, answer.steps) == ("it hangs", False, ())
