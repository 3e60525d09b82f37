"""The safety net under the events: everything is listed again at intervals, however quiet the runtime is."""

import asyncio
from collections.abc import AsyncIterator

from agent.kit import clock

_EARLY = 0.001
"""Seconds that a timer may fire early; waiting for so little again would spin."""


class Relist:
    """Hints at an interval, and the age of the last full listing."""

    def __init__(self, interval: float, time: clock.Clock) -> None:
        """``interval`` in seconds."""
        self._interval = interval
        self._clock = time
        self._last: float | None = None

    def done(self) -> None:
        """Note that everything has just been listed."""
        self._last = self._clock.monotonic()

    @property
    def age(self) -> float | None:
        """Seconds since everything was listed; ``None`` before the first time."""
        return None if self._last is None else self._clock.monotonic() - self._last

    async def hints(self) -> AsyncIterator[None]:
        """Yield a hint whenever the last listing is older than the interval."""
        while True:
            age = self.age or 0.0
            await asyncio.sleep(max(self._interval - age, 0.0))
            if self._is_due():
                yield
                if self._is_due():  # nobody looked: do not spin
                    await asyncio.sleep(self._interval)

    def _is_due(self) -> bool:
        return self.age is None or self.age >= self._interval - _EARLY
