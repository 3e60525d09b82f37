"""The API server: versioned paths over HTTP on the unix socket in the run directory."""

import asyncio
import contextlib
import enum
import http
import os
import pathlib
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Self

import aiohttp
import multidict
import structlog
from aiohttp import web

from agent import errors
from agent.agent_api import line_queue, names, sockets
from agent.kit import frozen, http_connections, tasks

_DIGITS = 10
"""More than any number has that is taken."""
_CREDENTIALS = struct.Struct("3i")
"""Process, user and group of a peer (unix(7))."""
_PATIENCE = 30.0
"""Seconds that a body may take to come."""
CLOSING = 2.0
"""Seconds that requests under way may take at the end."""

LINES = "application/x-ndjson"
"""The type of an answer that has a JSON document on each line."""
Query = multidict.MultiMapping[str]
"""The parameters behind the path's question mark."""


class Problem(enum.StrEnum):
    """Why a request is not answered, for programs: the ``reason`` of a problem document (RFC 9457)."""

    UNKNOWN_PATH = "UnknownPath"
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    BAD_QUERY = "BadQuery"
    UNKNOWN_OBJECT = "UnknownObject"
    TOO_SLOW = "TooSlow"
    OTHER_SOURCE = "OtherSource"
    """The agent brings about another source."""
    MANIFESTS_REJECTED = "ManifestsRejected"
    """The manifests of the source have problems."""
    NOT_PERMITTED = "NotPermitted"
    """Only root may ask for it, or who runs the agent."""
    REFUSED = "Refused"
    """It cannot be done as things are: the detail says why, and the hint is the way out."""


_STATUS = {
    Problem.UNKNOWN_PATH: http.HTTPStatus.NOT_FOUND,
    Problem.METHOD_NOT_ALLOWED: http.HTTPStatus.METHOD_NOT_ALLOWED,
    Problem.BAD_QUERY: http.HTTPStatus.BAD_REQUEST,
    Problem.UNKNOWN_OBJECT: http.HTTPStatus.NOT_FOUND,
    Problem.TOO_SLOW: http.HTTPStatus.GATEWAY_TIMEOUT,
    Problem.OTHER_SOURCE: http.HTTPStatus.CONFLICT,
    Problem.MANIFESTS_REJECTED: http.HTTPStatus.CONFLICT,
    Problem.NOT_PERMITTED: http.HTTPStatus.FORBIDDEN,
    Problem.REFUSED: http.HTTPStatus.CONFLICT,
}


class CannotServe(errors.TrimtabError):
    """The socket cannot be made."""


class BadQuery(errors.TrimtabError):
    """A parameter has a value that it cannot have."""


class OtherSource(errors.TrimtabError):
    """What was asked for is of another source than the agent's."""


class ManifestsRejected(errors.TrimtabError):
    """The manifests of the source have problems."""


class NotPermitted(errors.TrimtabError):
    """Somebody asks for what only root may have."""


class TooSlow(errors.TrimtabError):
    """What was asked for has not come about in time."""


_PROBLEMS: dict[type[errors.TrimtabError], Problem] = {
    BadQuery: Problem.BAD_QUERY,
    names.UnknownObject: Problem.UNKNOWN_OBJECT,
    OtherSource: Problem.OTHER_SOURCE,
    ManifestsRejected: Problem.MANIFESTS_REJECTED,
    NotPermitted: Problem.NOT_PERMITTED,
    TooSlow: Problem.TOO_SLOW,
}


@frozen.value
class Request:
    """What is asked, and by whom."""

    query: Query
    is_privileged: bool
    """Whether root asks, or who runs the agent: they may read what manifests say, others only names and states."""
    body: bytes = b""


Put = Callable[[Mapping[str, Any]], None]
"""Sends a line: a document that JSON has."""


@frozen.value
class Route:
    """What answers a path: a document that JSON has. It may raise ``TrimtabError``."""

    answer: Callable[[Request], Awaitable[Mapping[str, Any]]]
    methods: tuple[str, ...] = ("GET", "HEAD")
    parameters: frozenset[str] = frozenset()
    """Others are refused: a misspelt name of an object would mean every object."""


@frozen.value
class Stream:
    """What answers a path with lines as they come. It may raise ``TrimtabError`` before the first one.

    What is asked stands in the request's body. Only root may ask, or who runs the agent.
    """

    answer: Callable[[Request], Awaitable[Callable[[Put], Awaitable[None]]]]
    """Reads what is asked, and returns what does it."""
    largest: int
    """Bytes of a body at most."""
    methods: tuple[str, ...] = ("POST",)
    parameters: frozenset[str] = frozenset()


class Server:
    """Serves while it is entered (``async with``)."""

    def __init__(self, run: pathlib.Path, routes: Mapping[str, Route | Stream]) -> None:
        """Serve in the run directory; ``routes`` are by path."""
        self._run = run
        self._routes = routes
        self._runner: web.ServerRunner | None = None
        self._streaming: set[asyncio.Task[Any]] = set()
        """Tasks that answer with lines: they end before what they work with does."""

    async def __aenter__(self) -> Self:
        """Listen. Raises ``CannotServe``."""
        self._runner = web.ServerRunner(http_connections.Connections(self._answer), shutdown_timeout=CLOSING)
        await self._runner.setup()
        try:
            listening = sockets.listen(self._run)
        except OSError as error:
            await self._runner.cleanup()
            message = f"cannot listen on {self._run / sockets.NAME}: {(error.strerror or str(error)).lower()}"
            raise CannotServe(message, hint="use another --run-dir") from error
        await web.SockSite(self._runner, listening).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        sockets.remove(self._run)
        for task in self._streaming:
            task.cancel()
        if self._streaming:
            await asyncio.wait(self._streaming)
        if self._runner is not None:
            await self._runner.cleanup()

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        """Take note of the present task, which answers with lines."""
        task = asyncio.current_task()
        if task is None:
            raise AssertionError
        self._streaming.add(task)
        try:
            yield
        finally:
            self._streaming.discard(task)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        route = self._routes.get(request.path)
        if route is None:
            return _problem(Problem.UNKNOWN_PATH, f"there is no path {request.path}")
        if request.method not in route.methods:
            allowed = ",".join(route.methods)
            response = _problem(Problem.METHOD_NOT_ALLOWED, f"{request.path} takes {allowed}")
            response.headers["Allow"] = allowed
            return response
        unknown = sorted(request.query.keys() - route.parameters)
        if unknown:
            taken = ", ".join(sorted(route.parameters)) or "none"
            return _problem(Problem.BAD_QUERY, f"there is no parameter {unknown[0][:100]!r}", f"there are: {taken}")
        try:
            is_privileged = _is_privileged(request.transport)
            if isinstance(route, Stream):
                with self._noted():
                    return await _streamed(request, route, is_privileged=is_privileged)
            return web.json_response(await route.answer(Request(request.query, is_privileged)))
        except errors.TrimtabError as error:
            return _problem(_PROBLEMS.get(type(error), Problem.REFUSED), error.message, error.hint)


async def _streamed(request: web.BaseRequest, route: Stream, *, is_privileged: bool) -> web.StreamResponse:
    """Answer with lines. Whoever hangs up cancels what is done."""
    if not is_privileged:
        raise NotPermitted("permission denied: only root may ask the agent for this", hint="use sudo")
    work = await route.answer(Request(request.query, is_privileged, await _body(request, route.largest)))
    response = web.StreamResponse(headers={"Content-Type": LINES})
    lines = line_queue.LineQueue()
    try:
        await response.prepare(request)
        async with asyncio.TaskGroup() as group:
            tasks.spawn(group, _send(lines, response), name="lines of an answer")
            await work(lines.put)
            lines.close()
        await response.write_eof()
    except* ConnectionError:  # whoever has asked is gone, and what was done for it is cancelled
        structlog.get_logger().debug("whoever has asked has hung up", path=request.path)
    return response


async def _body(request: web.BaseRequest, largest: int) -> bytes:
    """Return what was sent. Raises ``BadQuery``."""
    body = bytearray()
    try:
        async with asyncio.timeout(_PATIENCE):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > largest:
                    raise BadQuery(f"the body is larger than {largest} bytes")
    except TimeoutError as error:
        raise BadQuery(f"the body has not come within {_PATIENCE:g} s") from error
    except (web.RequestPayloadError, aiohttp.ClientPayloadError) as error:
        raise BadQuery("the body cannot be read") from error
    return bytes(body)


async def _send(lines: line_queue.LineQueue, response: web.StreamResponse) -> None:
    async for data in lines:
        await response.write(data)


def _is_privileged(transport: asyncio.BaseTransport | None) -> bool:
    """Return whether the process at the other end is root's, or of the user who runs the agent."""
    connection = None if transport is None else transport.get_extra_info("socket")
    if connection is None:
        return False
    _, user, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return user in {0, os.geteuid()}


def _problem(reason: Problem, detail: str, hint: str = "") -> web.Response:
    """Return a problem document: why a request is not answered."""
    status = _STATUS[reason]
    document = {"title": status.phrase, "status": status.value, "reason": reason.value, "detail": detail, "hint": hint}
    return web.json_response(document, status=status, content_type="application/problem+json")


def strings(query: Query, name: str) -> tuple[str, ...]:
    """Return all values of a parameter that may be repeated."""
    return tuple(query.getall(name, []))


def number(query: Query, name: str, default: int) -> int:
    """Return a parameter that is a positive number. Raises ``BadQuery``."""
    text = query.get(name, str(default))
    value = int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else 0
    if not 0 < value < 2**31:
        raise BadQuery(f"{name}: {text[:100]!r} is not a number from 1 to {2**31 - 1}")
    return value
