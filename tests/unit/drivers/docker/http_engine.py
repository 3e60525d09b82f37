"""A small HTTP server on a unix socket in place of an engine: real requests, made-up answers."""

import contextlib
import dataclasses
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from agent.drivers.docker import connection, endpoint

Answer = web.StreamResponse | Any
"""A response, or what becomes one as JSON."""
VERSION = {"ApiVersion": "1.41", "Version": "20.10.24", "Components": [{"Name": "Engine"}]}


@dataclasses.dataclass(slots=True)
class HttpEngine:
    """An engine that answers over HTTP, with the requests that it got."""

    path: pathlib.Path
    answers: dict[str, Answer | Callable[[web.Request], Awaitable[Answer]]]
    """By ``METHOD path``, without the API's version."""
    asked: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    bodies: dict[str, Any] = dataclasses.field(default_factory=dict)
    """The last one of each call."""

    @property
    def where(self) -> endpoint.Endpoint:
        """Its address."""
        return endpoint.Endpoint("docker", f"unix://{self.path}")

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        called = f"{request.method} {request.path.removeprefix('/v1.41').lstrip('/')}"
        self.asked.append((called, request.query_string))
        text = await request.text()
        if text:
            self.bodies[called] = text
        answer = self.answers.get(called, web.json_response({"message": f"No such thing: {called}"}, status=404))
        if callable(answer):
            answer = await answer(request)
        return answer if isinstance(answer, web.StreamResponse) else web.json_response(answer)

    def calls(self) -> list[str]:
        """Return the requests without their version prefix."""
        return [called for called, _ in self.asked if called != "GET version"]


@contextlib.asynccontextmanager
async def serving(path: pathlib.Path, **answers: Answer) -> AsyncIterator[HttpEngine]:
    """Serve for as long as the context lasts."""
    engine = HttpEngine(path, {"GET version": VERSION, **answers})
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", engine.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(path)).start()
        yield engine
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def connected(path: pathlib.Path, **answers: Answer) -> AsyncIterator[tuple[HttpEngine, connection.Connection]]:
    """Serve, and connect with it."""
    async with serving(path, **answers) as engine, connection.Connection(engine.where) as opened:
        await opened.version()
        yield engine, opened
