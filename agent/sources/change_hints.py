"""Letting a burst of hints settle: one hint once it has been quiet for a while, and at the latest after a bound."""

import asyncio
from collections.abc import AsyncIterator

from agent.kit import frozen


@frozen.value
class QuietPeriod:
    """When a burst of hints counts as settled, in seconds."""

    quiet: float
    """Without another hint for so long, the burst is over: longer than an editor takes between truncate and write."""
    maximum: float
    """Since the burst's first hint: a file that never rests must not delay everything else for ever."""


class Debounce:
    """The state of one burst. Pure: the time is an argument."""

    def __init__(self, period: QuietPeriod) -> None:
        """Start with no burst."""
        self._period = period
        self._first: float | None = None
        self._last = 0.0

    def note(self, now: float) -> None:
        """Take a hint in."""
        if self._first is None:
            self._first = now
        self._last = now

    def due(self) -> float | None:
        """Return the moment at which the burst counts as settled; ``None`` while there is no burst."""
        if self._first is None:
            return None
        return min(self._last + self._period.quiet, self._first + self._period.maximum)

    def settle(self) -> None:
        """Forget the burst: its hint was yielded."""
        self._first = None


_CLOSE = 1e-6
"""Seconds: nearer than that no timer comes, and a loop with a clock of its own would sleep towards it for ever."""


class ChangeHints:
    """Hints of change, yielded once they have settled, and once without a cause after ``idle`` seconds without any."""

    def __init__(self, period: QuietPeriod, idle: float) -> None:
        """Take the period and the longest silence, in seconds."""
        self._debounce = Debounce(period)
        self._idle = idle
        self._arrived = asyncio.Event()

    def note(self) -> None:
        """Take a hint in. Call it from the loop's own thread."""
        self._debounce.note(asyncio.get_running_loop().time())
        self._arrived.set()

    async def settled(self) -> AsyncIterator[None]:
        """Yield ``None`` for each burst that has settled, and after each ``idle`` seconds without hints."""
        while True:
            await self._wait_for_burst()
            while (due := self._debounce.due()) is not None:
                remaining = due - asyncio.get_running_loop().time()
                if remaining < _CLOSE:
                    self._debounce.settle()
                else:
                    await asyncio.sleep(remaining)
            yield

    async def _wait_for_burst(self) -> None:
        self._arrived.clear()
        if self._debounce.due() is not None:
            return
        try:
            async with asyncio.timeout(self._idle):
                await self._arrived.wait()
        except TimeoutError:
            return
