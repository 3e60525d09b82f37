"""What is said of objects in every situation they can be in."""

import dataclasses
from collections.abc import Mapping

import pytest

from agent.converge import goal as goals
from agent.converge import report, verdicts
from agent.model import conditions, container, health, policy, state
from agent.model.key import ObjectKey
from agent.plan import actions, planner
from agent.reasons import Reason
from tests import builders

WEB = builders.config()
KEY = state.key_of(WEB)
PROBE = health.Probe(health.TcpProbe(80), 0.0, 1.0, 1.0, 1, 3)
PROBED = dataclasses.replace(WEB, health=health.HealthConfig(PROBE, PROBE, PROBE))


def printed(
    desired: state.DesiredState,
    observed: state.ObservedState,
    current: Mapping[ObjectKey, actions.Action] | None = None,
    holds: tuple[policy.Hold, ...] = (),
    failing: Mapping[ObjectKey, bool] | None = None,
) -> dict[str, str]:
    """Return ``Ready/Reconciling/Stalled reason: detail until`` of every object."""
    goal = goals.Goal.everything(desired)
    computed = planner.compute_plan(desired, observed, builders.rules(holds=holds, prune=goal.prune))
    facts = verdicts.Facts(goal, observed, computed, current or {}, failing or {})
    statuses = {}
    for status in report.report(facts, {}):
        answers = {condition.type: condition for condition in status.conditions}
        ready = answers[conditions.ConditionType.READY]
        short = "/".join(
            answers[type].status.value
            for type in (
                conditions.ConditionType.READY,
                conditions.ConditionType.RECONCILING,
                conditions.ConditionType.STALLED,
            )
        )
        until = "" if status.until is None else f" until +{status.until - builders.NOW:g}"
        statuses[str(status.key)] = f"{short} {ready.reason}: {status.detail}{until}"
    return statuses


def probed(started: bool, ready: bool, alive: bool, message: str = "") -> health.ObservedHealth:
    return health.ObservedHealth("id-web", started, ready, alive, message, None if alive else builders.NOW)


def test_report__running_without_probes__is_ready() -> None:
    assert printed(builders.desired(WEB), builders.world(builders.observed(WEB))) == {
        "Container/web": "True/False/False Running: running",
        f"Image/{builders.IMAGE}": "True/False/False Available: available",
    }


@pytest.mark.parametrize(
    ("healths", "expected"),
    [
        ((), "False/True/False Starting: running, starting"),
        ((probed(started=False, ready=False, alive=True),), "False/True/False Starting: running, starting"),
        ((probed(started=True, ready=False, alive=True),), "False/True/False Starting: running, starting"),
        (
            (probed(started=True, ready=False, alive=True, message="readiness: refused"),),
            "False/False/False Unready: running, not ready",
        ),
        ((probed(started=True, ready=True, alive=True),), "True/False/False Healthy: running, healthy"),
    ],
)
def test_report__probed__says_how_it_is(healths: tuple[health.ObservedHealth, ...], expected: str) -> None:
    observed = builders.world(builders.observed(PROBED), health=healths)
    assert printed(builders.desired(PROBED), observed)["Container/web"] == expected


def test_report__dead_by_its_probes_and_never_restarted__is_unhealthy() -> None:
    never = dataclasses.replace(PROBED, restart=dataclasses.replace(WEB.restart, policy=container.RestartPolicy.NEVER))
    observed = builders.world(builders.observed(never), health=(probed(started=True, ready=False, alive=False),))
    expected = "False/True/False Unhealthy: running, unhealthy"
    assert printed(builders.desired(never), observed)["Container/web"] == expected


def test_report__crashes_again_and_again__says_when_it_is_started_next() -> None:
    observed = builders.world(builders.exited(WEB, 1, at=996.0), ledger=(builders.remembered(WEB, streak=4),))
    expected = "False/True/False BackOff: exited (1) until +4"
    assert printed(builders.desired(WEB), observed)["Container/web"] == expected


def test_report__killed_for_want_of_memory__says_so() -> None:
    ended = builders.exited(WEB, 137, at=996.0, oom_killed=True)
    observed = builders.world(ended, ledger=(builders.remembered(WEB, streak=4),))
    expected = "False/True/False BackOff: exited (137, killed for want of memory) until +4"
    assert printed(builders.desired(WEB), observed)["Container/web"] == expected


@pytest.mark.parametrize(
    ("code", "stopped", "expected"),
    [
        (0, False, "True/False/False Completed: completed"),
        (1, False, "False/False/True Stopped: exited (1)"),
        (143, True, "False/False/False Stopped: exited (143)"),
    ],
)
def test_report__ended_and_not_restarted__depends_on_how(code: int, stopped: bool, expected: str) -> None:
    policy_of = container.RestartPolicy.UNLESS_STOPPED if stopped else container.RestartPolicy.NEVER
    config = dataclasses.replace(WEB, restart=dataclasses.replace(WEB.restart, policy=policy_of))
    observed = builders.world(builders.exited(config, code, stop_requested=stopped))
    assert printed(builders.desired(config), observed)["Container/web"] == expected


def test_report__being_worked_on__says_what_is_done() -> None:
    cause = actions.Cause(Reason.MISSING, "not there yet")
    current = {KEY: actions.CreateContainer(KEY, cause, WEB, "web")}
    assert printed(builders.desired(WEB), builders.world(), current)["Container/web"] == (
        "False/True/False Missing: creating"
    )


def test_report__changed_in_place__stays_ready_meanwhile() -> None:
    cause = actions.Cause(Reason.CHANGED, "resources", ("resources",))
    current = {KEY: actions.UpdateContainer(KEY, cause, "id-web", WEB.resources, None)}
    observed = builders.world(builders.observed(WEB))
    assert printed(builders.desired(WEB), observed, current)["Container/web"] == "True/True/False Changed: updating"


def test_report__failed_and_retried__says_when() -> None:
    hold = policy.Hold(KEY, "PortInUse", "port 80 is in use", until=builders.NOW + 8)
    statuses = printed(builders.desired(WEB), builders.world(), holds=(hold,), failing={KEY: False})
    assert statuses["Container/web"] == "False/True/False PortInUse: PortInUse until +8"


def test_report__failed_for_good__is_stalled_also_while_it_is_tried_again() -> None:
    hold = policy.Hold(KEY, "StartFailed", "no such program", until=builders.NOW + 200)
    statuses = printed(builders.desired(WEB), builders.world(), holds=(hold,), failing={KEY: True})
    assert statuses["Container/web"] == "False/False/True StartFailed: StartFailed until +200"
    cause = actions.Cause(Reason.MISSING, "not there yet")
    current = {KEY: actions.CreateContainer(KEY, cause, WEB, "web")}
    statuses = printed(builders.desired(WEB), builders.world(), current, failing={KEY: True})
    assert statuses["Container/web"] == "False/True/True Missing: creating"


def test_report__name_taken_by_somebody_else__is_stalled() -> None:
    foreign = dataclasses.replace(builders.observed(WEB), labels=())
    assert (
        printed(builders.desired(WEB), builders.world(foreign))["Container/web"] == "False/False/True Foreign: Foreign"
    )


def test_report__volume_left_the_source__is_retained() -> None:
    data = builders.volume_config()
    observed = builders.world(builders.observed(WEB), builders.observed_volume(data))
    assert printed(builders.desired(WEB), observed)["Volume/data"] == "Unknown/False/False Retained: retained"


def test_report__source_is_empty__everything_is_kept() -> None:
    statuses = printed(builders.desired(image=False), builders.world(builders.observed(WEB)))
    assert statuses["Container/web"] == "Unknown/False/False SourceEmpty: kept"


def test_report__nothing_was_ever_read__says_that_nobody_knows_what_is_declared() -> None:
    statuses = printed(state.DesiredState(""), builders.world(builders.observed(WEB)))
    assert statuses["Container/web"] == "Unknown/False/False DeclarationUnknown: running"


def test_report__same_answer_as_before__keeps_its_time() -> None:
    goal = goals.Goal.everything(builders.desired(WEB))

    def at(now: float, observed: state.ObservedState, before: tuple[conditions.ObjectStatus, ...]) -> tuple[float, ...]:
        observed = dataclasses.replace(observed, observed_at=now)
        computed = planner.compute_plan(goal.desired, observed, builders.rules())
        facts = verdicts.Facts(goal, observed, computed, {}, {})
        statuses = report.report(facts, {status.key: status for status in before})
        kept.append(statuses)
        status = next(status for status in statuses if status.key == KEY)
        return tuple(condition.since for condition in status.conditions)

    kept: list[tuple[conditions.ObjectStatus, ...]] = []
    well = builders.world(builders.observed(WEB))
    crashed = builders.world(builders.exited(WEB, 1, at=1099.0), ledger=(builders.remembered(WEB, streak=3),))
    assert at(1000.0, well, ()) == (1000.0, 1000.0, 1000.0)
    assert at(1050.0, well, kept[-1]) == (1000.0, 1000.0, 1000.0)
    assert at(1100.0, crashed, kept[-1]) == (1100.0, 1100.0, 1000.0)
    assert report.changes({change.key: change for change in kept[0]}, kept[1]) == ()
    assert [str(change.key) for change in report.changes({change.key: change for change in kept[1]}, kept[2])] == [
        "Container/web"
    ]
    assert report.is_ready(kept[0][0])
    assert not report.is_ready(kept[2][0])


@pytest.mark.parametrize(
    ("streak", "ran", "expected", "changes_in"),
    [
        (0, 0.2, "True/False/False Running: running", None),
        (3, 0.2, "False/True/False Restarted: running, restarted", 0.8),
        (3, -0.1, "False/True/False Restarted: running, restarted", 1.1),
        (3, 1.0, "True/False/False Running: running", None),
        (3, -3600.0, "True/False/False Running: running", None),
    ],
)
def test_report__runs_again_after_failures__is_not_ready_at_once(
    streak: int, ran: float, expected: str, changes_in: float | None
) -> None:
    restarted = builders.observed(WEB, started_at=builders.NOW - ran)
    observed = builders.world(restarted, ledger=(builders.remembered(WEB, streak=streak),))
    assert printed(builders.desired(WEB), observed)["Container/web"] == expected
    goal = goals.Goal.everything(builders.desired(WEB))
    computed = planner.compute_plan(goal.desired, observed, builders.rules())
    moment = verdicts.changes_at(verdicts.Facts(goal, observed, computed, {}, {}))
    assert moment == (None if changes_in is None else pytest.approx(builders.NOW + changes_in))


def test_report__runs_again_after_failures_and_is_probed__is_as_its_probes_say() -> None:
    restarted = builders.observed(PROBED, started_at=builders.NOW - 0.2)
    memory = (builders.remembered(PROBED, streak=3),)
    observed = builders.world(restarted, ledger=memory, health=(probed(started=True, ready=True, alive=True),))
    assert printed(builders.desired(PROBED), observed)["Container/web"] == "True/False/False Healthy: running, healthy"


def test_report__something_of_what_was_said_is_otherwise__is_said_anew() -> None:
    goal = goals.Goal.everything(builders.desired(WEB))
    observed = builders.world(builders.observed(WEB))
    computed = planner.compute_plan(goal.desired, observed, builders.rules())
    facts = verdicts.Facts(goal, observed, computed, {}, {})
    fresh = next(status for status in report.report(facts, {}) if status.key == KEY)

    def said(before: conditions.ObjectStatus) -> conditions.ObjectStatus:
        return next(status for status in report.report(facts, {KEY: before}) if status.key == KEY)

    first, *others = fresh.conditions
    assert said(fresh) is fresh
    for fields in (
        {"config_hash": "another"},
        {"detail": "another"},
        {"until": 1.0},
        {"conditions": (dataclasses.replace(first, reason="Another"), *others)},
        {"conditions": (dataclasses.replace(first, message="another"), *others)},
        {"conditions": (dataclasses.replace(first, status=conditions.ConditionStatus.UNKNOWN), *others)},
        {"conditions": (first, *(dataclasses.replace(condition, reason="Another") for condition in others))},
        {"conditions": tuple(others)},
    ):
        assert said(dataclasses.replace(fresh, **fields)) == fresh, fields


def test_condition__of_a_type__is_that_one() -> None:
    goal = goals.Goal.everything(builders.desired(WEB))
    computed = planner.compute_plan(goal.desired, builders.world(), builders.rules())
    status = report.report(verdicts.Facts(goal, builders.world(), computed, {}, {}), {})[0]
    for type in conditions.ConditionType:
        assert report.condition(status, type).type is type


def test_report__focused_on_some__says_nothing_of_others_and_an_undeclared_one_has_no_hash() -> None:
    data = builders.volume_config()
    observed = builders.world(builders.observed(WEB), builders.observed_volume(data))
    goal = goals.Goal.everything(builders.desired(WEB)).focused(frozenset({state.key_of(data)}))
    computed = planner.compute_plan(goal.desired, observed, builders.rules())
    (status,) = report.report(verdicts.Facts(goal, observed, computed, {}, {}), {})
    assert (str(status.key), status.config_hash) == ("Volume/data", "")
