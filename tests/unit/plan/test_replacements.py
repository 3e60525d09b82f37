"""Replacements that are given up, wait or fail; and how what goes is stopped."""

import dataclasses

import pytest

from agent.model import container, ledger, policy, state
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, planner, render
from agent.plan import plan as plans
from agent.reasons import Reason
from tests import builders

NEVER_STARTED = container.ContainerState.CREATED


def with_policy(name: container.RestartPolicy) -> container.ContainerConfig:
    """Return a container with a restart policy."""
    backoff = container.BackoffConfig(initial=1.0, maximum=300.0, reset=600.0)
    return builders.config(restart=container.RestartConfig(name, backoff))


PATIENT = container.StopConfig("SIGINT", 120.0)


def stops(plan: plans.Plan) -> list[container.StopConfig]:
    """Return how a plan stops containers."""
    return [step.action.stop for step in plan.steps if isinstance(step.action, actions.StopContainer)]


def test_stop__no_longer_declared__is_as_it_was_declared_last() -> None:
    web = builders.config(stop=PATIENT)
    computed = planner.compute_plan(builders.desired(), builders.world(builders.observed(web)), builders.rules())
    assert stops(computed) == [PATIENT]


def test_stop__replaced__is_as_it_is_declared_now() -> None:
    old = builders.config()
    new = dataclasses.replace(old, args=("x",), stop=PATIENT)
    computed = planner.compute_plan(builders.desired(new), builders.world(builders.observed(old)), builders.rules())
    assert stops(computed) == [PATIENT]
    assert computed.steps[0].action == actions.UpdateContainer(
        state.key_of(new), computed.steps[0].action.cause, "id-web", None, None, new.supervision
    ), "it is kept first: the declaration may be gone before the replacement has come about"


def test_stop__left_by_an_interrupted_replacement__is_as_it_is_declared_now() -> None:
    web = builders.config(stop=PATIENT)
    extra = dataclasses.replace(web, stop=container.StopConfig("", 1.0), args=("old",))
    observed = builders.world(builders.observed(web), builders.observed(extra, id="extra", name="web-1-new"))
    assert stops(planner.compute_plan(builders.desired(web), observed, builders.rules())) == [PATIENT]


def test_supervision__changed_while_the_replacement_waits__is_kept_all_the_same() -> None:
    old = builders.config()
    new = dataclasses.replace(old, image="docker.io/library/app:none", stop=PATIENT)
    hold = policy.Hold(ObjectKey(Kind.IMAGE, new.image), "ImagePullFailed", "no such tag", builders.NOW + 9)
    desired = builders.desired(new, builders.image_config(new.image))
    computed = planner.compute_plan(desired, builders.world(builders.observed(old)), builders.rules(holds=(hold,)))
    updates = [step.action for step in computed.steps if isinstance(step.action, actions.UpdateContainer)]
    assert [update.supervision for update in updates] == [new.supervision]


def interrupted(container_stopped: container.ObservedContainer) -> container.ObservedContainer:
    """Return a container that this agent has stopped."""
    state_of_it = container.ContainerState.EXITED
    return dataclasses.replace(
        container_stopped, state=state_of_it, exit_code=0, stop_requested=True, finished_at=builders.NOW - 1.0
    )


OURS = (ledger.LedgerEntry(ObjectKey(Kind.CONTAINER, "web"), "", streak=3, restarting=True),)


@pytest.mark.parametrize("name", container.RestartPolicy)
def test_stopped_for_a_replacement_that_was_taken_back__is_started_again_at_once(name: container.RestartPolicy) -> None:
    web = with_policy(name)
    observed = builders.world(interrupted(builders.observed(web)), ledger=OURS)
    (step,) = planner.compute_plan(builders.desired(web), observed, builders.rules()).steps
    assert step.action == actions.StartContainer(
        state.key_of(web),
        actions.Cause(Reason.INTERRUPTED, "was stopped for a change that has not come about"),
        *("id-web", None, 3),
    )


@pytest.mark.parametrize("name", container.RestartPolicy)
def test_stopped_for_a_replacement_whose_image_there_is_none_of__is_started_again(
    name: container.RestartPolicy,
) -> None:
    old = with_policy(name)
    new = dataclasses.replace(old, image="docker.io/library/app:none")
    hold = policy.Hold(ObjectKey(Kind.IMAGE, new.image), "ImagePullFailed", "no such tag", builders.NOW + 9)
    observed = builders.world(interrupted(builders.observed(old)), ledger=OURS)
    desired = builders.desired(new, builders.image_config(new.image))
    computed = planner.compute_plan(desired, observed, builders.rules(holds=(hold,)))
    assert [type(step.action).__name__ for step in computed.steps] == ["StartContainer"]
    assert [(str(blocked.key), blocked.reason) for blocked in computed.blocked] == [
        ("Container/web", "WaitingForDependency"),
        (f"Image/{old.image}", "InUse"),
        (f"Image/{new.image}", "ImagePullFailed"),
    ]


def test_stopped_for_a_replacement__another_image_is_fetched_first__is_started_again_until_it_is_there() -> None:
    old = builders.config()
    new = dataclasses.replace(old, image="docker.io/library/app:2")
    observed = builders.world(interrupted(builders.observed(old)), ledger=OURS)
    desired = builders.desired(new, builders.image_config(new.image))
    assert render.text(planner.compute_plan(desired, observed, builders.rules()), explain=True).splitlines()[:12] == [
        "-/+ Container/web is replaced",
        "      because Interrupted: was stopped for a change that has not come about",
        "      because Changed: image: docker.io/library/app:1 -> docker.io/library/app:2 (forces replacement)",
        "      1: StartContainer",
        "      2: CreateContainer after 0, 1",
        "      3: StopContainer after 2",
        "      4: RemoveContainer after 3",
        "      5: RenameContainer after 4",
        "      6: StartContainer after 5",
        "  - Image/docker.io/library/app:1 is removed",
        "      because Orphaned: no longer declared",
        "      7: RemoveImage after 4",
    ]


def test_crashed_while_its_replacement_waits__is_started_again() -> None:
    old = with_policy(container.RestartPolicy.ALWAYS)
    new = dataclasses.replace(old, image="docker.io/library/app:none")
    hold = policy.Hold(ObjectKey(Kind.IMAGE, new.image), "ImagePullFailed", "no such tag", builders.NOW + 9)
    crashed = builders.observed(
        old, container.ContainerState.EXITED, exit_code=1, finished_at=builders.NOW - 1.0, started_at=0.0
    )
    desired = builders.desired(new, builders.image_config(new.image))
    computed = planner.compute_plan(desired, builders.world(crashed), builders.rules(holds=(hold,)))
    assert [type(step.action).__name__ for step in computed.steps] == ["StartContainer"]


def test_only_a_successor_is_left_that_is_no_longer_declared__it_runs_until_the_next_is_made() -> None:
    old = builders.config()
    new = dataclasses.replace(old, image="docker.io/library/app:none")
    leftover = builders.observed(old, NEVER_STARTED, id="left", name="web-12345678-new")
    hold = policy.Hold(ObjectKey(Kind.IMAGE, new.image), "ImagePullFailed", "no such tag", builders.NOW + 9)
    desired = builders.desired(new, builders.image_config(new.image))
    computed = planner.compute_plan(desired, builders.world(leftover, ledger=OURS), builders.rules(holds=(hold,)))
    assert [(type(step.action).__name__, getattr(step.action, "ref", "")) for step in computed.steps] == [
        ("RenameContainer", "left"),
        ("StartContainer", "left"),
    ]


def test_making_the_replacement_has_failed_before__what_crashed_is_started_again_beside_the_next_try() -> None:
    old = with_policy(container.RestartPolicy.ALWAYS)
    new = dataclasses.replace(old, args=("x",))
    over = policy.Hold(ObjectKey(Kind.CONTAINER, "web"), "MountSourceMissing", "there is none", builders.NOW - 1)
    crashed = builders.observed(
        old, container.ContainerState.EXITED, exit_code=1, finished_at=builders.NOW - 1.0, started_at=0.0
    )
    computed = planner.compute_plan(builders.desired(new), builders.world(crashed), builders.rules(holds=(over,)))
    assert [type(step.action).__name__ for step in computed.steps] == [
        *("StartContainer", "CreateContainer", "StopContainer"),
        *("RemoveContainer", "RenameContainer", "StartContainer"),
    ]


def test_stopped_for_a_change_that_was_taken_back__its_dependency_is_being_replaced__does_not_wait_for_that() -> None:
    db = builders.config("db")
    web = builders.config(depends_on=(container.Dependency("db", container.DependencyCondition.STARTED),), networks=())
    new = dataclasses.replace(db, image="docker.io/library/app:none")
    observed = builders.world(builders.observed(db), interrupted(builders.observed(web)), ledger=OURS)
    desired = builders.desired(new, web, builders.image_config(new.image))
    computed = planner.compute_plan(desired, observed, builders.rules())
    (start,) = (step for step in computed.steps if step.action.key.name == "web")
    assert isinstance(start.action, actions.StartContainer)
    assert start.after == ()


def test_stopped_for_a_change__its_successor_waits_for_a_network_that_others_hold_up__does_not_wait_for_that() -> None:
    shop = builders.network_config("shop", internal=True)
    web = builders.config(networks=())
    api = builders.config("api", networks=(container.NetworkAttachment("shop"),))
    new_api = dataclasses.replace(api, image="docker.io/library/app:none")
    new_web = dataclasses.replace(web, args=("x",), networks=(container.NetworkAttachment("shop"),))
    stopped = interrupted(builders.observed(web))
    observed = builders.world(stopped, builders.observed(api), builders.observed_network(shop), ledger=OURS)
    remade = dataclasses.replace(shop, internal=False)
    desired = builders.desired(new_web, new_api, remade, builders.image_config(new_api.image))
    computed = planner.compute_plan(desired, observed, builders.rules())
    first = next(step for step in computed.steps if step.action.key.name == "web")
    assert isinstance(first.action, actions.StartContainer)
    assert (first.action.ref, first.after) == ("id-web", ())
