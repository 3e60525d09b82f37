"""Named reasons to look again, gathered until somebody looks: many of them make one pass."""

import asyncio
import contextlib
import math

from agent.converge import signals

_EARLY = 0.0009765625  # a power of two: sums of it are exact
"""A timer may fire a little early; waiting again for that little would be a spin."""


class Triggers:
    """Reasons that have come up since the last pass, each with the moment by which it wants one."""

    def __init__(self) -> None:
        """Start with none."""
        self._due: dict[signals.Trigger, float] = {}
        self._changed = asyncio.Event()

    def request(self, trigger: signals.Trigger, *, within: float = 0.0) -> None:
        """Ask for a pass in so many seconds at the latest: what can wait a little shares one pass with others."""
        due = asyncio.get_running_loop().time() + within
        self._due[trigger] = min(due, self._due.get(trigger, due))
        self._changed.set()

    async def wait(self, *, not_before: float) -> tuple[signals.Trigger, ...]:
        """Wait until a pass is due, but not before a moment of the event loop's time; gives the reasons, sorted.

        Every reason is answered by that pass, those that could have waited too.
        """
        while (remaining := self._remaining(not_before)) > _EARLY:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(remaining if math.isfinite(remaining) else None):
                    await self._changed.wait()
        now = asyncio.get_running_loop().time() + _EARLY
        due = sorted(trigger for trigger, moment in self._due.items() if moment <= now)
        self._due = {}
        return tuple(due)

    def _remaining(self, not_before: float) -> float:
        moment = max(min(self._due.values(), default=math.inf), not_before)
        return moment - asyncio.get_running_loop().time()
