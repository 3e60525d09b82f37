"""What holds for every plan, whatever is declared and whatever is there. Each test is a sentence about safety."""

import dataclasses
import random
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from agent.model import container, health, ledger, policy, state, volume
from agent.model.key import Kind, ObjectKey
from agent.plan import planner, render
from tests import builders

hypothesis.settings.register_profile("suite", deadline=None, max_examples=150, derandomize=True)
hypothesis.settings.load_profile("suite")

NAMES = ("a", "b", "c")
NETWORKS = ("net", "lan")
VOLUMES = ("data", "logs")
REFERENCES = (builders.IMAGE, "docker.io/library/app:2")
POLICIES = st.sampled_from(container.RestartPolicy)


@st.composite
def configs(draw: Any, name: str) -> container.ContainerConfig:
    """Give some container that depends only on those before it."""
    earlier = [other for other in NAMES if other < name]
    conditions = st.sampled_from([container.DependencyCondition.STARTED])
    return builders.config(
        name,
        image=draw(st.sampled_from(REFERENCES)),
        args=draw(st.sampled_from([None, ("x",), ("y",)])),
        labels=draw(st.sampled_from([(), (("app", "shop"),)])),
        resources=container.Resources(draw(st.sampled_from([None, 500])), None, None, None),
        networks=tuple(
            container.NetworkAttachment(one) for one in sorted(draw(st.sets(st.sampled_from(NETWORKS), max_size=2)))
        ),
        mounts=tuple(
            container.VolumeMount(one, f"/{one}", read_only=False)
            for one in sorted(draw(st.sets(st.sampled_from(VOLUMES), max_size=1)))
        ),
        depends_on=tuple(
            container.Dependency(one, draw(conditions))
            for one in sorted(draw(st.sets(st.sampled_from(earlier), max_size=1)) if earlier else [])
        ),
    )


@st.composite
def desired_states(draw: Any) -> state.DesiredState:
    """Give some desired state in which every reference leads somewhere."""
    names = sorted(draw(st.sets(st.sampled_from(NAMES))))
    containers = [draw(configs(name)) for name in names]
    containers = [
        dataclasses.replace(one, depends_on=tuple(d for d in one.depends_on if d.container in names))
        for one in containers
    ]
    references = {one.image for one in containers}
    networks = {one.network for config in containers for one in config.networks} | draw(
        st.sets(st.sampled_from(NETWORKS))
    )
    volumes = {one.volume for config in containers for one in config.mounts} | draw(st.sets(st.sampled_from(VOLUMES)))
    return state.DesiredState(
        "r1",
        containers=tuple(containers),
        images=tuple(builders.image_config(reference) for reference in sorted(references)),
        networks=tuple(builders.network_config(name, internal=draw(st.booleans())) for name in sorted(networks)),
        volumes=tuple(
            builders.volume_config(name, draw(st.sampled_from(volume.DeletionPolicy))) for name in sorted(volumes)
        ),
    )


@st.composite
def disturbed(draw: Any, found: state.ObservedState) -> state.ObservedState:
    """Let things happen behind our back: ends, removals, broken networks."""
    containers = []
    for one in found.containers:
        fate = draw(st.sampled_from(["keep", "end", "remove", "limits"]))
        if fate == "end" and one.state is container.ContainerState.RUNNING:
            code = draw(st.sampled_from([0, 1, 137, None]))
            containers.append(
                dataclasses.replace(
                    one, state=container.ContainerState.EXITED, exit_code=code, finished_at=found.observed_at
                )
            )
        elif fate == "limits":
            changed = dataclasses.replace(one.config, resources=container.Resources(1, 2, 3, 4))
            containers.append(dataclasses.replace(one, config=changed))
        elif fate != "remove":
            containers.append(one)
    used = {attached.network for one in containers for attached in one.config.networks}
    networks = tuple(
        dataclasses.replace(one, healthy=draw(st.booleans()))
        for one in found.networks
        if one.name in used or draw(st.booleans())
    )
    return dataclasses.replace(found, containers=tuple(containers), networks=networks)


def _only_on(one: container.ContainerConfig, names: list[str]) -> container.ContainerConfig:
    """Leave out dependencies on what is not declared."""
    return dataclasses.replace(one, depends_on=tuple(other for other in one.depends_on if other.container in names))


EMPTY = state.ObservedState(builders.NOW)
RULES = builders.rules()
FOREIGN = (
    builders.observed(builders.config("theirs"), labels=(("app", "x"),), id="foreign"),
    builders.observed_network(builders.network_config("theirs"), labels=()),
    dataclasses.replace(builders.observed_volume(builders.volume_config("theirs")), labels=()),
)


def brought_about(wanted: state.DesiredState, applied: Any) -> state.ObservedState:
    """Give the world after a state was brought about from nothing."""
    return applied(EMPTY, planner.compute_plan(wanted, EMPTY, RULES), None)


@hypothesis.given(wanted=desired_states())
def test_from_nothing__one_plan_brings_everything_about(wanted: state.DesiredState, applied: Any) -> None:
    found = brought_about(wanted, applied)
    assert {one.name for one in found.containers if one.state is container.ContainerState.RUNNING} == {
        one.name for one in wanted.containers
    }
    assert planner.compute_plan(wanted, found, RULES).empty


@hypothesis.given(data=st.data(), before=desired_states(), after=desired_states())
def test_from_anything__a_plan_applied_and_planned_again_is_empty(
    data: st.DataObject,
    before: state.DesiredState,
    after: state.DesiredState,
    applied: Any,
) -> None:
    found = data.draw(disturbed(brought_about(before, applied)))
    done = applied(found, planner.compute_plan(after, found, RULES), None)
    again = planner.compute_plan(after, done, RULES)
    assert again.empty, render.text(again, explain=True)
    assert not again.blocked


@hypothesis.given(data=st.data(), before=desired_states(), after=desired_states())
def test_interrupted_anywhere__the_next_plan_finishes(
    data: st.DataObject,
    before: state.DesiredState,
    after: state.DesiredState,
    applied: Any,
) -> None:
    found = brought_about(before, applied)
    first = planner.compute_plan(after, found, RULES)
    stopped = applied(found, first, data.draw(st.integers(0, len(first.steps))))
    done = applied(stopped, planner.compute_plan(after, stopped, RULES), None)
    assert planner.compute_plan(after, done, RULES).empty
    assert {one.name for one in done.containers} == {one.name for one in after.containers}


@hypothesis.given(before=desired_states(), after=desired_states())
def test_foreign_objects__are_never_touched(
    before: state.DesiredState, after: state.DesiredState, applied: Any
) -> None:
    ours = brought_about(before, applied)
    foreign_container, foreign_network, foreign_volume = FOREIGN
    found = dataclasses.replace(
        ours,
        containers=(*ours.containers, foreign_container),
        networks=(*ours.networks, foreign_network),
        volumes=(*ours.volumes, foreign_volume),
    )
    done = applied(found, planner.compute_plan(after, found, RULES), None)
    assert foreign_container in done.containers
    assert foreign_network in done.networks
    assert foreign_volume in done.volumes


@hypothesis.given(before=desired_states(), after=desired_states(), seed=st.integers(0, 1000))
def test_order_of_input__never_changes_a_plan(
    before: state.DesiredState,
    after: state.DesiredState,
    seed: int,
    applied: Any,
) -> None:
    found = brought_about(before, applied)
    shuffle = random.Random(seed)  # noqa: S311

    def mixed(value: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(shuffle.sample(value, len(value)))

    lists = ("containers", "images", "networks", "volumes")
    other_wish = dataclasses.replace(after, **{name: mixed(getattr(after, name)) for name in lists})
    other_world = dataclasses.replace(found, **{name: mixed(getattr(found, name)) for name in lists})
    assert planner.compute_plan(other_wish, other_world, RULES) == planner.compute_plan(after, found, RULES)


@hypothesis.given(before=desired_states(), after=desired_states())
def test_volumes__only_go_where_their_manifest_said_delete_and_left(
    before: state.DesiredState,
    after: state.DesiredState,
    applied: Any,
) -> None:
    found = brought_about(before, applied)
    done = applied(found, planner.compute_plan(after, found, RULES), None)
    gone = {one.name for one in found.volumes} - {one.name for one in done.volumes}
    allowed = {one.name for one in found.volumes if one.config.deletion_policy is volume.DeletionPolicy.DELETE}
    assert gone <= allowed - {one.name for one in after.volumes}


@hypothesis.given(before=desired_states())
def test_no_pruning__nothing_is_ever_removed(before: state.DesiredState, applied: Any) -> None:
    found = brought_about(before, applied)
    computed = planner.compute_plan(state.DesiredState("r2"), found, builders.rules(prune=False))
    assert computed.empty


@hypothesis.given(before=desired_states(), after=desired_states(), name=st.sampled_from(NAMES))
def test_held_object__gets_no_step(
    before: state.DesiredState, after: state.DesiredState, name: str, applied: Any
) -> None:
    found = brought_about(before, applied)
    key = ObjectKey(Kind.CONTAINER, name)
    hold = policy.Hold(key, "InProgress", "busy")
    computed = planner.compute_plan(after, found, builders.rules(holds=(hold,)))
    assert not [step for step in computed.steps if step.action.key == key]


@hypothesis.given(
    wanted=desired_states(), streaks=st.dictionaries(st.sampled_from(NAMES), st.integers(0, 12)), kind=POLICIES
)
def test_failures__are_started_again_or_waited_for_and_never_forgotten(
    wanted: state.DesiredState,
    streaks: dict[str, int],
    kind: container.RestartPolicy,
    applied: Any,
) -> None:
    restart = container.RestartConfig(kind, container.BackoffConfig(1.0, 60.0, 600.0))
    wanted = dataclasses.replace(
        wanted, containers=tuple(dataclasses.replace(one, restart=restart, depends_on=()) for one in wanted.containers)
    )
    found = brought_about(wanted, applied)
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
