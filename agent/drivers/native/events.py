"""The engine's notices, given on to whoever subscribes."""

from collections.abc import AsyncIterator

from agent.engine import engine
from agent.engine.images import collector
from agent.engine.network import networks
from agent.kit import broadcast, notices
from agent.model.key import Kind
from agent.runtime import events


class Broadcast:
    """``runtime.api.Events``: every subscriber gets every event from then on."""

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._events = broadcast.Broadcast[events.RuntimeEvent]()

    def notify(self, event: engine.Notice) -> None:
        """Pass an engine's notice on."""
        if isinstance(event, collector.Collected):
            for name in event.references:
                self._events.send(events.RuntimeEvent(Kind.IMAGE, name, name, events.EventAction.COLLECTED, event.time))
            return
        if isinstance(event, notices.NoticeChange):
            self._events.send(events.of_notice(event))
            return
        if isinstance(event, networks.Broken):
            for name in event.problems:
                self._events.send(events.RuntimeEvent(Kind.NETWORK, name, name, events.EventAction.CHANGED, event.time))
            return
        self._events.send(
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
        """Return the events from now on, until the runtime is closed."""
        return self._events.subscribe()

    def close(self) -> None:
        """End every subscription."""
        self._events.close()
