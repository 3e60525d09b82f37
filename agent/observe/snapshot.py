"""One consistent reading of everything: the runtime's four lists, what the probes say, and the agent's own memory."""

from collections.abc import Callable

from agent.kit import clock, tasks
from agent.model import health, ledger, state
from agent.runtime import api


class Observer:
    """Reads the runtime."""

    def __init__(
        self,
        runtime: api.Runtime,
        probed: Callable[[], tuple[health.ObservedHealth, ...]],
        time: clock.Clock,
    ) -> None:
        """Nothing is read yet; ``probed`` gives what the probes say at the moment."""
        self._runtime = runtime
        self._probed = probed
        self._clock = time

    async def observe(self, memory: tuple[ledger.LedgerEntry, ...]) -> state.ObservedState:
        """Read it all, side by side. Raises the runtime's errors."""
        runtime = self._runtime
        now = self._clock.now()
        containers, images, networks, volumes = await tasks.together(
            "observe",
            runtime.containers.list(),
            runtime.images.list(),
            runtime.networks.list(),
            runtime.volumes.list(),
        )
        return state.ObservedState(
            observed_at=now,
            containers=tuple(sorted(containers, key=lambda one: one.name)),
            images=tuple(sorted(images, key=lambda one: one.reference)),
            networks=tuple(sorted(networks, key=lambda one: one.name)),
            volumes=tuple(sorted(volumes, key=lambda one: one.name)),
            health=tuple(sorted(self._probed())),
            ledger=tuple(sorted(memory)),
        )
