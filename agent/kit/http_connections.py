"""Connections of our HTTP servers: what is no HTTP gets a short answer, and is neither repeated nor logged."""

import asyncio
import http
from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp import web

MOST = 128
"""Connections at a time. Each takes a descriptor, and containers need them too."""
IDLE = 30
"""Seconds that a connection may be without a request, also before its first one."""


class _Refused(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """End it."""
        cast("asyncio.Transport", transport).abort()


class Connection(web.RequestHandler):
    """A connection that answers what is no HTTP shortly: no traceback is logged of it, and nothing of it sent back."""

    @property
    def is_idle(self) -> bool:
        """Return whether no request is being answered."""
        return self._current_request is None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to a request that failed. Raises ``ConnectionError`` where one has begun to be sent."""
        if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        answer = web.Response(status=status, text="this is no request that the agent understands\n")
        answer.force_close()
        return answer


class Connections(web.Server):
    """Makes our connections, for a ``web.ServerRunner``.

    ``web.Application`` does more than is needed here: it repeats what an ``Expect`` header says. Whoever hangs up is
    not worked for any longer.
    """

    def __init__(self, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        """``answer`` answers each request."""
        super().__init__(answer, handler_cancellation=True)

    def __call__(self) -> asyncio.Protocol:  # type: ignore[override] # what a loop's server asks of it
        """Return a connection that has just come in.

        Where there are ``MOST`` already, the one that has been idle from earliest on makes place for it; where all of
        them are being answered, it is ended at once.
        """
        if len(self.connections) >= MOST:
            idle = next((held for held in self.connections if isinstance(held, Connection) and held.is_idle), None)
            if idle is None:
                return _Refused()
            idle.force_close()
        return Connection(self, loop=asyncio.get_running_loop(), access_log=None, keepalive_timeout=IDLE)  # type: ignore[arg-type] # as AppRunner says none
