"""Retries: growing pauses, and servers' ``Retry-After``."""

import asyncio
import datetime as dt
import email.utils
import random
from collections.abc import Callable

import yarl

from agent.distribution.registry import transport

_LONGEST_DELAY = 24 * 3600.0
"""Seconds: a longer ``Retry-After`` is cut to this."""


class Retries:
    """Pauses between attempts. A server's ``Retry-After`` is kept for all who ask it."""

    def __init__(
        self,
        pauses: tuple[float, ...] = (0.25, 0.5, 1.0),
        patience: float = 300.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """``pauses``: seconds before each further attempt; ``patience``: the longest ``Retry-After`` waited for."""
        self.pauses = pauses
        self._patience = patience
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._quiet: dict[yarl.URL, float] = {}

    async def admit(self, origin: yarl.URL, *, wait: bool = True) -> None:
        """Wait until a server may be asked.

        Raises ``transport.TransientError`` where that would take too long; without ``wait``, where it takes any time.
        """
        while (delay := self._quiet.get(origin, 0.0) - self._clock()) > 0:
            if delay > (self._patience if wait else 0.0):
                raise transport.TransientError(
                    f"{origin.authority} asks to be left alone for {delay:.0f} s", retry_after=delay
                )
            await asyncio.sleep(delay)
        self._quiet.pop(origin, None)

    def note(self, origin: yarl.URL, failure: transport.TransientError) -> None:
        """Remember a server's ``Retry-After``."""
        if failure.retry_after is not None:
            delay = min(failure.retry_after, _LONGEST_DELAY)
            self._quiet[origin] = max(self._quiet.get(origin, 0.0), self._clock() + delay)

    async def pause(self, failures: int, failure: transport.TransientError) -> None:
        """Wait after a number of failures in a row, with jitter; raise the failure once they are too many."""
        if failures > len(self.pauses):
            raise failure
        await asyncio.sleep(self.pauses[failures - 1] * random.uniform(0.75, 1.25))  # noqa: S311 - spreads load


def parse_retry_after(text: str, now: dt.datetime) -> float | None:
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
