"""Containers that somebody has asked to restart."""

import dataclasses

import pytest

from agent.model import container, ledger, state, suspension
from agent.plan import actions, plan, planner
from agent.reasons import Reason
from tests import builders

NEVER = container.RestartConfig(container.RestartPolicy.NEVER, container.BackoffConfig(1.0, 2.0, 3.0))
WEB = builders.config("web", restart=NEVER)
KEY = state.key_of(WEB)
CAUSE = actions.Cause(Reason.REQUESTED, "somebody has asked for it")
START = actions.StartContainer(KEY, CAUSE, "id-web", None, 0)


def planned(desired: state.DesiredState, *existing: object, **fields: object) -> plan.Plan:
    rules = builders.rules(restarts=frozenset({KEY}))
    return planner.compute_plan(desired, builders.world(*existing, **fields), rules)


def test_restart__it_runs__is_stopped_as_declared_and_started_and_counts_for_nothing() -> None:
    computed = planned(builders.desired(WEB), builders.observed(WEB))
    stop = actions.StopContainer(KEY, CAUSE, "id-web", WEB.stop)
    assert computed.steps == (plan.Step(0, stop, ()), plan.Step(1, START, (0,)))


@pytest.mark.parametrize(
    "current",
    [
        builders.observed(WEB, container.ContainerState.CREATED),
        builders.exited(WEB, 0),
        builders.exited(WEB, 1, stop_requested=True),
    ],
    ids=["created", "done", "stopped"],
)
def test_restart__it_does_not_run__is_started_whatever_its_policy(current: container.ObservedContainer) -> None:
    assert planned(builders.desired(WEB), current).steps == (plan.Step(0, START, ()),)


def test_restart__it_waits_in_its_back_off__is_started_now_with_no_failure_remembered() -> None:
    always = dataclasses.replace(WEB, restart=dataclasses.replace(NEVER, policy=container.RestartPolicy.ALWAYS))
    entry = ledger.LedgerEntry(KEY, "", streak=9)
    computed = planned(builders.desired(always), builders.exited(always, 1, at=999.9), ledger=(entry,))
    assert (computed.steps, computed.blocked) == ((plan.Step(0, START, ()),), ())


def test_restart__it_is_replaced_anyway__is_not_restarted_beside() -> None:
    computed = planned(builders.desired(dataclasses.replace(WEB, args=("x",))), builders.observed(WEB))
    starts = [step for step in computed.steps if isinstance(step.action, actions.StartContainer)]
    assert [step.action.cause.reason for step in starts] == [Reason.CHANGED]


def test_restart__what_it_depends_on_is_down__is_not_stopped() -> None:
    db = builders.config("db", restart=NEVER)
    user = dataclasses.replace(WEB, depends_on=(container.Dependency("db", container.DependencyCondition.STARTED),))
    computed = planned(builders.desired(user, db), builders.observed(user), builders.exited(db, 1))
    assert computed.steps == ()
    assert {str(blocked.key): blocked.reason for blocked in computed.blocked}["Container/web"] == "WaitingForDependency"


def test_restart__it_is_suspended__is_left_alone() -> None:
    suspensions = suspension.Suspensions(1.0)
    assert planned(builders.desired(WEB), builders.observed(WEB), suspensions=suspensions).steps == ()


def test_focus__others_differ_or_are_orphans__only_what_is_in_focus_is_acted_on() -> None:
    changed = dataclasses.replace(builders.config("other"), args=("x",))
    rules = builders.rules(restarts=frozenset({KEY}), focus=frozenset({KEY}))
    observed = builders.world(
        *(builders.observed(WEB), builders.observed(builders.config("other"))),
        *(builders.observed(builders.config("orphan")), builders.exited(builders.config("down"), 1)),
    )
    computed = planner.compute_plan(
        builders.desired(WEB, changed, builders.config("down"), builders.network_config()), observed, rules
    )
    assert {step.action.key for step in computed.steps} == {KEY}
