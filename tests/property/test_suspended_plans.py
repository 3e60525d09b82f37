"""What holds for plans while something is suspended, or asked to restart. Each test is a sentence about safety."""

import dataclasses

import hypothesis
import pytest
from hypothesis import strategies as st

from agent.model import container, state, suspension
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, plan, planner, render
from tests import builders
from tests.property import drawn, test_plan

hypothesis.settings.register_profile("suite", deadline=None, max_examples=150, derandomize=True)
hypothesis.settings.load_profile("suite")


@pytest.fixture(scope="session")
def life(applied: object, lived: object) -> test_plan.Life:
    return test_plan.Life(applied, lived)


def keys_of(desired: state.DesiredState, observed: state.ObservedState) -> list[ObjectKey]:
    """Return every object that is declared or there."""
    existing = planner.compute_plan(desired, observed, test_plan.RULES).buckets
    return sorted(key for key, _ in existing)


def suspended(observed: state.ObservedState, keys: frozenset[ObjectKey]) -> state.ObservedState:
    suspensions = tuple(suspension.Suspension(key, 1.0) for key in sorted(keys))
    return dataclasses.replace(observed, suspensions=suspension.Suspensions(None, suspensions))


@hypothesis.given(data=st.data(), before=drawn.desired_states(), after=drawn.desired_states())
def test_what_is_suspended__is_never_acted_on_nor_robbed_of_what_it_uses(
    data: st.DataObject, before: state.DesiredState, after: state.DesiredState, life: test_plan.Life
) -> None:
    observed = data.draw(drawn.disturbed(life.brought_about(before)))
    held = frozenset(key for key in keys_of(after, observed) if data.draw(st.booleans()))
    computed = planner.compute_plan(after, suspended(observed, held), test_plan.RULES)
    text = render.text(computed, explain=True)
    assert not held & {step.action.key for step in computed.steps}, text
    removed = {
        step.action.key
        for step in computed.steps
        if isinstance(step.action, actions.RemoveNetwork | actions.RemoveVolume)
    }
    for item in observed.containers:
        if ObjectKey(Kind.CONTAINER, item.config.name) in held:
            assert not removed & set(state.used_by(item.config)), text


@hypothesis.given(data=st.data(), before=drawn.desired_states(), after=drawn.desired_states())
def test_the_source_is_suspended__nothing_is_done_and_what_would_be_is_said(
    data: st.DataObject, before: state.DesiredState, after: state.DesiredState, life: test_plan.Life
) -> None:
    observed = data.draw(drawn.disturbed(life.brought_about(before)))
    whole = dataclasses.replace(observed, suspensions=suspension.Suspensions(1.0))
    computed = planner.compute_plan(after, whole, test_plan.RULES)
    assert computed.steps == ()
    would_change = {  # leaving and entering a network that is made anew is that network's change
        step.action.key
        for step in planner.compute_plan(after, observed, test_plan.RULES).steps
        if not isinstance(step.action, actions.DisconnectContainer | actions.ConnectContainer)
    }
    assert would_change <= {blocked.key for blocked in computed.blocked}


@hypothesis.given(data=st.data(), before=drawn.desired_states(), after=drawn.desired_states())
def test_what_was_suspended_is_resumed__all_comes_to_what_it_would_have_been(
    data: st.DataObject, before: state.DesiredState, after: state.DesiredState, life: test_plan.Life
) -> None:
    observed = life.brought_about(before)
    held = frozenset(key for key in keys_of(after, observed) if data.draw(st.booleans()))
    first = planner.compute_plan(after, suspended(observed, held), test_plan.RULES)
    partly = dataclasses.replace(life.applied(observed, first, None), suspensions=suspension.Suspensions())
    resumed, _ = life.settle(after, life.lived(partly, after, frozenset()))
    whole, _ = life.settle(after, observed)
    assert {item.config for item in resumed.containers} == {item.config for item in whole.containers}
    assert {item.config for item in resumed.networks} == {item.config for item in whole.networks}


@hypothesis.given(data=st.data(), before=drawn.desired_states())
def test_restarts_are_asked_for__each_runs_anew_or_waits_and_nothing_else_is_touched(
    data: st.DataObject, before: state.DesiredState, life: test_plan.Life
) -> None:
    observed = life.brought_about(before)
    keys = [ObjectKey(Kind.CONTAINER, config.name) for config in before.containers]
    asked = frozenset(key for key in keys if data.draw(st.booleans()))
    focused = data.draw(st.booleans())
    rules = builders.rules(restarts=asked, focus=asked if focused else None)
    computed = planner.compute_plan(before, observed, rules)
    assert {step.action.key for step in computed.steps} <= asked
    assert asked <= started(computed) | {blocked.key for blocked in computed.blocked}
    for step in computed.steps:
        if isinstance(step.action, actions.StopContainer):
            assert step.action.key in started(computed), "what could not start again is not stopped"
    after = life.applied(observed, computed, None)
    names = {key.name for key in started(computed)}
    assert names <= {item.name for item in after.containers if item.state is container.ContainerState.RUNNING}


def started(computed: plan.Plan) -> set[ObjectKey]:
    return {step.action.key for step in computed.steps if isinstance(step.action, actions.StartContainer)}
