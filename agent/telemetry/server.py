"""``/metrics``, ``/healthz`` and ``/readyz`` over HTTP."""

from collections.abc import Awaitable, Callable
from typing import Self

from aiohttp import web

from agent import errors
from agent.telemetry import exporter

CLOSING = 2.0
"""Seconds that requests under way are given at the end."""

_INDEX = "trimtab: /metrics /healthz /readyz\n"


class CannotListen(errors.TrimtabError):
    """The address is not free, or not ours."""


class Server:
    """Serves while it is entered (``async with``)."""

    def __init__(
        self, address: tuple[str, int], scrapes: exporter.Exporter, alive: Callable[[], str], ready: Callable[[], str]
    ) -> None:
        """``alive`` and ``ready`` say what is wrong; empty where nothing is."""
        self._address = address
        self._scrapes = scrapes
        app = web.Application()
        app.router.add_get("/", _index)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", _answer(alive))
        app.router.add_get("/readyz", _answer(ready))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSING)

    async def __aenter__(self) -> Self:
        """Listen. Raises ``CannotListen``."""
        await self._runner.setup()
        host, port = self._address
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise CannotListen(
                f"cannot listen on {host}:{port}: {error.strerror or error}", hint="use another --listen, or 'off'"
            ) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def port(self) -> int:
        """The port that is really listened on, where 0 was asked for."""
        return int(self._runner.addresses[0][1])

    async def _metrics(self, request: web.Request) -> web.Response:
        body, content_type = await self._scrapes.render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})


async def _index(request: web.Request) -> web.Response:
    del request
    return web.Response(text=_INDEX)


def _answer(trouble: Callable[[], str]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        del request
        found = trouble()
        return web.Response(status=503, text=f"{found}\n") if found else web.Response(text="ok\n")

    return answer
