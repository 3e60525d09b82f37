"""The planner's time over the number of objects: it has to grow linearly."""

import time

from agent.model import container, network, state
from agent.plan import planner
from tests import builders
from tests.benchmarks import figures

SIZES = (1_000, 3_000, 10_000)
ROUNDS = 5


def measure() -> list[figures.Figure]:
    """Plan from nothing, and with nothing to change, for each size."""
    found = []
    for size in SIZES:
        reach = "< 1 s" if size == SIZES[-1] else "linear"
        wanted, there = _states(size)
        nothing = state.ObservedState(builders.NOW)
        found.append(figures.Figure(f"plan from nothing, {size} objects", "s", _times(wanted, nothing), reach=reach))
        found.append(figures.Figure(f"plan without changes, {size} objects", "s", _times(wanted, there), reach=reach))
    return found


def _times(wanted: state.DesiredState, found: state.ObservedState) -> tuple[float, ...]:
    samples = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        planner.compute_plan(wanted, found, builders.rules())
        samples.append(time.perf_counter() - begun)
    return tuple(samples)


def _states(size: int) -> tuple[state.DesiredState, state.ObservedState]:
    """Give containers in networks of a hundred, each depending on the one before."""
    networks = [builders.network_config(f"n{number}") for number in range(size // 100)]
    containers = [
        builders.config(
            f"c{number}",
            networks=(container.NetworkAttachment(f"n{number % len(networks)}"),),
            depends_on=(container.Dependency(f"c{number - 1}", container.DependencyCondition.STARTED),)
            * (number % 10 > 0),
        )
        for number in range(size - len(networks) - 1)
    ]
    wanted = builders.desired(*networks, *containers)
    there = builders.world(*map(_seen, networks), *map(builders.observed, containers))
    return wanted, there


def _seen(one: network.NetworkConfig) -> network.ObservedNetwork:
    return builders.observed_network(one)
