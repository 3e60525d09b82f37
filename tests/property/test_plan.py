"""What holds for every plan, whatever is declared and whatever is there. Each test is a sentence about safety."""

import dataclasses
import random
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from agent.model import container, health, kinds, ledger, policy, state, volume
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, plan, planner, render
from agent.reasons import Reason
from tests import builders
from tests.property import drawn

hypothesis.settings.register_profile("suite", deadline=None, max_examples=150, derandomize=True)
hypothesis.settings.load_profile("suite")

ROUNDS = 8
"""Three containers that wait for each other in a row are all up, or known to wait, well before."""

EMPTY = state.ObservedState(builders.NOW)
RULES = builders.rules()
FOREIGN = (
    builders.observed(builders.config("theirs"), labels=(("app", "x"),), id="foreign"),
    builders.observed_network(builders.network_config("theirs"), labels=()),
    dataclasses.replace(builders.observed_volume(builders.volume_config("theirs")), labels=()),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Life:
    """Plans that come true, and time that passes between them."""

    applied: Any
    lived: Any

    def settle(
        self, desired: state.DesiredState, observed: state.ObservedState, sick: frozenset[str] = frozenset()
    ) -> tuple[state.ObservedState, plan.Plan]:
        """Plan, apply and live on until nothing changes any more; gives the world and the last plan, which is empty."""
        for _ in range(ROUNDS):
            computed = planner.compute_plan(desired, observed, RULES)
            after = self.lived(self.applied(observed, computed, None), desired, sick)
            if computed.empty and after == observed:
                return observed, computed
            observed = after
        pytest.fail(f"never comes to rest: {render.text(computed, explain=True)}")

    def brought_about(self, desired: state.DesiredState) -> state.ObservedState:
        """Return the observed state after a desired state was applied to an empty world."""
        return self.settle(desired, EMPTY)[0]


@pytest.fixture(scope="session")
def life(applied: Any, lived: Any) -> Life:
    return Life(applied, lived)


def fulfilled(observed: state.ObservedState, desired: state.DesiredState, dependency: container.Dependency) -> bool:
    """Return whether a dependency's condition holds, said once more and otherwise than the planner does."""
    by_name = {container.name: container for container in observed.containers}
    other = by_name.get(dependency.container)
    if other is None:
        return False
    ended_well = other.state is container.ContainerState.EXITED and other.exit_code == 0
    runs = other.state is container.ContainerState.RUNNING
    probed = any(container.name == other.name and container.health == drawn.PROBED for container in desired.containers)
    ready = not probed or any(answer.container_id == other.id and answer.ready for answer in observed.health)
    return {drawn.STARTED: runs or ended_well, drawn.HEALTHY: runs and ready, drawn.COMPLETED: ended_well}[
        dependency.condition
    ]


def left_waiting(observed: state.ObservedState, desired: state.DesiredState) -> set[str]:
    """Return the declared containers that neither run nor have run to their end as they may."""
    by_name = {container.name: container for container in observed.containers}
    waiting = set()
    for config in desired.containers:
        present = by_name.get(config.name)
        runs = present is not None and present.state is container.ContainerState.RUNNING
        done = (
            present is not None
            and present.exit_code == 0
            and not present.stop_requested
            and config.restart.policy in drawn.JOBS
        )
        if not runs and not done:
            waiting.add(config.name)
    return waiting


@hypothesis.given(desired=drawn.desired_states())
def test_from_nothing__all_is_brought_about(desired: state.DesiredState, life: Life) -> None:
    observed, last = life.settle(desired, EMPTY)
    assert left_waiting(observed, desired) == set()
    assert {container.name for container in observed.containers} == {container.name for container in desired.containers}
    assert (last.blocked, last.drift) == ((), ())


@hypothesis.given(desired=drawn.desired_states(), sick=drawn.SICK)
def test_something_never_becomes_ready__only_what_waits_for_it_waits(
    desired: state.DesiredState, sick: frozenset[str], life: Life
) -> None:
    observed, last = life.settle(desired, EMPTY, sick)
    blocked = {blocked.key.name: blocked.reason for blocked in last.blocked}
    assert set(blocked.values()) <= {"WaitingForDependency"}
    assert left_waiting(observed, desired) == blocked.keys()
    for config in desired.containers:
        open_gate = all(fulfilled(observed, desired, dependency) for dependency in config.depends_on)
        assert open_gate == (config.name not in blocked)


@pytest.mark.parametrize("related", [False, True])
@hypothesis.given(data=st.data(), before=drawn.desired_states(), sick=drawn.SICK)
def test_containers__never_start_before_what_they_wait_for(
    data: st.DataObject, before: state.DesiredState, sick: frozenset[str], life: Life, related: bool
) -> None:
    after = data.draw(drawn.changed(before) if related else drawn.desired_states())
    observed = data.draw(drawn.disturbed(life.brought_about(before)))
    for _ in range(ROUNDS):
        computed = planner.compute_plan(after, observed, RULES)
        for step in computed.steps:
            if isinstance(step.action, actions.StartContainer):
                then = life.applied(observed, computed, step.id)
                (config,) = (container for container in after.containers if container.name == step.action.key.name)
                assert all(fulfilled(then, after, dependency) for dependency in config.depends_on), render.text(
                    computed, explain=True
                )
        observed = life.lived(life.applied(observed, computed, None), after, sick)


@hypothesis.given(data=st.data(), before=drawn.desired_states(), after=drawn.desired_states())
def test_from_anything__all_comes_to_rest_and_what_still_waits_has_a_reason(
    data: st.DataObject, before: state.DesiredState, after: state.DesiredState, life: Life
) -> None:
    observed, last = life.settle(after, data.draw(drawn.disturbed(life.brought_about(before))))
    blocked = {blocked.key.name: blocked for blocked in last.blocked}
    reasons = {name: wait.reason for name, wait in blocked.items()}
    assert set(reasons.values()) <= {Reason.STOPPED, Reason.WAITING_FOR_DEPENDENCY, Reason.IN_USE}
    assert left_waiting(observed, after) <= blocked.keys()
    ended = {item.name: item for item in observed.containers if item.state is container.ContainerState.EXITED}
    for name in (name for name, reason in reasons.items() if reason is Reason.STOPPED):
        assert ended[name].exit_code != 0 or ended[name].stop_requested
    for config in after.containers:
        if reasons.get(config.name) is Reason.WAITING_FOR_DEPENDENCY:
            missing = [other.container for other in config.depends_on if not fulfilled(observed, after, other)]
            assert any(name in blocked or name in ended for name in missing), (
                "it waits for what will never come by itself"
            )
    for wait in last.blocked:
        if wait.reason is Reason.IN_USE:
            users = wait.message.removeprefix("still used by ").split(", ")
            assert set(users) & blocked.keys(), "something stays for those only that wait themselves"


@hypothesis.given(data=st.data(), before=drawn.desired_states(), after=drawn.desired_states(), sick=drawn.SICK)
def test_from_anything__a_plan_applied_and_planned_again_only_goes_on_with_what_waited(
    data: st.DataObject, before: state.DesiredState, after: state.DesiredState, sick: frozenset[str], life: Life
) -> None:
    observed = life.lived(data.draw(drawn.disturbed(life.brought_about(before))), after, sick)
    first = planner.compute_plan(after, observed, RULES)
    repeated = planner.compute_plan(after, life.applied(observed, first, None), RULES)
    assert {step.action.key for step in repeated.steps} <= {blocked.key for blocked in first.blocked}, render.text(
        repeated, explain=True
    )


@hypothesis.given(data=st.data(), before=drawn.desired_states(), after=drawn.desired_states())
def test_interrupted_anywhere__the_next_plans_finish(
    data: st.DataObject, before: state.DesiredState, after: state.DesiredState, life: Life
) -> None:
    observed = life.brought_about(before)
    first = planner.compute_plan(after, observed, RULES)
    stopped = life.applied(observed, first, data.draw(st.integers(0, len(first.steps))))
    done, _ = life.settle(after, stopped)
    assert {container.name for container in done.containers} == {container.name for container in after.containers}


NO_IMAGE = "docker.io/library/app:none"


@hypothesis.given(data=st.data(), before=drawn.desired_states(), holds=st.booleans())
def test_a_replacement_given_up_for_one_that_cannot_be_made__nothing_stays_down(
    data: st.DataObject, before: state.DesiredState, holds: bool, life: Life
) -> None:
    """Two commits, the second while the first is under way: it names an image that is not there, and never will be."""
    observed = life.brought_about(before)
    ran = {
        observed_container.name
        for observed_container in observed.containers
        if observed_container.state is container.ContainerState.RUNNING
    }
    first = planner.compute_plan(data.draw(drawn.changed(before)), observed, RULES)
    observed = life.applied(observed, first, data.draw(st.integers(0, len(first.steps))))
    bad = {container.name for container in before.containers if data.draw(st.booleans())}
    desired = before.with_objects(
        {
            Kind.CONTAINER: tuple(
                dataclasses.replace(container, image=NO_IMAGE) if container.name in bad else container
                for container in before.containers
            )
        }
    )
    images = sorted({container.image for container in desired.containers})
    desired = desired.with_objects({Kind.IMAGE: tuple(builders.image_config(name) for name in images)})
    hold = policy.Hold(ObjectKey(Kind.IMAGE, NO_IMAGE), "ImagePullFailed", "there is no such tag", builders.NOW + 60)
    rules = builders.rules(holds=(hold,) if holds else ())
    for _ in range(ROUNDS):
        computed = planner.compute_plan(desired, observed, rules)
        observed = life.lived(failing_pulls(life, observed, computed), before)
    running = {
        observed_container.name
        for observed_container in observed.containers
        if observed_container.state is container.ContainerState.RUNNING
    }
    done = {
        container.name for container in observed.containers if container.exit_code == 0 and not container.stop_requested
    }
    assert ran <= running | done, render.text(computed, explain=True)


def failing_pulls(life: Life, observed: state.ObservedState, computed: plan.Plan) -> state.ObservedState:
    """Apply a plan as far as it goes where ``NO_IMAGE`` cannot be fetched."""
    failed: set[int] = set()
    for step in computed.steps:
        fetch = isinstance(step.action, actions.EnsureImage) and step.action.config.reference == NO_IMAGE
        if fetch or failed & set(step.after):
            failed.add(step.id)
    kept = tuple(step for step in computed.steps if step.id not in failed)
    return life.applied(observed, dataclasses.replace(computed, steps=kept), None)


@hypothesis.given(before=drawn.desired_states(), after=drawn.desired_states())
def test_what_is_removed__is_stopped_as_it_was_declared_last(
    before: state.DesiredState, after: state.DesiredState, life: Life
) -> None:
    observed = life.brought_about(before)
    asked = before.with_objects(
        {
            Kind.CONTAINER: tuple(
                dataclasses.replace(config, stop=container.StopConfig("SIGUSR1", 300.0)) for config in before.containers
            )
        }
    )
    observed = life.settle(asked, observed)[0]
    declared = {container.name: container.stop for container in after.containers}
    for step in planner.compute_plan(after, observed, RULES).steps:
        if isinstance(step.action, actions.StopContainer):
            name = step.action.key.name
            assert step.action.stop == declared.get(name, container.StopConfig("SIGUSR1", 300.0))


@hypothesis.given(before=drawn.desired_states(), after=drawn.desired_states())
def test_foreign_objects__are_never_touched(before: state.DesiredState, after: state.DesiredState, life: Life) -> None:
    ours = life.brought_about(before)
    foreign_container, foreign_network, foreign_volume = FOREIGN
    observed = ours.with_objects(
        {
            Kind.CONTAINER: (*ours.containers, foreign_container),
            Kind.NETWORK: (*ours.networks, foreign_network),
            Kind.VOLUME: (*ours.volumes, foreign_volume),
        }
    )
    done = life.applied(observed, planner.compute_plan(after, observed, RULES), None)
    assert foreign_container in done.containers
    assert foreign_network in done.networks
    assert foreign_volume in done.volumes


@hypothesis.given(before=drawn.desired_states(), after=drawn.desired_states(), seed=st.integers(0, 1000))
def test_order_of_input__never_changes_a_plan(
    before: state.DesiredState,
    after: state.DesiredState,
    seed: int,
    life: Life,
) -> None:
    observed = life.brought_about(before)
    shuffle = random.Random(seed)  # noqa: S311

    def mixed(value: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(shuffle.sample(value, len(value)))

    def mixed_objects(objects: kinds.ByKind[Any]) -> kinds.ByKind[Any]:
        return kinds.ByKind({kind: mixed(items) for kind, items in objects.items()})

    other_wish = dataclasses.replace(after, objects=mixed_objects(after.objects))
    other_world = dataclasses.replace(observed, objects=mixed_objects(observed.objects), health=mixed(observed.health))
    assert planner.compute_plan(other_wish, other_world, RULES) == planner.compute_plan(after, observed, RULES)


@hypothesis.given(before=drawn.desired_states(), after=drawn.desired_states())
def test_volumes__only_go_where_their_manifest_said_delete_and_left(
    before: state.DesiredState,
    after: state.DesiredState,
    life: Life,
) -> None:
    observed = life.brought_about(before)
    done = life.applied(observed, planner.compute_plan(after, observed, RULES), None)
    removed = {volume.name for volume in observed.volumes} - {volume.name for volume in done.volumes}
    allowed = {
        observed_volume.name
        for observed_volume in observed.volumes
        if observed_volume.config.deletion_policy is volume.DeletionPolicy.DELETE
    }
    assert removed <= allowed - {volume.name for volume in after.volumes}


@hypothesis.given(before=drawn.desired_states())
def test_no_pruning__nothing_is_ever_removed(before: state.DesiredState, life: Life) -> None:
    observed = life.brought_about(before)
    computed = planner.compute_plan(state.DesiredState("r2"), observed, builders.rules(prune=False))
    assert computed.empty


@hypothesis.given(before=drawn.desired_states(), after=drawn.desired_states(), name=st.sampled_from(drawn.NAMES))
def test_held_object__gets_no_step(
    before: state.DesiredState, after: state.DesiredState, name: str, life: Life
) -> None:
    observed = life.brought_about(before)
    key = ObjectKey(Kind.CONTAINER, name)
    hold = policy.Hold(key, "InProgress", "busy")
    computed = planner.compute_plan(after, observed, builders.rules(holds=(hold,)))
    assert not [step for step in computed.steps if step.action.key == key]


@hypothesis.given(
    desired=drawn.desired_states(),
    streaks=st.dictionaries(st.sampled_from(drawn.NAMES), st.integers(0, 12)),
    kind=drawn.POLICIES,
)
def test_failures__are_started_again_or_waited_for_and_never_forgotten(
    desired: state.DesiredState,
    streaks: dict[str, int],
    kind: container.RestartPolicy,
    life: Life,
) -> None:
    restart = container.RestartConfig(kind, container.BackoffConfig(1.0, 60.0, 600.0))
    desired = desired.with_objects(
        {
            Kind.CONTAINER: tuple(
                dataclasses.replace(container, restart=restart, depends_on=()) for container in desired.containers
            )
        }
    )
    observed = life.brought_about(desired)
    ended = tuple(
        dataclasses.replace(
            observed_container, state=container.ContainerState.EXITED, exit_code=1, finished_at=builders.NOW
        )
        for observed_container in observed.containers
    )
    memory = tuple(ledger.LedgerEntry(ObjectKey(Kind.CONTAINER, name), "", streak) for name, streak in streaks.items())
    computed = planner.compute_plan(
        desired, dataclasses.replace(observed.with_objects({Kind.CONTAINER: ended}), ledger=memory), RULES
    )
    mentioned = {step.action.key.name for step in computed.steps} | {blocked.key.name for blocked in computed.blocked}
    assert mentioned == {container.name for container in desired.containers}
    waits = [blocked.until for blocked in computed.blocked if blocked.reason == "BackOff"]
    assert all(until is not None and builders.NOW < until <= builders.NOW + 60 for until in waits)
    assert computed.wake_at == min(waits, default=None)


@pytest.mark.parametrize("alive", [True, False])
def test_plan__is_a_value_that_equals_itself(alive: bool) -> None:
    web = builders.config()
    sick = health.ObservedHealth("id-web", True, alive, alive, "", None if alive else builders.NOW)
    observed = builders.world(builders.observed(web), health=(sick,))
    assert planner.compute_plan(builders.desired(web), observed, RULES) == planner.compute_plan(
        builders.desired(web), observed, RULES
    )
