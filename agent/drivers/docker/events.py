"""An engine's events: they trigger passes and invalidate cached observations."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import aiohttp

from agent import errors
from agent.drivers.docker import connection, failures, features, inspections, names, stop_requests
from agent.kit import broadcast, clock, frozen
from agent.model.key import Kind
from agent.reasons import Reason
from agent.runtime import events

_ACTIONS = {
    "create": events.EventAction.CREATED,
    "start": events.EventAction.STARTED,
    "die": events.EventAction.EXITED,
    "died": events.EventAction.EXITED,
    "oom": events.EventAction.CHANGED,  # of any process of it; where that ends the container, it dies as well
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
"""Prefixes of actions that do not change a container; probes cause most of them."""
_MAX_LINE = 1024 * 1024
_NANOSECONDS = 10**9
"""Per second. An integer: start and stop times are compared exactly."""


@frozen.value(kw_only=True)
class Events:
    """``runtime.api.Events`` over the Engine API."""

    engine: connection.Connection
    inspections: inspections.Inspections
    names: names.Names
    current_features: features.EngineFeatures
    clock: clock.Clock
    own: broadcast.Broadcast[events.RuntimeEvent]
    """What happens on our side: clean-up that fails, and that it is done at last."""

    def subscribe(self) -> AsyncIterator[events.RuntimeEvent]:
        """Yield events from now on, the engine's and ours. Raises ``errors.Unavailable`` when the stream is lost."""
        return broadcast.merged(self._stream(self.clock.now()), self.own.subscribe())

    async def _stream(self, since: float) -> AsyncGenerator[events.RuntimeEvent, None]:
        self.inspections.invalidate_all()  # whatever happened while nobody listened
        requested_stops = stop_requests.StopRequests(self.names.state_file, self.clock)
        try:
            await self.current_features.ask()  # it may be another one by now
            requested_stops.counted_from = self.clock.now()  # before it answers, it ends what its predecessor has left
            async with self._open(since) as answer:
                async for line in lines(answer):
                    event = self._process(parsed(line), requested_stops)
                    if event is not None:
                        yield event
        except ValueError as error:
            raise errors.Unavailable("the engine's events make no sense", reason=Reason.ENGINE_FAILURE) from error
        except errors.Unavailable:
            requested_stops.stream_ended()
            raise
        finally:
            self.inspections.invalidate_all()
        requested_stops.stream_ended()
        raise errors.Unavailable("the engine has closed its stream of events", reason=Reason.ENGINE_DOWN)

    @contextlib.asynccontextmanager
    async def _open(self, since: float) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open the stream: its response must begin within the usual limit, its events have none."""
        async with contextlib.AsyncExitStack() as stack:
            with failures.translated("events"):
                async with asyncio.timeout(self.engine.call_timeout):
                    stream = self.engine.stream_response("events", "events", params={"since": f"{since:.6f}"})
                    answer = await stack.enter_async_context(stream)
            yield answer

    def _process(
        self, message: Mapping[str, Any], requested_stops: stop_requests.StopRequests
    ) -> events.RuntimeEvent | None:
        """Process a message and return its event; ``None`` if it is of no interest."""
        actor = message.get("Actor") or {}
        attributes = actor.get("Attributes") or {}
        identity, action = str(actor.get("ID", "")), str(message.get("Action", ""))
        kind = _KINDS.get(str(message.get("Type")))
        if kind is Kind.CONTAINER and not action.startswith(_CHANGES_NOTHING):
            self.inspections.invalidate(identity)
        elif kind is Kind.NETWORK and attributes.get("container"):
            self.inspections.invalidate(str(attributes["container"]))
        time = int(message.get("timeNano") or 0) / _NANOSECONDS or float(message.get("time") or 0)
        if kind is Kind.CONTAINER:
            self._record_stop_request(identity, action, attributes, time, requested_stops)
        built_in = kind is Kind.NETWORK and attributes.get("name") in names.BUILT_IN
        if kind is None or action not in _ACTIONS or built_in:
            return None
        return events.RuntimeEvent(
            kind=kind,
            id=identity,
            name=self._name(kind, str(attributes.get("name", identity))),
            action=_ACTIONS[action],
            time=time,
            exit_code=exit_code(message),
        )

    def _record_stop_request(
        self,
        identity: str,
        action: str,
        attributes: Mapping[str, Any],
        time: float,
        requested_stops: stop_requests.StopRequests,
    ) -> None:
        """Record stop requests of others, which an engine reports only once."""
        if _is_stop_request(action, attributes) and identity not in self.inspections.changing:
            requested_stops.add(identity, time)
        match _ACTIONS.get(action):
            case events.EventAction.STARTED:
                requested_stops.started(identity)
            case events.EventAction.EXITED:
                requested_stops.ended()
            case events.EventAction.REMOVED:
                self.names.state_file.forget(Kind.CONTAINER, identity)
            case _:
                pass

    def _name(self, kind: Kind, engine: str) -> str:
        tables = {
            Kind.CONTAINER: self.names.declared_container,
            Kind.NETWORK: self.names.declared_network,
            Kind.VOLUME: self.names.declared_volume,
        }
        return tables[kind](engine) if kind in tables else engine


async def lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield whole lines. Raises ``ValueError`` for one that is too long."""
    partial = b""
    async for chunk in answer.content.iter_any():
        *lines, partial = (partial + chunk).split(b"\n")
        if len(partial) > _MAX_LINE:
            raise ValueError("a line without an end")
        for line in filter(None, lines):
            yield line


def parsed(line: bytes) -> Mapping[str, Any]:
    """Return an event's JSON. Raises ``ValueError`` for what is not an event."""
    message: object = json.loads(line)
    actor = (message.get("Actor") or {}) if isinstance(message, dict) else None
    if (
        not isinstance(message, dict)
        or not isinstance(actor, dict)
        or not isinstance(actor.get("Attributes"), dict | None)
    ):
        raise ValueError("no event")  # noqa: TRY004 - of text that is not one
    return message


def exit_code(message: Mapping[str, Any]) -> int | None:
    """Return the exit code in an event; ``None`` where it has none."""
    attributes = (message.get("Actor") or {}).get("Attributes") or {}
    code = str(attributes.get("exitCode", attributes.get("containerExitCode", "")))
    return int(code) if code.isdecimal() else None


def _is_stop_request(action: str, attributes: Mapping[str, Any]) -> bool:
    """Return whether an event is a request to stop a container; it precedes the exit."""
    return action == "stop" or (action == "kill" and str(attributes.get("signal")) in _ENDING_SIGNALS)
