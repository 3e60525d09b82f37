"""Requests to restart containers: each is for the run that is going on, or is over, when it is seen first.

So it does not matter how soon it is seen, or by which clock: it is met by another run of the container, whatever has
started it. A request ends with whoever waits for it; none is left that would restart something an hour later.
"""

import asyncio
import contextlib
import enum
from collections.abc import Collection, Iterator

from agent.model import container, state
from agent.model.key import Kind, ObjectKey, ownership_of
from agent.plan import plan
from agent.reasons import Reason

_HOPELESS = frozenset({Reason.SUSPENDED, Reason.DECLARATION_UNREADABLE, Reason.FOREIGN})
"""Reasons of blocks that waiting does not end."""
_Run = tuple[str, float | None]
"""One run of one container: its id, and when it was started."""
_ABSENT: _Run = ("", None)


class Progress(enum.StrEnum):
    """How far a container's restart has got."""

    RESTARTED = "restarted"
    UNDER_WAY = "under way"
    WAITING = "waiting"
    FAILED = "failed"


class Request:
    """A request to restart some containers."""

    def __init__(self, keys: frozenset[ObjectKey]) -> None:
        """Nothing has been observed yet."""
        self.keys = keys
        self.is_fresh = True
        """No pass has gone by it yet."""
        self._runs: dict[ObjectKey, _Run] = {}
        """The run that each container had when it was observed first."""
        self._restarted: set[ObjectKey] = set()
        self._blocked: dict[ObjectKey, plan.Blocked] = {}
        self._failing: frozenset[ObjectKey] = frozenset()
        self._over = asyncio.Event()

    async def over(self) -> None:
        """Wait until each container was restarted, or is known not to be for now."""
        await self._over.wait()

    @property
    def is_over(self) -> bool:
        """Return whether ``over`` would return at once."""
        return self._over.is_set()

    def progress(self, key: ObjectKey) -> tuple[Progress, str]:
        """Return how far a container has got, and why no farther."""
        if key in self._restarted:
            return Progress.RESTARTED, ""
        blocked = self._blocked.get(key)
        if blocked is None:
            return Progress.UNDER_WAY, ""
        failed = key in self._failing or blocked.reason in _HOPELESS
        return Progress.FAILED if failed else Progress.WAITING, f"{blocked.reason}: {blocked.message}"

    def take(self, runs: dict[ObjectKey, _Run], busy: Collection[ObjectKey]) -> frozenset[ObjectKey]:
        """Take what is observed, and return the containers that are still to be restarted."""
        self.is_fresh = False
        for key in (self.keys - self._restarted).difference(busy):  # what is busy is observed half done
            run = runs.get(key, _ABSENT)
            if run != self._runs.setdefault(key, run) and run[1] is not None:
                self._restarted.add(key)
        return self.keys - self._restarted

    def note(self, computed: plan.Plan, failing: Collection[ObjectKey]) -> None:
        """Note why containers are not restarted by a plan."""
        self._failing = frozenset(failing)
        self._blocked = {
            blocked.key: blocked for blocked in computed.blocked if blocked.reason is not Reason.IN_PROGRESS
        }
        waiting = {Progress.UNDER_WAY, Progress.WAITING}
        if all(self.progress(key)[0] not in waiting for key in self.keys):
            self._over.set()


class Requests:
    """The requests that somebody waits for."""

    def __init__(self) -> None:
        """Start with none."""
        self._open: list[Request] = []

    @contextlib.contextmanager
    def opened(self, keys: frozenset[ObjectKey]) -> Iterator[Request]:
        """Yield a request that passes go by for as long as the context lasts."""
        request = Request(keys)
        self._open.append(request)
        try:
            yield request
        finally:
            self._open.remove(request)

    def fresh(self) -> frozenset[ObjectKey]:
        """Return the containers of requests that no pass has gone by yet."""
        return frozenset().union(*(request.keys for request in self._open if request.is_fresh))

    def take(self, observed: state.ObservedState, busy: Collection[ObjectKey]) -> frozenset[ObjectKey]:
        """Take what is observed, and return the containers that are to be restarted."""
        if not self._open:
            return frozenset()
        runs = {ObjectKey(Kind.CONTAINER, item.name): _run(item) for item in observed.containers if _is_ours(item)}
        return frozenset().union(*(request.take(runs, busy) for request in self._open))

    def note(self, computed: plan.Plan, failing: Collection[ObjectKey]) -> None:
        """Note what a plan says of the containers that were not restarted yet."""
        for request in self._open:
            request.note(computed, failing)


def _run(observed: container.ObservedContainer) -> _Run:
    return observed.id, observed.started_at


def _is_ours(observed: container.ObservedContainer) -> bool:
    ownership = ownership_of(observed.labels)
    return ownership is not None and ownership.key.name == observed.name
