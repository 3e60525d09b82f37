"""The engine's notices, given on to whoever subscribes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from agent.engine import engine
from agent.engine.images import collector
from agent.model.key import Kind
from agent.runtime import events

_BACKLOG = 1000
"""Events kept for a subscriber that does not keep up: they are hints, and dropping the oldest only costs time."""


class Broadcast:
    """``runtime.api.Events``: every subscriber gets every event from then on."""

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._queues: set[asyncio.Queue[events.RuntimeEvent | None]] = set()

    def notify(self, event: engine.Notice) -> None:
        """Pass an engine's notice on."""
        if isinstance(event, collector.Collected):
            for name in event.references:
                self._put(events.RuntimeEvent(Kind.IMAGE, name, name, events.EventAction.COLLECTED, event.time))
            return
        self._put(
            events.RuntimeEvent(
                kind=Kind.CONTAINER,
                id=event.id,
                name=event.name,
                action=events.EventAction(event.action),
                time=event.time,
                exit_code=event.exit_code,
            )
        )

    def subscribe(self) -> AsyncIterator[events.RuntimeEvent]:
        """Give events from now on, until the runtime is closed."""
        queue: asyncio.Queue[events.RuntimeEvent | None] = asyncio.Queue(_BACKLOG)
        self._queues.add(queue)
        return self._drain(queue)

    def close(self) -> None:
        """End every subscription."""
        self._put(None)

    async def _drain(
        self, queue: asyncio.Queue[events.RuntimeEvent | None]
    ) -> AsyncGenerator[events.RuntimeEvent, None]:
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._queues.discard(queue)

    def _put(self, event: events.RuntimeEvent | None) -> None:
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)
