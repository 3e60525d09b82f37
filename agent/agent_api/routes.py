"""The paths of the running agent's API, each with what answers it. ``ops/docs/command-line.md`` lists them."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence

import structlog

from agent import errors
from agent.agent_api import (
    application,
    building,
    descriptions,
    live,
    location,
    names,
    openapi,
    past,
    planning,
    preview,
    reconciliation,
    records,
    restart,
    server,
    status_json,
    suspension,
)
from agent.converge import history, loop, reading
from agent.kit import frozen
from agent.model import image
from agent.model.key import ObjectKey
from agent.reasons import Reason
from agent.runtime import api, order_checks, ordered_builds

_LONGEST_WAIT = 600
"""Seconds that a request may wait for a pass."""


_Change = Callable[[frozenset[ObjectKey] | None], Awaitable[loop.Changed]]


@frozen.value
class Answers:
    """What the paths answer from."""

    status: live.LiveStatus
    recorded: history.History
    going: loop.Loop
    source: str
    """The identity of the agent's source."""
    runtime: api.Runtime

    def routes(self) -> dict[str, server.Route | server.Stream]:
        """Return the routes by path."""
        answers: dict[str, Callable[[server.Request], Awaitable[past.Json]]] = {
            "/v1/status": self._status,
            "/v1/history": self._history,
            "/v1/events": self._events,
            "/v1/objects": self._objects,
            "/v1/plan": self._plan,
            "/v1/apply": self._apply,
            "/v1/reconcile": self._reconcile,
            "/v1/restart": self._restart,
            "/v1/suspend": self._suspend,
            "/v1/resume": self._resume,
        }
        own: dict[str, server.Route | server.Stream] = {
            openapi.PATH: server.Route(self._openapi),
            openapi.BUILD: server.Stream(self._build, building.LARGEST),
        }
        return own | {path: _route(openapi.OPERATIONS[path], answer) for path, answer in answers.items()}

    async def _openapi(self, _: server.Request) -> past.Json:
        return openapi.document()

    async def _status(self, request: server.Request) -> past.Json:
        await self._check_source(request)
        return status_json.document(await self.status.read())

    async def _history(self, request: server.Request) -> past.Json:
        limit = server.number(request.query, "limit", past.DEFAULT_LIMIT)
        return past.history_document(records.revisions(self.recorded, limit))

    async def _events(self, request: server.Request) -> past.Json:
        limit = server.number(request.query, "limit", past.DEFAULT_LIMIT)
        return past.events_document(records.events(self.recorded, limit, request.query.get("object", "")))

    async def _objects(self, request: server.Request) -> past.Json:
        name = request.query.get("name", "")
        if not name:
            raise server.BadQuery("name: it is missing, or empty")
        answer = await self.status.read()
        return descriptions.document(records.describe(name, answer, self.status.desired(), self.recorded))

    async def _plan(self, request: server.Request) -> past.Json:
        await self._check_source(request)
        read, computed = await self.going.preview()
        if computed is None:
            if read.problems:
                return planning.document(preview.rejected(read))
            raise errors.TrimtabError("the runtime cannot be looked at", hint="trimtab status says why")
        shown = computed if request.is_privileged else preview.without_values(computed)
        explain = request.query.get("explain", "") == "true"
        return planning.document(preview.answer(read.desired, shown, explain=explain))

    async def _apply(self, request: server.Request) -> past.Json:
        await self._check_source(request)
        seconds = min(server.number(request.query, "timeout", _LONGEST_WAIT), _LONGEST_WAIT)
        structlog.get_logger().info("looking at everything again", request="apply")
        before = self.recorded.last_outcome()
        try:
            converged = await self.going.apply(seconds)
        except reading.BadManifests as error:
            raise server.ManifestsRejected(error.message, hint=error.hint) from error
        applied_at = next((revision.applied_at for revision in self.recorded.revisions(1)), None)
        events = records.events_after(self.recorded, before)
        return application.document(application.Answer(converged, events, applied_at))

    async def _check_source(self, request: server.Request) -> None:
        """Raise ``OtherSource`` where somebody means another one than the agent's; an empty text means that."""
        source = request.query.get("source", "")
        if source and source != self.source and not await asyncio.to_thread(location.is_same, source, self.source):
            hint = "add the manifests to that source, stop that agent, or use another --root and --run-dir"
            raise server.OtherSource(f"an agent runs here that brings about {self.source}, not {source}", hint=hint)

    async def _restart(self, request: server.Request) -> past.Json:
        texts = server.strings(request.query, "name")
        if not any(texts):
            raise server.BadQuery("name: it is missing, or empty")
        seconds = min(server.number(request.query, "timeout", 60), _LONGEST_WAIT)
        keys = restart.resolve(texts, self.status.keys(), self.status.desired(), self.status.suspensions)
        structlog.get_logger().info("restarting containers", request="restart", containers=sorted(map(str, keys)))
        return restart.document(records.restarts(await self.going.restart(keys, seconds)))

    async def _suspend(self, request: server.Request) -> past.Json:
        return await self._change(request, "suspended", self.going.suspend)

    async def _resume(self, request: server.Request) -> past.Json:
        return await self._change(request, "resumed", self.going.resume)

    async def _change(self, request: server.Request, event: str, change: _Change) -> past.Json:
        """Suspend or resume the named objects, or the source where none is named."""
        texts = server.strings(request.query, "name")
        keys = names.resolve(texts, self.status.keys()) if texts else None
        changed = await change(keys)
        for subject in changed.subjects:
            structlog.get_logger().info(f"{subject}: {event}", reason=Reason.REQUESTED.value)
        return suspension.document(self.status.suspended(keys, changed))

    async def _build(self, request: server.Request) -> Callable[[server.Put], Awaitable[None]]:
        """Read an order, and return what carries it out; how it goes is told line by line."""
        try:
            order = order_checks.checked(building.order(json.loads(request.body)))
        except (ValueError, RecursionError) as error:
            raise server.BadQuery(f"no order of a build: {error}") from error
        self._check_names(order.references)
        structlog.get_logger().info("building", request="build", images=list(order.references))

        async def work(put: server.Put) -> None:
            end = await ordered_builds.carry_out(order, self.runtime, lambda line: put(building.document(line)))
            put(building.document(end))

        return work

    def _check_names(self, references: Sequence[str]) -> None:
        """Raise for a name that a declared image has: what is built would be taken away again."""
        images = self.status.desired().images
        owners = {own.reference: own.name for own in images if not isinstance(own.source, image.PullSource)}
        for name in references:
            if name in owners:
                raise errors.TrimtabError(
                    f"{name} is what Image/{owners[name]} is kept as, which the source declares",
                    hint="build it by its manifest, or give it another --tag",
                )

    async def _reconcile(self, request: server.Request) -> past.Json:
        seconds = min(server.number(request.query, "timeout", 30), _LONGEST_WAIT)
        structlog.get_logger().info("looking at everything again", request="reconcile")
        try:
            async with asyncio.timeout(seconds):
                passes = await self.going.look_now()
        except TimeoutError as error:
            raise server.TooSlow(f"no pass was made within {seconds} s") from error
        return reconciliation.document(self.status.reconciled(passes))


def _route(operation: openapi.Operation, answer: Callable[[server.Request], Awaitable[past.Json]]) -> server.Route:
    """Return the route of an operation: what it takes is what its document says."""
    methods = ("GET", "HEAD") if operation.method == "get" else (operation.method.upper(),)
    return server.Route(answer, methods, frozenset(parameter.name for parameter in operation.parameters))
