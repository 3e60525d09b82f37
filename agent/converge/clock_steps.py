"""A clock that is set while the agent runs stops nothing: waits go by ages, and a step of the clock begins a pass."""

import asyncio
import dataclasses
import operator
from collections.abc import AsyncIterator

from agent.converge import dispose
from agent.kit import clock
from agent.model import container, health, policy, state
from agent.model.key import Kind

INTERVAL = 5.0
"""Seconds between two looks whether the clock was set, or the host was suspended."""
STEP = 1.0
"""Seconds that the clocks have to differ more than before; less is slewing."""


class Corrections:
    """Times in what is observed, as the planner wants them: by the clock as it is set now."""

    def __init__(self, time: clock.Clock) -> None:
        """Nothing has been observed yet."""
        self._moments = clock.Moments(time)

    def observed(self, observed: state.ObservedState) -> state.ObservedState:
        """Correct the times of runs and of failed probes, by which restarts wait. Begins a look."""
        self._moments.look(observed.observed_at)
        containers = tuple(map(self._container, observed.containers))
        health_states = tuple(map(self._health, observed.health))
        if containers == observed.containers and health_states == observed.health:
            return observed
        corrected = observed.with_objects({Kind.CONTAINER: containers})
        return dataclasses.replace(corrected, health=health_states)

    def holds(self, holds: tuple[policy.Hold, ...]) -> tuple[policy.Hold, ...]:
        """Correct until when objects are left alone; belongs to the look of ``observed``."""
        return tuple(
            hold if hold.until is None else dataclasses.replace(hold, until=self._until(hold, hold.until))
            for hold in holds
        )

    def _until(self, hold: policy.Hold, until: float) -> float:
        return self._moments.corrected(hold.key, until, ahead=dispose.MAXIMUM)

    def _container(self, observed: container.ObservedContainer) -> container.ObservedContainer:
        started = None if observed.started_at is None else self._moments.corrected(observed.id, observed.started_at)
        ended = None if observed.finished_at is None else self._moments.corrected(observed.id, observed.finished_at)
        if (started, ended) == (observed.started_at, observed.finished_at):
            return observed
        return dataclasses.replace(observed, started_at=started, finished_at=ended)

    def _health(self, probed: health.ObservedHealth) -> health.ObservedHealth:
        if probed.failed_at is None:
            return probed
        failed = self._moments.corrected(probed.container_id, probed.failed_at)
        return probed if failed == probed.failed_at else dataclasses.replace(probed, failed_at=failed)


async def steps(time: clock.Clock) -> AsyncIterator[None]:
    """Hint whenever the clock was set, or the host was suspended: timers that were set before go by other times."""
    loop = asyncio.get_running_loop()

    def offsets() -> tuple[float, float]:
        monotonic = time.monotonic()
        return time.now() - monotonic, monotonic - loop.time()

    before = offsets()
    while True:
        await asyncio.sleep(INTERVAL)
        after = offsets()
        if any(abs(step) > STEP for step in map(operator.sub, after, before)):
            yield
        before = after
