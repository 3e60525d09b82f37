"""Time as something that is given, so that it can be another one in tests and simulations."""

import time
from collections.abc import Hashable
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Return seconds since the epoch."""

    def monotonic(self) -> float:
        """Return seconds that never go back, since an arbitrary moment."""


class SystemClock:
    """The host's clock."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back, those included in which the host was suspended."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)


class Moments:
    """Keeps the times of what has happened right while somebody sets the clock: what has an age grows older evenly.

    Times come from elsewhere (a runtime, a file, an earlier run of the program) and are seconds since the epoch by the
    clock as it was set then. How old something is, is found out when it is seen first, and goes by the monotonic clock
    from then on. What lies in the future by more than it can is taken to happen as late as it can.
    """

    def __init__(self, clock: Clock) -> None:
        """Nothing has been seen yet."""
        self._clock = clock
        self._now = clock.now()
        self._monotonic = clock.monotonic()
        self._observed_ages: dict[Hashable, tuple[float, float]] = {}
        self._before: dict[Hashable, tuple[float, float]] = {}

    def look(self, now: float) -> None:
        """Begin a look at everything at a moment of the clock; what the last look has not asked for is forgotten."""
        self._now, self._monotonic = now, self._clock.monotonic()
        self._before, self._observed_ages = self._observed_ages, {}

    def corrected(self, key: Hashable, moment: float, *, ahead: float = 0.0) -> float:
        """Return a moment by the clock as it is set now; ``ahead``: seconds that it may lie in the future.

        A moment that the clock still agrees with is returned as it is.
        """
        identity = (key, moment)
        age, spoken = (
            self._before.get(identity)
            or self._observed_ages.get(identity)
            or (
                max(-ahead, self._now - moment) - self._monotonic,
                moment,
            )
        )
        expected = self._now - (age + self._monotonic)
        if abs(expected - spoken) > _AGREEMENT:
            spoken = expected
        self._observed_ages[identity] = (age, spoken)
        return spoken


_AGREEMENT = 1.5
"""Seconds by which two clocks may differ, and by which a clock is slewed, before one counts as set."""
