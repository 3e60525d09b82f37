"""Requests for a pass at once, each with the passes that were made while it waited."""

import asyncio
import contextlib
from collections.abc import Iterator

from agent.converge import reconcile


class Request:
    """Waits for a pass that began after a moment."""

    def __init__(self) -> None:
        """Start with no pass."""
        self.passes: list[reconcile.PassResult | None] = []
        """Those that have ended since and did something, in order, and the last one.

        ``None``: the runtime could not be observed.
        """
        self._last = 0
        self._ended = asyncio.Event()

    def note(self, number: int, ended: reconcile.PassResult | None) -> None:
        """Take a pass that has ended. One that did nothing is let go of: it holds all that was observed."""
        if self.passes and not (self.passes[-1] and self.passes[-1].plan.steps):
            self.passes.pop()
        self.passes.append(ended)
        self._last = number
        self._ended.set()

    async def ended_after(self, number: int) -> None:
        """Wait until a pass has ended whose number is greater."""
        while self._last <= number:
            self._ended.clear()
            await self._ended.wait()


Pass = tuple[int, reconcile.PassResult | None]
"""A pass that has ended, with its number; ``None``: the runtime could not be observed."""


class Requests:
    """The requests that are waiting."""

    def __init__(self) -> None:
        """Start with none."""
        self._open: list[Request] = []
        self._watched: list[asyncio.Queue[Pass]] = []

    @contextlib.contextmanager
    def watched(self) -> Iterator[asyncio.Queue[Pass]]:
        """Yield a queue of every pass that ends meanwhile."""
        queue: asyncio.Queue[Pass] = asyncio.Queue()
        self._watched.append(queue)
        try:
            yield queue
        finally:
            self._watched.remove(queue)

    @contextlib.contextmanager
    def opened(self) -> Iterator[Request]:
        """Yield a new request; every pass that ends meanwhile is noted in it."""
        request = Request()
        self._open.append(request)
        try:
            yield request
        finally:
            self._open.remove(request)

    def note(self, number: int, ended: reconcile.PassResult | None) -> None:
        """Note a pass that has ended, by its number."""
        for request in self._open:
            request.note(number, ended)
        for queue in self._watched:
            queue.put_nowait((number, ended))
