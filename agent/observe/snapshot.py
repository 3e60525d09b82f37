"""One consistent observed state: the runtime's lists, kind by kind, the probes' health, and the ledger."""

from collections.abc import Callable

from agent.kit import clock, tasks
from agent.model import health, ledger, state
from agent.runtime import api, stores


class Observer:
    """Reads the observed state."""

    def __init__(
        self,
        runtime: api.Runtime,
        probed: Callable[[], tuple[health.ObservedHealth, ...]],
        time: clock.Clock,
    ) -> None:
        """Take what is read; ``probed`` returns the current health of probed containers."""
        self._runtime = runtime
        self._probed = probed
        self._clock = time

    async def observe(self, memory: tuple[ledger.LedgerEntry, ...]) -> state.ObservedState:
        """Return the observed state; the lists are read concurrently. Raises the runtime's errors."""
        now = self._clock.now()
        lists = await tasks.together("observe", *(store(self._runtime).list() for store in stores.STORES.values()))
        return state.ObservedState.of(
            now,
            (item for items in lists for item in items),
            health=tuple(sorted(self._probed(), key=lambda health: health.container_id)),
            ledger=tuple(sorted(memory, key=lambda entry: entry.key)),
        )
