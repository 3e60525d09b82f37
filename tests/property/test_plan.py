"""What holds for every plan, whatever is declared and whatever is there. Each test is a sentence about safety."""

import dataclasses
import random
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from agent.model import container, health, ledger, policy, state, volume
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, plan, planner, render
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

    def rest(
        self, wanted: state.DesiredState, found: state.ObservedState, sick: frozenset[str] = frozenset()
    ) -> tuple[state.ObservedState, plan.Plan]:
        """Plan, apply and live on until nothing changes any more; gives the world and the last plan, which is empty."""
        for _ in range(ROUNDS):
            computed = planner.compute_plan(wanted, found, RULES)
            after = self.lived(self.applied(found, computed, None), wanted, sick)
            if computed.empty and after == found:
                return found, computed
            found = after
        pytest.fail(f"never comes to rest: {render.text(computed, explain=True)}")

    def brought_about(self, wanted: state.DesiredState) -> state.ObservedState:
        """Give the world after a state was brought about from nothing."""
        return self.rest(wanted, EMPTY)[0]


@pytest.fixture(scope="session")
def life(applied: Any, lived: Any) -> Life:
    return Life(applied, lived)


def fulfilled(found: state.ObservedState, wanted: state.DesiredState, dependency: container.Dependency) -> bool:
    """Tell whether a dependency's condition holds, said once more and otherwise than the planner does."""
    there = {one.name: one for one in found.containers}
    other = there.get(dependency.container)
    if other is None:
        return False
    ended_well = other.state is container.ContainerState.EXITED and other.exit_code == 0
    runs = other.state is container.ContainerState.RUNNING
    probed = any(one.name == other.name and one.health == drawn.PROBED for one in wanted.containers)
    ready = not probed or any(one.container_id == other.id and one.ready for one in found.health)
    return {drawn.STARTED: runs or ended_well, drawn.HEALTHY: runs and ready, drawn.COMPLETED: ended_well}[
        dependency.condition
    ]


def left_waiting(found: state.ObservedState, wanted: state.DesiredState) -> set[str]:
    """Give the declared containers that neither run nor have run to their end as they may."""
    there = {one.name: one for one in found.containers}
    waiting = set()
    for config in wanted.containers:
        one = there.get(config.name)
        runs = one is not None and one.state is container.ContainerState.RUNNING
        done = one is not None and one.exit_code == 0 and not one.stop_requested and config.restart.policy in drawn.JOBS
        if not runs and not done:
            waiting.add(config.name)
    return waiting


@hypothesis.given(wanted=drawn.desired_states())
def test_from_nothing__all_is_brought_about(wanted: state.DesiredState, life: Life) -> None:
    found, last = life.rest(wanted, EMPTY)
    assert left_waiting(found, wanted) == set()
    assert {one.name for one in found.containers} == {one.name for one in wanted.containers}
    assert (last.blocked, last.drift) == ((), ())


@hypothesis.given(wanted=drawn.desired_states(), sick=drawn.SICK)
def test_something_never_becomes_ready__only_what_waits_for_it_waits(
    wanted: state.DesiredState, sick: frozenset[str], life: Life
) -> None:
    found, last = life.rest(wanted, EMPTY, sick)
    blocked = {one.key.name: one.reason for one in last.blocked}
    assert set(blocked.values()) <= {"WaitingForDependency"}
    assert left_waiting(found, wanted) == blocked.keys()
    for config in wanted.containers:
        open_gate = all(fulfilled(found, wanted, one) for one in config.depends_on)
        assert open_gate == (config.name not in blocked)


@hypothesis.given(data=st.data(), before=drawn.desired_states(), after=drawn.desired_states(), sick=drawn.SICK)
def test_containers__never_start_before_what_they_wait_for(
    data: st.DataObject, before: state.DesiredState, after: state.DesiredState, sick: frozenset[str], life: Life
) -> None:
    found = data.draw(drawn.disturbed(life.brought_about(before)))
    for _ in range(ROUNDS):
        computed = planner.compute_plan(after, found, RULES)
        for step in computed.steps:
            if isinstance(step.action, actions.StartContainer):
                then = life.applied(found, computed, step.id)
                (config,) = (one for one in after.containers if one.name == step.action.key.name)
                assert all(fulfilled(then, after, one) for one in config.depends_on), render.text(
                    computed, explain=True
                )
        found = life.lived(life.applied(found, computed, None), after, sick)


@hypothesis.given(data=st.data(), before=drawn.desired_states(), after=drawn.desired_states())
def test_from_anything__all_comes_to_rest_and_what_still_waits_has_a_reason(
    data: st.DataObject, before: state.DesiredState, after: state.DesiredState, life: Life
) -> None:
    found, last = life.rest(after, data.draw(drawn.disturbed(life.brought_about(before))))
    blocked = {one.key.name: one.reason for one in last.blocked}
    stopped = {name for name, reason in blocked.items() if reason == "Stopped"}
    for name in stopped:
        (one,) = (one for one in found.containers if one.name == name)
        assert one.state is container.ContainerState.EXITED
        assert one.exit_code != 0 or one.stop_requested
    for config in after.containers:
        if blocked.get(config.name) == "WaitingForDependency":
            assert not all(fulfilled(found, after, one) for one in config.depends_on)
    assert left_waiting(found, after) <= blocked.keys()
    assert set(blocked.values()) <= {"Stopped", "WaitingForDependency"}
    assert bool(blocked) == bool(stopped), "nothing waits but for what somebody or something has stopped"


@hypothesis.given(data=st.data(), before=drawn.desired_states(), after=drawn.desired_states(), sick=drawn.SICK)
def test_from_anything__a_plan_applied_and_planned_again_only_goes_on_with_what_waited(
    data: st.DataObject, before: state.DesiredState, after: state.DesiredState, sick: frozenset[str], life: Life
) -> None:
    found = life.lived(data.draw(drawn.disturbed(life.brought_about(before))), after, sick)
    first = planner.compute_plan(after, found, RULES)
    again = planner.compute_plan(after, life.applied(found, first, None), RULES)
    assert {step.action.key for step in again.steps} <= {one.key for one in first.blocked}, render.text(
        again, explain=True
    )


@hypothesis.given(data=st.data(), before=drawn.desired_states(), after=drawn.desired_states())
def test_interrupted_anywhere__the_next_plans_finish(
    data: st.DataObject, before: state.DesiredState, after: state.DesiredState, life: Life
) -> None:
    found = life.brought_about(before)
    first = planner.compute_plan(after, found, RULES)
    stopped = life.applied(found, first, data.draw(st.integers(0, len(first.steps))))
    done, _ = life.rest(after, stopped)
    assert {one.name for one in done.containers} == {one.name for one in after.containers}


@hypothesis.given(before=drawn.desired_states(), after=drawn.desired_states())
def test_foreign_objects__are_never_touched(before: state.DesiredState, after: state.DesiredState, life: Life) -> None:
    ours = life.brought_about(before)
    foreign_container, foreign_network, foreign_volume = FOREIGN
    found = dataclasses.replace(
        ours,
        containers=(*ours.containers, foreign_container),
        networks=(*ours.networks, foreign_network),
        volumes=(*ours.volumes, foreign_volume),
    )
    done = life.applied(found, planner.compute_plan(after, found, RULES), None)
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
    found = life.brought_about(before)
    shuffle = random.Random(seed)  # noqa: S311

    def mixed(value: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(shuffle.sample(value, len(value)))

    lists = ("containers", "images", "networks", "volumes")
    other_wish = dataclasses.replace(after, **{name: mixed(getattr(after, name)) for name in lists})
    other_world = dataclasses.replace(found, **{name: mixed(getattr(found, name)) for name in (*lists, "health")})
    assert planner.compute_plan(other_wish, other_world, RULES) == planner.compute_plan(after, found, RULES)


@hypothesis.given(before=drawn.desired_states(), after=drawn.desired_states())
def test_volumes__only_go_where_their_manifest_said_delete_and_left(
    before: state.DesiredState,
    after: state.DesiredState,
    life: Life,
) -> None:
    found = life.brought_about(before)
    done = life.applied(found, planner.compute_plan(after, found, RULES), None)
    gone = {one.name for one in found.volumes} - {one.name for one in done.volumes}
    allowed = {one.name for one in found.volumes if one.config.deletion_policy is volume.DeletionPolicy.DELETE}
    assert gone <= allowed - {one.name for one in after.volumes}


@hypothesis.given(before=drawn.desired_states())
def test_no_pruning__nothing_is_ever_removed(before: state.DesiredState, life: Life) -> None:
    found = life.brought_about(before)
    computed = planner.compute_plan(state.DesiredState("r2"), found, builders.rules(prune=False))
    assert computed.empty


@hypothesis.given(before=drawn.desired_states(), after=drawn.desired_states(), name=st.sampled_from(drawn.NAMES))
def test_held_object__gets_no_step(
    before: state.DesiredState, after: state.DesiredState, name: str, life: Life
) -> None:
    found = life.brought_about(before)
    key = ObjectKey(Kind.CONTAINER, name)
    hold = policy.Hold(key, "InProgress", "busy")
    computed = planner.compute_plan(after, found, builders.rules(holds=(hold,)))
    assert not [step for step in computed.steps if step.action.key == key]


@hypothesis.given(
    wanted=drawn.desired_states(),
    streaks=st.dictionaries(st.sampled_from(drawn.NAMES), st.integers(0, 12)),
    kind=drawn.POLICIES,
)
def test_failures__are_started_again_or_waited_for_and_never_forgotten(
    wanted: state.DesiredState,
    streaks: dict[str, int],
    kind: container.RestartPolicy,
    life: Life,
) -> None:
    restart = container.RestartConfig(kind, container.BackoffConfig(1.0, 60.0, 600.0))
    wanted = dataclasses.replace(
        wanted, containers=tuple(dataclasses.replace(one, restart=restart, depends_on=()) for one in wanted.containers)
    )
    found = life.brought_about(wanted)
    ended = tuple(
        dataclasses.replace(one, state=container.ContainerState.EXITED, exit_code=1, finished_at=builders.NOW)
        for one in found.containers
    )
    memory = tuple(ledger.LedgerEntry(ObjectKey(Kind.CONTAINER, name), "", streak) for name, streak in streaks.items())
    computed = planner.compute_plan(wanted, dataclasses.replace(found, containers=ended, ledger=memory), RULES)
    told = {step.action.key.name for step in computed.steps} | {one.key.name for one in computed.blocked}
    assert told == {one.name for one in wanted.containers}
    waits = [one.until for one in computed.blocked if one.reason == "BackOff"]
    assert all(until is not None and builders.NOW < until <= builders.NOW + 60 for until in waits)
    assert computed.wake_at == min(waits, default=None)


@pytest.mark.parametrize("alive", [True, False])
def test_plan__is_a_value_that_equals_itself(alive: bool) -> None:
    web = builders.config()
    sick = health.ObservedHealth("id-web", True, alive, alive, "", None if alive else builders.NOW)
    found = builders.world(builders.observed(web), health=(sick,))
    assert planner.compute_plan(builders.desired(web), found, RULES) == planner.compute_plan(
        builders.desired(web), found, RULES
    )
