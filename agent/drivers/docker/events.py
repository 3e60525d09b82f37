"""An engine's events: hints to look, and what tells that an object has changed."""

import dataclasses
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from agent.drivers.docker import connection, inspections, names
from agent.kit import clock
from agent.model.key import Kind
from agent.runtime import errors, events

_ACTIONS = {
    "create": events.EventAction.CREATED,
    "start": events.EventAction.STARTED,
    "die": events.EventAction.EXITED,
    "died": events.EventAction.EXITED,
    "oom": events.EventAction.OOM_KILLED,
    "destroy": events.EventAction.REMOVED,
    "remove": events.EventAction.REMOVED,
    "delete": events.EventAction.REMOVED,
    "update": events.EventAction.CHANGED,
    "rename": events.EventAction.CHANGED,
    "connect": events.EventAction.CHANGED,
    "disconnect": events.EventAction.CHANGED,
    "pause": events.EventAction.CHANGED,
    "unpause": events.EventAction.CHANGED,
}
_KINDS = {"container": Kind.CONTAINER, "network": Kind.NETWORK, "volume": Kind.VOLUME, "image": Kind.IMAGE}
_ENDING_SIGNALS = frozenset({"2", "3", "9", "15"})
_LONGEST = 1024 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Events:
    """``runtime.api.Events`` over the Engine API."""

    engine: connection.Connection
    known: inspections.Inspections
    names: names.Names
    clock: clock.Clock

    def subscribe(self) -> AsyncIterator[events.RuntimeEvent]:
        """Give events from now on. A stream that is lost raises ``errors.Unavailable``."""
        return self._stream(self.clock.now())

    async def _stream(self, since: float) -> AsyncGenerator[events.RuntimeEvent, None]:
        self.known.all_changed()  # whatever happened while nobody listened
        try:
            async with self.engine.streamed("events", "events", params={"since": f"{since:.6f}"}) as answer:
                rest = b""
                async for chunk in answer.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    if len(rest) > _LONGEST:
                        raise errors.Unavailable("the engine's events make no sense", reason="EngineFailure")
                    for line in filter(None, lines):
                        event = self._taken(json.loads(line))
                        if event is not None:
                            yield event
        except ValueError as error:
            raise errors.Unavailable("the engine's events make no sense", reason="EngineFailure") from error
        finally:
            self.known.all_changed()
        raise errors.Unavailable("the engine has closed its stream of events", reason="EngineDown")

    def _taken(self, told: Mapping[str, Any]) -> events.RuntimeEvent | None:
        """Take an event in; ``None`` for one that nobody cares about."""
        actor = told.get("Actor") or {}
        attributes = actor.get("Attributes") or {}
        identity, action = str(actor.get("ID", "")), str(told.get("Action", ""))
        kind = _KINDS.get(str(told.get("Type")))
        if kind is Kind.CONTAINER:
            self.known.changed(identity)
        elif kind is Kind.NETWORK and attributes.get("container"):
            self.known.changed(str(attributes["container"]))
        if kind is Kind.CONTAINER and _asks_to_end(action, attributes) and identity not in self.known.ours:
            self._note_stop(identity)
        built_in = kind is Kind.NETWORK and attributes.get("name") in names.BUILT_IN
        if kind is None or action not in _ACTIONS or built_in:
            return None
        code = str(attributes.get("exitCode", attributes.get("containerExitCode", "")))
        return events.RuntimeEvent(
            kind=kind,
            id=identity,
            name=self._name(kind, str(attributes.get("name", identity))),
            action=_ACTIONS[action],
            time=float(told.get("timeNano") or 0) / 1e9 or float(told.get("time") or 0),
            exit_code=int(code) if code.isdecimal() else None,
        )

    def _note_stop(self, identity: str) -> None:
        """Remember that somebody has asked the engine to stop a container: it does not tell so afterwards."""
        book = self.names.book
        book.note_container(identity, dataclasses.replace(book.container(identity), stop_requested=True))

    def _name(self, kind: Kind, engine: str) -> str:
        tables = {
            Kind.CONTAINER: self.names.declared_container,
            Kind.NETWORK: self.names.declared_network,
            Kind.VOLUME: self.names.declared_volume,
        }
        return tables[kind](engine) if kind in tables else engine


def _asks_to_end(action: str, attributes: Mapping[str, Any]) -> bool:
    """Tell whether an event says that somebody wants a container to end; it comes before the end itself."""
    return action == "stop" or (action == "kill" and str(attributes.get("signal")) in _ENDING_SIGNALS)
