"""``/metrics``, ``/healthz`` and ``/readyz`` over HTTP."""

import http
from collections.abc import Callable
from typing import Self

from aiohttp import web

from agent import errors
from agent.kit import http_connections
from agent.telemetry import exporter

CLOSING = 2.0
"""Seconds that requests under way may take at the end."""

_NEGOTIATED = ("Accept", "Accept-Encoding")
"""The headers by which an answer to ``/metrics`` is chosen."""
_INDEX = "trimtab: /metrics /healthz /readyz\n"


class CannotListen(errors.TrimtabError):
    """The address is not free, or not ours."""


class Server:
    """Serves while it is entered (``async with``)."""

    def __init__(
        self, address: tuple[str, int], scrapes: exporter.Exporter, alive: Callable[[], str], ready: Callable[[], str]
    ) -> None:
        """Take what is served; ``alive`` and ``ready`` return what is wrong, empty where nothing is."""
        self._address = address
        self._scrapes = scrapes
        self._troubles = {"/healthz": alive, "/readyz": ready}
        self._runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        """Listen. Raises ``CannotListen``."""
        self._runner = web.ServerRunner(http_connections.Connections(self._answer), shutdown_timeout=CLOSING)
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
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def port(self) -> int:
        """The port that is listened on, also where 0 was requested."""
        return 0 if self._runner is None else int(self._runner.addresses[0][1])

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer without repeating anything of the request."""
        if request.path not in {"/", "/metrics", *self._troubles}:
            return web.Response(status=http.HTTPStatus.NOT_FOUND, text="there is no such path\n")
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=http.HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "GET,HEAD"})
        if request.path == "/metrics":
            return await self._metrics(request)
        if request.path in self._troubles and (trouble := self._troubles[request.path]()):
            return web.Response(status=http.HTTPStatus.SERVICE_UNAVAILABLE, text=f"{trouble}\n")
        return web.Response(text=_INDEX if request.path == "/" else "ok\n")

    async def _metrics(self, request: web.BaseRequest) -> web.Response:
        """Answer with a scrape. A header that comes several times is one list (RFC 9110, 5.3)."""
        accept, accept_encoding = (",".join(request.headers.getall(name, ())) for name in _NEGOTIATED)
        scrape = await self._scrapes.render(accept, accept_encoding)
        headers = {"Content-Type": scrape.content_type, "Vary": ", ".join(_NEGOTIATED)}
        if scrape.content_encoding:
            headers["Content-Encoding"] = scrape.content_encoding
        return web.Response(body=scrape.body, headers=headers)
