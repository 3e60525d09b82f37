"""Planning takes time in proportion to what there is, whatever has to be done."""

import dataclasses
import time

import pytest

from agent.model import container, kinds, state
from agent.model.key import Kind
from agent.plan import planner
from tests import builders

FEW, TIMES = 250, 8
SLACK = 3.0
"""Noise; what is quadratic takes eight times as long as what is linear."""


def objects(count: int) -> list[kinds.Config]:
    """Return containers with a volume each, in three networks, ten of them in a row of dependencies."""
    configs: list[kinds.Config] = [builders.network_config(f"n{number}") for number in range(3)]
    for number in range(count):
        configs.append(builders.volume_config(f"v{number}"))
        configs.append(
            builders.config(
                f"c{number}",
                networks=(container.NetworkAttachment(f"n{number % 3}"),),
                mounts=(container.VolumeMount(f"v{number}", "/data", read_only=False),),
                depends_on=(container.Dependency(f"c{number - 1}", container.DependencyCondition.STARTED),)
                * (number % 10 > 0),
            )
        )
    return configs


def world_of(configs: list[kinds.Config]) -> state.ObservedState:
    """Return an observed state in which every object exists."""
    makers = {"Container": builders.observed, "Network": builders.observed_network, "Volume": builders.observed_volume}
    return builders.world(*(makers[state.key_of(config).kind.value](config) for config in configs))


def nothing(configs: list[kinds.Config]) -> tuple[state.DesiredState, state.ObservedState]:
    return builders.desired(*configs), builders.world(image=False)


def everything(configs: list[kinds.Config]) -> tuple[state.DesiredState, state.ObservedState]:
    return builders.desired(*configs), world_of(configs)


def removed(configs: list[kinds.Config]) -> tuple[state.DesiredState, state.ObservedState]:
    return builders.desired(configs[0]), world_of(configs)


def removed_by_halves(configs: list[kinds.Config]) -> tuple[state.DesiredState, state.ObservedState]:
    return builders.desired(*configs[: len(configs) // 2]), world_of(configs)


def removed_but_used(configs: list[kinds.Config]) -> tuple[state.DesiredState, state.ObservedState]:
    kept = [config for config in configs if not isinstance(config, container.ContainerConfig)]
    observed = world_of(configs)
    foreign = tuple(dataclasses.replace(container, labels=()) for container in observed.containers)
    return builders.desired(kept[0]), observed.with_objects({Kind.CONTAINER: foreign})


def replaced(configs: list[kinds.Config]) -> tuple[state.DesiredState, state.ObservedState]:
    new = [
        dataclasses.replace(config, args=("x",)) if isinstance(config, container.ContainerConfig) else config
        for config in configs
    ]
    return builders.desired(*new), world_of(configs)


@pytest.mark.parametrize("case", [nothing, everything, removed, removed_by_halves, removed_but_used, replaced])
def test_planning__eight_times_as_much__takes_some_eight_times_as_long(case) -> None:
    def took(count: int) -> float:
        desired, observed = case(objects(count))
        best = 1e9
        for _ in range(3):
            began = time.thread_time()
            planner.compute_plan(desired, observed, builders.rules())
            best = min(best, time.thread_time() - began)
        return best

    assert took(FEW * TIMES) < took(FEW) * TIMES * SLACK
