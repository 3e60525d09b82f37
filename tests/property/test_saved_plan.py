"""A plan in a file: what was shown is what is applied, and whatever would be done otherwise is a difference."""

import dataclasses
import json
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from agent.model import state
from agent.plan import plan, planner, saved
from tests import builders
from tests.property import drawn

ORIGIN = saved.Origin("0.1.0", "/srv/manifests", builders.OWNER, "memory", 1.0)


def made(desired: state.DesiredState, observed: state.ObservedState) -> tuple[saved.SavedPlan, plan.Plan]:
    """Return a plan with what is kept of it."""
    computed = planner.compute_plan(desired, observed, builders.rules())
    return saved.of(ORIGIN, "salt", desired, observed, computed), computed


@st.composite
def worlds(draw: Any, desired: state.DesiredState) -> state.ObservedState:
    """Return a world in which all that is declared runs, and then something has happened to it."""
    items: list[Any] = [builders.observed(config) for config in desired.containers]
    items += [builders.observed_image(config) for config in desired.images]
    items += [builders.observed_network(config) for config in desired.networks]
    items += [builders.observed_volume(config) for config in desired.volumes]
    return draw(drawn.disturbed(state.ObservedState.of(builders.NOW, items)))


@hypothesis.given(data=st.data())
def test_text__read_back__is_the_same_plan(data: Any) -> None:
    desired = data.draw(drawn.desired_states())
    kept, _ = made(desired, data.draw(worlds(desired)))
    text = saved.text(kept).encode()
    assert text.startswith(saved.MAGIC)
    assert saved.parse(text) == kept


@hypothesis.given(data=st.data())
def test_differences__nothing_has_changed__are_none(data: Any) -> None:
    desired = data.draw(drawn.desired_states())
    observed = data.draw(worlds(desired))
    kept, _ = made(desired, observed)
    later = dataclasses.replace(observed, observed_at=observed.observed_at)
    assert saved.differences(saved.parse(saved.text(kept).encode()), made(desired, later)[0]) == ()


@hypothesis.given(data=st.data())
def test_differences__something_else_would_be_done__are_told(data: Any) -> None:
    desired = data.draw(drawn.desired_states())
    kept, computed = made(desired, data.draw(worlds(desired)))
    other_desired = data.draw(st.just(desired) | drawn.changed(desired))
    current, other = made(other_desired, data.draw(worlds(desired)))
    if computed.steps != other.steps:
        assert saved.differences(kept, current)


@hypothesis.given(noise=st.binary(max_size=200), is_marked=st.booleans())
def test_parse__any_bytes__are_refused_in_one_way(noise: bytes, is_marked: bool) -> None:
    with pytest.raises((saved.InvalidPlan, saved.NewerPlan)):
        saved.parse(saved.MAGIC + noise if is_marked else noise)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@hypothesis.given(data=st.data())
def test_parse__a_field_that_is_something_else__is_refused_or_read(data: Any) -> None:
    kept, _ = made(builders.desired(builders.config()), builders.world())
    fields = json.loads(saved.text(kept))
    name = data.draw(st.sampled_from(sorted(fields)))
    if data.draw(st.booleans()):
        del fields[name]
    else:
        fields[name] = data.draw(JSON)
    try:
        read = saved.parse(json.dumps(fields).encode())
    except (saved.InvalidPlan, saved.NewerPlan):
        return
    assert isinstance(read, saved.SavedPlan)
    assert saved.parse(saved.text(read).encode()) == read
