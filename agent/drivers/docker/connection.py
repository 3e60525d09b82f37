"""The connection to one engine through aiodocker: every call has a time limit, every failure is a runtime error."""

import asyncio
import contextlib
import http
import json
import math
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

import aiodocker
import aiohttp
import yarl

from agent import errors
from agent.drivers.docker import endpoint, failures, ssh
from agent.kit import frozen
from agent.reasons import Reason

Json = dict[str, Any]
"""An object of the Engine API, as in its specification."""

CALL_TIMEOUT = 60.0
"""Seconds that an ordinary call may take: an engine that hangs must not hang the agent."""
NO_TIMEOUT = math.inf
"""No limit: for a call that mostly waits. It takes no slot of ordinary calls, and its caller bounds it."""
_CONNECT_TIMEOUT = 10.0
_OLDEST_API = (1, 41)
_API = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})")
_VERSION = "version"
_VERSIONED = re.compile(rf"v[0-9]|{_VERSION}$")
"""Paths that contain the API's version already, or ask for it: they get no version prefix."""
_UNKNOWN_VERSION = "auto"
"""aiodocker's version before ``version`` has been asked for."""
_LOCAL_URL = "unix://localhost"
"""The host part of URLs for requests to a local socket."""
_CONNECTIONS = 32
"""Concurrent calls: an engine is no faster with more."""
_BY_SSH = 8
"""Concurrent calls where each is an ssh process: sshd drops more than ten that are not logged in yet."""
_WAITING = 128
"""Concurrent calls that only wait: for a container's end, or for the next second (usage, before Docker 23)."""


class Connection:
    """A client of one engine. Used as an asynchronous context manager."""

    def __init__(self, where: endpoint.Endpoint) -> None:
        """Hold the address; the connection is opened by ``async with``."""
        self.where = where
        self.call_timeout = CALL_TIMEOUT
        """Seconds that an ordinary call may take."""
        self._stack = contextlib.AsyncExitStack()
        self._client: aiodocker.Docker | None = None
        by_ssh = where.url.startswith("ssh://")
        self._slots = asyncio.Semaphore(_BY_SSH if by_ssh else _CONNECTIONS)
        self._waiting = asyncio.Semaphore(_WAITING if where.is_local else _CONNECTIONS)

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        url = self.where.url
        if url.startswith("ssh://"):
            url = await stack.enter_async_context(ssh.tunnel(self.where))
        secured = self.where.context if url.startswith("tcp://") else ""  # its certificates are found by its name
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT)
        connector = None
        if url.startswith("unix://"):  # its own stops at a hundred connections, and streams have no end
            connector = aiohttp.UnixConnector(url.removeprefix("unix://"), limit=0)
            stack.push_async_callback(connector.close)
        with failures.translated(str(self.where)):
            self._client = aiodocker.Docker(
                None if secured else url, context=secured or None, timeout=timeout, connector=connector
            )
        if connector is not None:
            self._client.docker_host = _LOCAL_URL
        stack.push_async_callback(self._client.close)

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def client(self) -> aiodocker.Docker:
        """The aiodocker client, for the calls that it covers. Raises ``RuntimeError`` while it is closed."""
        if self._client is None:
            raise RuntimeError("the connection is not open")
        return self._client

    async def version(self) -> Json:
        """Return the answer of ``/version``, and use the API version in it from then on.

        Raises ``errors.Unavailable``, also for an engine that is too old.
        """
        answer: object = await self.ask(_VERSION, str(self.where))
        version: Json = answer if isinstance(answer, dict) else {}
        api_version = str(version.get("ApiVersion", ""))
        spoken = _API.fullmatch(api_version)
        if spoken is None:
            raise errors.Unavailable(f"{self.where} is no container engine", reason=Reason.ENGINE_FAILURE)
        if (int(spoken[1]), int(spoken[2])) < _OLDEST_API:
            raise errors.Unavailable(
                f"{self.where} speaks version {api_version} of the Engine API",
                hint="Docker 20.10 or Podman 4.3 is the oldest that will do",
                reason=Reason.ENGINE_TOO_OLD,
            )
        self.client.api_version = f"v{api_version}"
        return version

    async def ask(
        self,
        path: str,
        what: str,
        *,
        method: str = "GET",
        params: Mapping[str, str] | None = None,
        body: object = None,
        call_timeout: float | None = None,
    ) -> Any:  # noqa: ANN401 - JSON's own shape
        """Make a call and return its answer as JSON, ``None`` for an empty one.

        ``what`` names the object in errors; ``call_timeout`` is in seconds, ``None`` for the usual one. It begins when
        the call does: waiting for a slot says nothing about the engine, and each call before it has a timeout too.
        """
        data = None if body is None else json.dumps(body)
        call = _Call(path, method, dict(params or {}), {}, data)
        limit = self.call_timeout if call_timeout is None else call_timeout
        waits = limit == NO_TIMEOUT
        with failures.translated(what):
            async with (
                self._waiting if waits else self._slots,
                asyncio.timeout(None if waits else limit),
                self._response(call, what) as answer,
            ):
                text = await answer.read()
        try:
            return json.loads(text) if text.strip() else None
        except ValueError as error:
            if method != "GET":
                return None  # Podman says "OK" where Docker says nothing
            raise errors.Unavailable(
                f"the engine's answer about {what} is no JSON", reason=Reason.ENGINE_FAILURE
            ) from error

    @contextlib.asynccontextmanager
    async def stream_response(
        self,
        path: str,
        what: str,
        *,
        method: str = "GET",
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        data: object = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Make a call whose answer is a stream, without a time limit. ``data`` is a tar."""
        kind = {"Content-Type": "application/x-tar"} if data is not None else {}
        call = _Call(path, method, dict(params or {}), {**kind, **(headers or {})}, data)
        with failures.translated(what):
            async with self._response(call, what) as answer:
                yield answer

    @contextlib.asynccontextmanager
    async def _response(self, call: "_Call", what: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """Make a call; its answer is closed at the end of the block. Raises the engine's refusal in its own words.

        aiodocker has no method for parts of the API (``update``, one-shot ``stats``, filters, Podman's own): calls are
        made by its session, which knows the engine's socket and certificates.
        """
        client = self.client
        is_versioned = _VERSIONED.match(call.path) is not None or client.api_version == _UNKNOWN_VERSION
        version = "" if is_versioned else f"{client.api_version}/"
        async with client.session.request(
            call.method,
            yarl.URL(f"{client.docker_host}/{version}{call.path}"),
            params=call.params,
            headers={"Content-Type": "application/json", **call.headers},
            data=call.data,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT),
        ) as answer:
            try:
                if answer.status >= http.HTTPStatus.BAD_REQUEST:
                    raise failures.of(answer.status, _reason(await answer.read()), what)
                yield answer
            finally:
                answer.close()


def _reason(answer: bytes) -> str:
    """Return the message of a refusal, which is JSON or plain text."""
    text = answer.decode(errors="replace")
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return str(read["message"]) if isinstance(read, dict) and "message" in read else text


@frozen.value
class _Call:
    """One request."""

    path: str
    method: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    data: object
