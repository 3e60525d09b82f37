"""An engine's events: hints to look, and what tells that an object has changed."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import aiohttp

from agent.drivers.docker import connection, failures, features, inspections, names, requests
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
    "sync": events.EventAction.CHANGED,  # Podman is about to stop it, and does not always say so later
}
_KINDS = {"container": Kind.CONTAINER, "network": Kind.NETWORK, "volume": Kind.VOLUME, "image": Kind.IMAGE}
_ENDING_SIGNALS = frozenset({"2", "3", "9", "15"})
_CHANGES_NOTHING = ("exec_", "health_status", "top", "attach", "detach", "resize", "archive-path", "copy", "export")
"""How actions begin that leave a container as it was; probes cause most of them."""
_LONGEST = 1024 * 1024
_NANOSECONDS = 10**9
"""In a second; whole numbers, since what begins and what ends a run are compared."""


@dataclasses.dataclass(frozen=True, slots=True)
class Events:
    """``runtime.api.Events`` over the Engine API."""

    engine: connection.Connection
    known: inspections.Inspections
    names: names.Names
    able: features.Current
    clock: clock.Clock

    def subscribe(self) -> AsyncIterator[events.RuntimeEvent]:
        """Give events from now on. A stream that is lost raises ``errors.Unavailable``."""
        return self._stream(self.clock.now())

    async def _stream(self, since: float) -> AsyncGenerator[events.RuntimeEvent, None]:
        self.known.all_changed()  # whatever happened while nobody listened
        asked = requests.Requests(self.names.book, self.clock)
        try:
            await self.able.ask()  # it may be another one by now
            asked.heeded_from = self.clock.now()  # before it answers, it ends what its predecessor has left
            async with self._opened(since) as answer:
                async for line in _lines(answer):
                    event = self._taken(_told(line), asked)
                    if event is not None:
                        yield event
        except ValueError as error:
            raise errors.Unavailable("the engine's events make no sense", reason="EngineFailure") from error
        except errors.Unavailable:
            asked.stream_ended()
            raise
        finally:
            self.known.all_changed()
        asked.stream_ended()
        raise errors.Unavailable("the engine has closed its stream of events", reason="EngineDown")

    @contextlib.asynccontextmanager
    async def _opened(self, since: float) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open the stream: that it begins is soon said, what comes takes its time."""
        async with contextlib.AsyncExitStack() as stack:
            with failures.translated("events"):
                async with asyncio.timeout(self.engine.patience):
                    told = self.engine.streamed("events", "events", params={"since": f"{since:.6f}"})
                    answer = await stack.enter_async_context(told)
            yield answer

    def _taken(self, told: Mapping[str, Any], asked: requests.Requests) -> events.RuntimeEvent | None:
        """Take an event in; ``None`` for one that nobody cares about."""
        actor = told.get("Actor") or {}
        attributes = actor.get("Attributes") or {}
        identity, action = str(actor.get("ID", "")), str(told.get("Action", ""))
        kind = _KINDS.get(str(told.get("Type")))
        if kind is Kind.CONTAINER and not action.startswith(_CHANGES_NOTHING):
            self.known.changed(identity)
        elif kind is Kind.NETWORK and attributes.get("container"):
            self.known.changed(str(attributes["container"]))
        time = int(told.get("timeNano") or 0) / _NANOSECONDS or float(told.get("time") or 0)
        if kind is Kind.CONTAINER:
            self._heed(identity, action, attributes, time, asked)
        built_in = kind is Kind.NETWORK and attributes.get("name") in names.BUILT_IN
        if kind is None or action not in _ACTIONS or built_in:
            return None
        code = str(attributes.get("exitCode", attributes.get("containerExitCode", "")))
        return events.RuntimeEvent(
            kind=kind,
            id=identity,
            name=self._name(kind, str(attributes.get("name", identity))),
            action=_ACTIONS[action],
            time=time,
            exit_code=int(code) if code.isdecimal() else None,
        )

    def _heed(
        self, identity: str, action: str, attributes: Mapping[str, Any], time: float, asked: requests.Requests
    ) -> None:
        """Keep what an engine does not tell a second time: that somebody has asked for a container's end."""
        if _asks_to_end(action, attributes) and identity not in self.known.ours:
            asked.take(identity, time)
        match _ACTIONS.get(action):
            case events.EventAction.STARTED:
                asked.started(identity)
            case events.EventAction.EXITED:
                asked.ended()
            case events.EventAction.REMOVED:
                self.names.book.forget(Kind.CONTAINER, identity)
            case _:
                pass

    def _name(self, kind: Kind, engine: str) -> str:
        tables = {
            Kind.CONTAINER: self.names.declared_container,
            Kind.NETWORK: self.names.declared_network,
            Kind.VOLUME: self.names.declared_volume,
        }
        return tables[kind](engine) if kind in tables else engine


async def _lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Give whole lines. Raises ``ValueError`` for what is none."""
    rest = b""
    async for chunk in answer.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST:
            raise ValueError("a line without an end")
        for line in filter(None, lines):
            yield line


def _told(line: bytes) -> Mapping[str, Any]:
    """Read an event. Raises ``ValueError``."""
    told: object = json.loads(line)
    actor = (told.get("Actor") or {}) if isinstance(told, dict) else None
    if (
        not isinstance(told, dict)
        or not isinstance(actor, dict)
        or not isinstance(actor.get("Attributes"), dict | None)
    ):
        raise ValueError("no event")  # noqa: TRY004 - of text that is not one
    return told


def _asks_to_end(action: str, attributes: Mapping[str, Any]) -> bool:
    """Tell whether an event says that somebody wants a container to end; it comes before the end itself."""
    return action == "stop" or (action == "kill" and str(attributes.get("signal")) in _ENDING_SIGNALS)
