"""One engine: asked by aiodocker, each call with an end, each failure in the runtime's words."""

import asyncio
import contextlib
import dataclasses
import json
import math
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
FOR_EVER = math.inf
"""The patience for a call that mostly waits: it is out of the others' way, and whoever makes it says when it ends."""
_CONNECT = 10.0
_OLDEST_API = (1, 41)
_API = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})")
_VERSION = "version"
_VERSIONED = re.compile(rf"v[0-9]|{_VERSION}$")
"""Paths that say the API's version themselves, or are asked for it."""
_HERE = "unix://localhost"
"""What stands for the host in requests to a local socket."""
_CONNECTIONS = 32
"""Calls at a time: an engine works through more of them no faster."""
_BY_SSH = 8
"""Calls at a time where each is an ssh of its own: sshd drops more than ten that are not logged in yet."""
_WAITING = 128
"""Calls at a time that only wait: for an end, or for the next second (usage, before Docker 23)."""


class Connection:
    """A client of one engine. Used as an asynchronous context manager."""

    def __init__(self, where: endpoint.Endpoint) -> None:
        """Nothing is opened yet."""
        self.where = where
        self.patience = PATIENCE
        """Seconds that an ordinary call may take."""
        self._stack = contextlib.AsyncExitStack()
        self._client: aiodocker.Docker | None = None
        by_ssh = where.url.startswith("ssh://")
        self._slots = asyncio.Semaphore(_BY_SSH if by_ssh else _CONNECTIONS)
        self._waiting = asyncio.Semaphore(_WAITING if where.local else _CONNECTIONS)

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        url = self.where.url
        if url.startswith("ssh://"):
            url = await stack.enter_async_context(ssh.tunnelled(self.where))
        secured = self.where.context if url.startswith("tcp://") else ""  # its certificates are found by its name
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT)
        connector = None
        if url.startswith("unix://"):  # its own stops at a hundred connections, and streams have no end
            connector = aiohttp.UnixConnector(url.removeprefix("unix://"), limit=0)
            stack.push_async_callback(connector.close)
        with failures.translated(str(self.where)):
            self._client = aiodocker.Docker(
                None if secured else url, context=secured or None, timeout=timeout, connector=connector
            )
        if connector is not None:
            self._client.docker_host = _HERE
        stack.push_async_callback(self._client.close)

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def client(self) -> aiodocker.Docker:
        """The client of aiodocker, for what it has words for."""
        if self._client is None:
            raise RuntimeError("the connection is not open")
        return self._client

    async def version(self) -> Json:
        """Ask who it is, and speak its version of the API from then on.

        Raises ``errors.Unavailable``, also for an engine that is too old.
        """
        answer: object = await self.ask(_VERSION, str(self.where))
        found: Json = answer if isinstance(answer, dict) else {}
        told = str(found.get("ApiVersion", ""))
        spoken = _API.fullmatch(told)
        if spoken is None:
            raise errors.Unavailable(f"{self.where} is no container engine", reason="EngineFailure")
        if (int(spoken[1]), int(spoken[2])) < _OLDEST_API:
            raise errors.Unavailable(
                f"{self.where} speaks version {told} of the Engine API",
                hint="Docker 20.10 or Podman 4.3 is the oldest that will do",
                reason="EngineTooOld",
            )
        self.client.api_version = f"v{told}"
        return found

    async def ask(
        self,
        path: str,
        what: str,
        *,
        method: str = "GET",
        params: Mapping[str, str] | None = None,
        body: object = None,
        patience: float | None = None,
    ) -> Any:  # noqa: ANN401 - JSON's own shape
        """Make a call and give its answer as JSON, ``None`` for an empty one.

        ``what`` names the object in errors; ``patience`` is in seconds, ``None`` for the usual one. It begins when the
        call does: waiting for those before it says nothing about the engine, and each of them has an end of its own.
        """
        data = None if body is None else json.dumps(body)
        call = _Call(path, method, dict(params or {}), {}, data)
        wanted = self.patience if patience is None else patience
        waits = wanted == FOR_EVER
        with failures.translated(what):
            async with (
                self._waiting if waits else self._slots,
                asyncio.timeout(None if waits else wanted),
                self._called(call) as answer,
            ):
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
        """Make a call whose answer comes bit by bit, without an end in time. ``data`` is a tar."""
        kind = {"Content-Type": "application/x-tar"} if data is not None else {}
        call = _Call(path, method, dict(params or {}), {**kind, **(headers or {})}, data)
        with failures.translated(what):
            async with self._called(call) as answer:
                yield answer

    @contextlib.asynccontextmanager
    async def _called(self, call: "_Call") -> AsyncIterator[aiohttp.ClientResponse]:
        """Make a call; its answer is closed at the end of the block.

        For a part of the API (``update``, one-shot ``stats``, filters, Podman's own) aiodocker has no words, and it
        keeps the call that all of its words are made of to itself; this is the one place that uses it.
        """
        versioned = _VERSIONED.match(call.path) is None
        asked = self.client._query(  # noqa: SLF001 - see above
            call.path,
            call.method,
            params=call.params,
            headers=call.headers or None,
            data=call.data,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT),
            versioned_api=versioned,
        )
        async with contextlib.AsyncExitStack() as stack:
            try:
                answer = await stack.enter_async_context(asked)
            except (KeyError, TypeError, ValueError) as error:  # a failure that it cannot read
                raise errors.Unavailable("the engine fails without a reason", reason="EngineFailure") from error
            stack.callback(answer.close)
            yield answer


@dataclasses.dataclass(frozen=True, slots=True)
class _Call:
    """One request."""

    path: str
    method: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    data: object
