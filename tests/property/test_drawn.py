"""What is drawn really comes by the states that plans go wrong in: counted in as many examples as the suite draws."""

import collections
import dataclasses
from typing import Any

import hypothesis
from hypothesis import strategies as st

from agent.model import container, state
from agent.plan import actions, planner
from tests import builders
from tests.property import drawn
from tests.property.test_plan import Life, life

__all__ = ["life"]
EXITED = container.ContainerState.EXITED


@dataclasses.dataclass(frozen=True, slots=True)
class Situation:
    """A dependency and who depends on it, as a plan comes upon them."""

    condition: container.DependencyCondition
    is_replaced: bool
    """The dependency runs, and the plan removes it."""
    dependant_has_ended: bool


def situations(after: state.DesiredState, observed: state.ObservedState) -> set[Situation]:
    """Return all that are in one example."""
    computed = planner.compute_plan(after, observed, builders.rules())
    removed = {step.action.key.name for step in computed.steps if isinstance(step.action, actions.RemoveContainer)}
    present = {item.name: item for item in observed.containers}
    return {
        Situation(
            dependency.condition,
            dependency.container in removed and present[dependency.container].state is container.ContainerState.RUNNING,
            present[config.name].state is EXITED,
        )
        for config in after.containers
        for dependency in config.depends_on
        if config.name in present and dependency.container in present
    }


def counted(life: Life, examples: int) -> collections.Counter[Situation]:
    """Count the examples with each situation."""
    counts: collections.Counter[Situation] = collections.Counter()

    @hypothesis.settings(max_examples=examples, derandomize=True, deadline=None, database=None)
    @hypothesis.given(data=st.data(), before=drawn.desired_states())
    def count(data: Any, before: state.DesiredState) -> None:
        after = data.draw(drawn.changed(before))
        counts.update(situations(after, data.draw(drawn.disturbed(life.brought_about(before)))))

    count()
    return counts


def test_drawn__in_300_examples__every_situation_of_a_dependency_is_there_several_times(life: Life) -> None:
    counts = counted(life, 300)
    expected = [
        Situation(condition, is_replaced, ended)
        for condition in container.DependencyCondition
        for is_replaced in (False, True)
        for ended in (False, True)
        if not (condition is drawn.COMPLETED and is_replaced)  # it has run to its end, or nobody has begun
    ]
    assert {situation: counts[situation] for situation in expected if counts[situation] < 3} == {}
