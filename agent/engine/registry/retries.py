"""When something is tried again: pauses that grow, and what the other side has asked for."""

import asyncio
import datetime as dt
import email.utils
import random
from collections.abc import Callable

import yarl

from agent.engine.registry import transport

_LONGEST_WISH = 24 * 3600.0
"""Seconds: who asks to be left alone for longer is not believed."""


class Retries:
    """Counts failures, and waits after each as long as it takes. A place that wants to be left alone is."""

    def __init__(
        self,
        pauses: tuple[float, ...] = (0.25, 0.5, 1.0),
        patience: float = 300.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """``pauses``: seconds, one for each further attempt; ``patience``: the longest wish that is waited for."""
        self.pauses = pauses
        self._patience = patience
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._quiet: dict[yarl.URL, float] = {}

    async def admit(self, origin: yarl.URL, *, wait: bool = True) -> None:
        """Wait until a place may be asked.

        Raises ``transport.Passing`` where that would take too long: at once where it is not to be waited for.
        """
        while (left := self._quiet.get(origin, 0.0) - self._clock()) > 0:
            if left > (self._patience if wait else 0.0):
                raise transport.Passing(f"{origin.authority} asks to be left alone for {left:.0f} s", retry_after=left)
            await asyncio.sleep(left)
        self._quiet.pop(origin, None)

    def note(self, origin: yarl.URL, failure: transport.Passing) -> None:
        """Remember what a place has asked for."""
        if failure.retry_after is not None:
            wish = min(failure.retry_after, _LONGEST_WISH)
            self._quiet[origin] = max(self._quiet.get(origin, 0.0), self._clock() + wish)

    async def pause(self, failures: int, failure: transport.Passing) -> None:
        """Wait after so many failures in a row, with some chance in it; raises the failure once they are too many."""
        if failures > len(self.pauses):
            raise failure
        await asyncio.sleep(self.pauses[failures - 1] * random.uniform(0.75, 1.25))  # noqa: S311 - spreads load


def wish(text: str, now: dt.datetime) -> float | None:
    """Read a ``Retry-After`` (RFC 9110): seconds, or a date; ``None`` for anything else."""
    if text.strip().isdecimal():
        return float(text.strip()[:12])
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return max(0.0, (moment - now).total_seconds())
