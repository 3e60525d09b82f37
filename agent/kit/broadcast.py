"""One stream of events for any number of subscribers, each of which gets all from then on."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Generic, TypeVar

from agent.kit import frozen, tasks

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

    def subscribe(self) -> AsyncGenerator[T, None]:
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


@frozen.value
class _End:
    """The end of a stream, and what has ended it."""

    failure: Exception | None


async def merged(main: AsyncGenerator[T, None], beside: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """Yield the events of both streams as they come, until the first one ends; what it raises is raised."""
    queue: asyncio.Queue[T | _End] = asyncio.Queue(1)

    async def pass_on(stream: AsyncGenerator[T, None]) -> None:
        async with contextlib.aclosing(stream):
            async for event in stream:
                await queue.put(event)

    async def follow() -> None:
        failure: Exception | None = None
        try:
            await pass_on(main)
        except Exception as error:  # noqa: BLE001 - whatever it is: it is raised below
            failure = error
        await queue.put(_End(failure))

    async with tasks.Crew() as crew:
        crew.start(follow(), name="stream of events")
        crew.start(pass_on(beside), name="events beside it")
        while not isinstance(item := await queue.get(), _End):
            yield item
    if item.failure is not None:
        raise item.failure
