"""The safety net under the events: a look at everything now and then, however quiet the runtime is."""

import asyncio
from collections.abc import AsyncIterator

from agent.kit import clock

_EARLY = 0.001
"""A timer may fire a little early; asking it again for that little would be a spin."""


class Relist:
    """Hints in a steady rhythm, and how old the last full look is."""

    def __init__(self, interval: float, time: clock.Clock) -> None:
        """``interval`` in seconds."""
        self._interval = interval
        self._clock = time
        self._last: float | None = None

    def done(self) -> None:
        """Note that everything has just been looked at."""
        self._last = self._clock.monotonic()

    @property
    def age(self) -> float | None:
        """Seconds since everything was looked at; ``None`` before the first time."""
        return None if self._last is None else self._clock.monotonic() - self._last

    async def hints(self) -> AsyncIterator[None]:
        """Give a hint whenever the last look is older than the interval."""
        while True:
            age = self.age or 0.0
            await asyncio.sleep(max(self._interval - age, 0.0))
            if self._is_due():
                yield
                if self._is_due():  # nobody looked: do not spin
                    await asyncio.sleep(self._interval)

    def _is_due(self) -> bool:
        return self.age is None or self.age >= self._interval - _EARLY
