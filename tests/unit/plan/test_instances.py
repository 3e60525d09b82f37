"""Instances of one container are planned each for itself: they come, go, fail and are restarted alone."""

import dataclasses

import pytest

from agent.model import container, instances, ledger, state, suspension
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, plan, planner
from agent.reasons import Reason
from tests import builders

KEY = ObjectKey(Kind.CONTAINER, "web")
WEB = builders.config("web")
THREE = instances.expand([WEB], {"web": 3})
RUNNING = tuple(builders.observed(config) for config in THREE)


def planned(
    desired: tuple[container.ContainerConfig, ...],
    *existing: object,
    restarts: frozenset[ObjectKey] = frozenset(),
    **fields: object,
) -> plan.Plan:
    rules = builders.rules(restarts=restarts)
    return planner.compute_plan(builders.desired(*desired), builders.world(*existing, **fields), rules)


def steps(computed: plan.Plan) -> list[tuple[str, str]]:
    return [(type(step.action).__name__, str(step.action.key)) for step in computed.steps]


def test_instances__not_there__are_each_made_and_started() -> None:
    computed = planned(THREE)
    assert steps(computed) == [
        *(("CreateContainer", f"Container/{name}") for name in ("web", "web-1", "web-2")),
        *(("StartContainer", f"Container/{name}") for name in ("web", "web-1", "web-2")),
    ]
    made = [step.action for step in computed.steps if isinstance(step.action, actions.CreateContainer)]
    assert [(action.name, action.key.ordinal, action.key.object) for action in made] == [
        ("web", 0, KEY),
        ("web-1", 1, KEY),
        ("web-2", 2, KEY),
    ]


def test_instances__all_there__nothing_is_planned() -> None:
    assert planned(THREE, *RUNNING).steps == ()


def test_instances__fewer_are_declared__the_others_go_alone() -> None:
    computed = planned((WEB,), *RUNNING)
    assert {key for _, key in steps(computed)} == {"Container/web-1", "Container/web-2"}
    assert {step.action.cause.reason for step in computed.steps} == {Reason.ORPHANED}


def test_instances__more_are_declared__those_that_run_are_left_as_they_are() -> None:
    assert {key for _, key in steps(planned(THREE, RUNNING[0]))} == {"Container/web-1", "Container/web-2"}


def test_instances__the_declaration_has_changed__each_has_a_successor_beside_it() -> None:
    changed = instances.expand([dataclasses.replace(WEB, args=("x",))], {"web": 2})
    computed = planned(changed, *RUNNING[:2])
    made = {
        str(step.action.key): step.action.name
        for step in computed.steps
        if isinstance(step.action, actions.CreateContainer)
    }
    assert made.keys() == {"Container/web", "Container/web-1"}
    assert all(name.startswith(f"{key.removeprefix('Container/')}-") for key, name in made.items())


def test_instances__one_has_failed__it_backs_off_by_its_own_streak_alone() -> None:
    failed = builders.exited(THREE[1], 1, at=999.0)
    entry = ledger.LedgerEntry(state.key_of(THREE[1]), "", streak=4)
    computed = planned(THREE, RUNNING[0], failed, RUNNING[2], ledger=(entry,))
    assert computed.steps == ()
    assert [(str(blocked.key), blocked.reason) for blocked in computed.blocked] == [
        ("Container/web-1", Reason.BACK_OFF)
    ]


def test_instances__one_is_to_be_restarted__the_others_go_on() -> None:
    computed = planned(THREE, *RUNNING, restarts=frozenset({KEY.instance(2)}))
    assert steps(computed) == [("StopContainer", "Container/web-2"), ("StartContainer", "Container/web-2")]


@pytest.mark.parametrize(("running", "starts"), [(2, False), (3, True)])
def test_dependency__is_fulfilled__by_all_instances(running: int, *, starts: bool) -> None:
    healthy = container.DependencyCondition.HEALTHY
    user = builders.config("user", depends_on=(container.Dependency("web", healthy),))
    all_of_it = instances.expand([WEB, user], {"web": 3})
    down = [builders.exited(config, 1, at=999.0) for config in THREE[running:]]
    ledgers = tuple(ledger.LedgerEntry(state.key_of(config), "", streak=4) for config in THREE)
    computed = planned(all_of_it, *RUNNING[:running], *down, ledger=ledgers)
    assert (("StartContainer", "Container/user") in steps(computed)) is starts


def test_object__is_suspended__so_are_all_its_instances() -> None:
    suspended = suspension.Suspensions(None, (suspension.Suspension(KEY, 900.0),))
    changed = instances.expand([dataclasses.replace(WEB, args=("x",))], {"web": 3})
    computed = planned(changed, *RUNNING, suspensions=suspended)
    assert computed.steps == ()
    assert [blocked.reason for blocked in computed.blocked] == [Reason.SUSPENDED] * 3


def test_instance__is_suspended__the_others_are_not() -> None:
    suspended = suspension.Suspensions(None, (suspension.Suspension(KEY.instance(1), 900.0),))
    changed = instances.expand([dataclasses.replace(WEB, args=("x",))], {"web": 3})
    computed = planned(changed, *RUNNING, suspensions=suspended)
    assert {key for _, key in steps(computed)} == {"Container/web", "Container/web-2"}
