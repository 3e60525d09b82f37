"""One stream of events for any number of subscribers, each of which gets all from then on."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")
_BACKLOG = 1000
"""Events kept for a subscriber that does not keep up: they are hints, and dropping the oldest only costs time."""


class Broadcast(Generic[T]):
    """Subscribers and their queues."""

    def __init__(self) -> None:
        """Start without subscribers."""
        self._queues: set[asyncio.Queue[T | None]] = set()

    def send(self, event: T) -> None:
        """Send an event to every subscriber."""
        self._put(event)

    def subscribe(self) -> AsyncIterator[T]:
        """Return the events from now on, until ``close``."""
        queue: asyncio.Queue[T | None] = asyncio.Queue(_BACKLOG)
        self._queues.add(queue)
        return self._drain(queue)

    def close(self) -> None:
        """End every subscription, after what was sent."""
        self._put(None)

    async def _drain(self, queue: asyncio.Queue[T | None]) -> AsyncGenerator[T, None]:
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._queues.discard(queue)

    def _put(self, event: T | None) -> None:
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)
