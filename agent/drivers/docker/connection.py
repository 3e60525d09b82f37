"""One engine: asked by aiodocker, each call with an end, each failure in the runtime's words."""

import asyncio
import contextlib
import dataclasses
import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

import aiodocker
import aiohttp

from agent.drivers.docker import endpoint, failures, ssh
from agent.runtime import errors

Json = dict[str, Any]
"""An object of the Engine API, as in its specification."""

PATIENCE = 60.0
"""Seconds that an ordinary call may take: an engine that hangs must not hang the agent."""
_CONNECT = 10.0
_OLDEST_API = (1, 41)
_VERSIONED = re.compile(r"v[0-9]")
"""How a path begins that says its version itself."""
_CONNECTIONS = 32
"""Calls at a time: an engine works through more of them no faster."""


class Connection:
    """A client of one engine. Used as an asynchronous context manager."""

    def __init__(self, where: endpoint.Endpoint) -> None:
        """Nothing is opened yet."""
        self.where = where
        self._stack = contextlib.AsyncExitStack()
        self._client: aiodocker.Docker | None = None
        self._slots = asyncio.Semaphore(_CONNECTIONS)

    async def __aenter__(self) -> Self:
        url = self.where.url
        if url.startswith("ssh://"):
            url = await self._stack.enter_async_context(ssh.tunnelled(self.where))
        secured = self.where.context if url.startswith("tcp://") else ""  # its certificates are found by its name
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT)
        with failures.translated(str(self.where)):
            self._client = aiodocker.Docker(None if secured else url, context=secured or None, timeout=timeout)
        self._stack.push_async_callback(self._client.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def client(self) -> aiodocker.Docker:
        """The client of aiodocker, for what it has words for."""
        if self._client is None:
            raise RuntimeError("the connection is not open")
        return self._client

    async def version(self) -> Json:
        """Ask who it is. Raises ``errors.Unavailable``, also for an engine that is too old."""
        with failures.translated(str(self.where)):
            async with asyncio.timeout(PATIENCE):
                found = dict(await self.client.version())
        spoken = tuple(int(part) for part in str(found.get("ApiVersion", "0.0")).split(".")[:2])
        if spoken < _OLDEST_API:
            raise errors.Unavailable(
                f"{self.where} speaks version {found.get('ApiVersion')} of the Engine API",
                hint="Docker 20.10 or Podman 4.3 is the oldest that will do",
                reason="EngineTooOld",
            )
        return found

    async def ask(
        self,
        path: str,
        what: str,
        *,
        method: str = "GET",
        params: Mapping[str, str] | None = None,
        body: object = None,
        patience: float | None = PATIENCE,
    ) -> Any:  # noqa: ANN401 - JSON's own shape
        """Make a call and give its answer as JSON, ``None`` for an empty one.

        ``what`` names the object in errors; ``patience`` is in seconds, ``None`` waits for ever.
        """
        data = None if body is None else json.dumps(body)
        call = _Call(path, method, dict(params or {}), {}, data)
        with failures.translated(what):
            async with self._slots, asyncio.timeout(patience), self._called(call) as answer:
                text = await answer.read()
        try:
            return json.loads(text) if text.strip() else None
        except ValueError as error:
            if method != "GET":
                return None  # Podman says "OK" where Docker says nothing
            raise errors.Unavailable(f"the engine's answer about {what} is no JSON", reason="EngineFailure") from error

    @contextlib.asynccontextmanager
    async def streamed(
        self,
        path: str,
        what: str,
        *,
        method: str = "GET",
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        data: object = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Make a call whose answer comes bit by bit, without an end in time once it has begun. ``data`` is a tar."""
        kind = {"Content-Type": "application/x-tar"} if data is not None else {}
        with failures.translated(what):
            async with self._called(
                _Call(path, method, dict(params or {}), {**kind, **(headers or {})}, data)
            ) as answer:
                yield answer

    @contextlib.asynccontextmanager
    async def _called(self, call: "_Call") -> AsyncIterator[aiohttp.ClientResponse]:
        """Make a call; its answer is closed at the end of the block.

        For a part of the API (``update``, one-shot ``stats``, filters, Podman's own) aiodocker has no words, and it
        keeps the call that all of its words are made of to itself; this is the one place that uses it.
        """
        versioned = _VERSIONED.match(call.path) is None
        async with self.client._query(  # noqa: SLF001 - see above
            call.path,
            call.method,
            params=call.params,
            headers=call.headers or None,
            data=call.data,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT),
            versioned_api=versioned,
        ) as answer:
            try:
                yield answer
            finally:
                answer.close()


@dataclasses.dataclass(frozen=True, slots=True)
class _Call:
    """One request."""

    path: str
    method: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    data: object
