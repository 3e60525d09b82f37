"""A proxy in front of an engine's socket, that does to calls what a test tells it to: right unless told otherwise."""

import asyncio
import contextlib
import dataclasses
import functools
import pathlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from agent.kit import tasks

_HEAD = 64 * 1024
_CHUNK = 64 * 1024
_VERSION = re.compile(r"^/v[0-9.]+")


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One request, as far as rules look at it."""

    method: str
    path: str
    """Without the API's version."""
    version: str
    """``/v1.41``, or empty."""
    head: bytes


class Exchange:
    """A call under way: what a fault may do with it."""

    def __init__(self, call: Call, client: "_Side", engine: pathlib.Path, answering: Callable[[], None]) -> None:
        """Prepare an exchange; ``answering`` is called when the client has the beginning of an answer."""
        self.call = call
        self._client = client
        self._engine = engine
        self._answering = answering

    async def forwarded(self) -> None:
        """Pass the call to the engine."""
        async with _connected(self._engine) as engine:
            await _piped(self._client, engine, self.call.head, self._answering)

    async def done_unheard(self) -> bytes:
        """Pass the call to the engine, and return its answer unsent."""
        async with _connected(self._engine) as engine:
            engine.writer.write(self.call.head)
            sending = self._client.pumped_into(engine)
            async with tasks.Crew(_ignored) as crew:
                crew.start(sending, name="request")
                return await engine.reader.read()

    async def answered(self, status: int, body: str, kind: str = "application/json") -> None:
        """Answer in the engine's place."""
        head = (
            f"HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self._client.writer.write((head + body).encode())
        await self._client.writer.drain()


Fault = Callable[[Exchange], Awaitable[None]]


@dataclasses.dataclass(slots=True)
class _Rule:
    method: str
    pattern: re.Pattern[str]
    fault: Fault
    remaining: int
    each: bool
    hit: set[str] = dataclasses.field(default_factory=set)


class Proxy:
    """The proxy, listening on ``socket``."""

    def __init__(self, socket: pathlib.Path, engine: pathlib.Path) -> None:
        """Stand in front of an engine."""
        self.socket = socket
        self.asked: list[Call] = []
        """Every call so far."""
        self.faults: list[str] = []
        """What was done to which calls."""
        self._engine = engine
        self._rules: list[_Rule] = []
        self._open: dict[asyncio.StreamWriter, str] = {}

    @property
    def url(self) -> str:
        """Its address."""
        return f"unix://{self.socket}"

    def fails(self, method: str, pattern: str, fault: Fault, times: int = 1) -> None:
        """Fail calls whose whole path (without version) matches a pattern, so many times."""
        self._rules.append(_Rule(method, re.compile(pattern), fault, times, each=False))

    def fails_each(self, method: str, pattern: str, fault: Fault) -> None:
        """Fail calls once for each path that matches."""
        self._rules.append(_Rule(method, re.compile(pattern), fault, 1_000_000, each=True))

    def well(self) -> None:
        """Stop failing calls."""
        self._rules.clear()

    def cut(self) -> None:
        """Cut all connections that are open now."""
        for writer in self._open:
            self._open[writer] = ""
            writer.transport.abort()

    def is_open(self, path: str) -> bool:
        """Return whether the engine is answering such a call: before it does, aiohttp retries a cut one."""
        return path in self._open.values()

    def count(self, method: str, pattern: str) -> int:
        """Count the calls so far whose path (without version) matches all of a pattern."""
        paths = [request.path.partition("?")[0] for request in self.asked if request.method == method]
        return sum(re.fullmatch(pattern, path) is not None for path in paths)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one call; there is one on each connection."""
        self._open[writer] = ""
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                call = _read(await reader.readuntil(b"\r\n\r\n"))
                self.asked.append(call)
                path = call.path.partition("?")[0]
                answering = functools.partial(self._open.__setitem__, writer, path)
                exchange = Exchange(call, _Side(reader, writer), self._engine, answering)
                rule = next(self._applying(call), None)
                if rule is None:
                    await exchange.forwarded()
                else:
                    self.faults.append(f"{call.method} {call.path}")
                    await rule.fault(exchange)
        finally:
            del self._open[writer]
            writer.close()

    def _applying(self, call: Call) -> Iterator[_Rule]:
        path = call.path.partition("?")[0]
        for rule in self._rules:
            if rule.remaining and rule.method == call.method and rule.pattern.fullmatch(path) and path not in rule.hit:
                rule.remaining -= 1
                if rule.each:
                    rule.hit.add(path)
                yield rule


@contextlib.asynccontextmanager
async def standing(socket: pathlib.Path, engine: pathlib.Path) -> AsyncIterator[Proxy]:
    """Run one in front of an engine's socket."""
    proxy = Proxy(socket, engine)
    async with tasks.Crew(_ignored) as crew:
        numbers = iter(range(1_000_000))

        def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            crew.start(proxy.serve(reader, writer), name=f"call {next(numbers)}")

        server = await asyncio.start_unix_server(taken, socket, limit=_HEAD)
        try:
            yield proxy
        finally:
            server.close()
            proxy.cut()


def says(status: int, message: str = "something went wrong") -> Fault:
    """Answer with an error; the engine never hears of the call."""

    async def fault(exchange: Exchange) -> None:
        await exchange.answered(status, f'{{"message": "{message}"}}')

    return fault


async def cuts(exchange: Exchange) -> None:
    """Cut the connection; the engine never hears of the call."""
    del exchange


async def cuts_the_answer(exchange: Exchange) -> None:
    """Pass the call to the engine, and cut the connection before its answer."""
    await exchange.done_unheard()


async def holds_the_answer(exchange: Exchange) -> None:
    """Pass the call to the engine, and never send the answer."""
    await exchange.done_unheard()
    await asyncio.Event().wait()


async def holds(exchange: Exchange) -> None:
    """Never answer; the engine never hears of the call."""
    del exchange
    await asyncio.Event().wait()


def after(act: Callable[[], None]) -> Fault:
    """Run something first, so that the call comes too late."""

    async def fault(exchange: Exchange) -> None:
        await asyncio.to_thread(act)
        await exchange.forwarded()

    return fault


@dataclasses.dataclass(frozen=True, slots=True)
class _Side:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def pumped_into(self, other: "_Side", begun: Callable[[], None] | None = None) -> None:
        """Hand on all that comes from here."""
        with contextlib.suppress(ConnectionError):
            while chunk := await self.reader.read(_CHUNK):
                other.writer.write(chunk)
                await other.writer.drain()
                if begun is not None:
                    begun, on_first = None, begun
                    on_first()
            if other.writer.can_write_eof():
                other.writer.write_eof()


@contextlib.asynccontextmanager
async def _connected(path: pathlib.Path) -> AsyncIterator[_Side]:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        yield _Side(reader, writer)
    finally:
        writer.transport.abort()


async def _piped(client: _Side, engine: _Side, head: bytes, answering: Callable[[], None]) -> None:
    engine.writer.write(head)
    async with tasks.Crew(_ignored) as crew:
        crew.start(client.pumped_into(engine), name="request")
        await engine.pumped_into(client, answering)


def _read(head: bytes) -> Call:
    """Take a request's head; the connection is for this one call, unless it becomes a stream."""
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    method, target, _ = first.decode().split(" ")
    version = _VERSION.match(target)
    upgrades = any(line.lower().startswith(b"upgrade:") for line in lines)
    kept = lines if upgrades else [line for line in lines if not line.lower().startswith(b"connection:")]
    ends = [] if upgrades else [b"Connection: close"]
    request_head = b"\r\n".join([first, *kept, *ends]) + b"\r\n\r\n"
    return Call(method, _VERSION.sub("", target), version[0] if version else "", request_head)


def _ignored(task: str, failure: BaseException) -> None:
    """A connection that breaks is what it is here for."""
