"""A server that answers with the very bytes that a test says."""

import asyncio
import contextlib
import dataclasses
import ssl
from collections.abc import AsyncIterator, Callable

import pytest

from agent.model import health


@dataclasses.dataclass(slots=True)
class RawServer:
    """Answers each connection with the next of its answers; the last one is repeated."""

    answers: list[bytes]
    port: int = 0
    requests: list[bytes] = dataclasses.field(default_factory=list)
    endings: list[str] = dataclasses.field(default_factory=list)
    """How the clients' connections ended: ``end`` or the error's name."""
    hold: float = 0.0
    """Seconds between the answer and the end of the connection."""

    def probe(self, path: str = "/", **fields: object) -> health.HttpProbe:
        """Return a probe of this server."""
        return health.HttpProbe(**{"port": self.port, "path": path, "scheme": "http", "headers": (), **fields})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client."""
        with contextlib.closing(writer):
            try:
                self.requests.append(await reader.read(65536))
                writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
                await writer.drain()
                if self.hold:
                    async with asyncio.timeout(self.hold):
                        await reader.read()
                    self.endings.append("end")
            except TimeoutError:
                self.endings.append("held")
            except (OSError, EOFError) as error:
                self.endings.append(type(error).__name__)


Serve = Callable[..., contextlib.AbstractAsyncContextManager[RawServer]]


@pytest.fixture
def serving() -> Serve:
    """Return what begins a server of some answers on the loopback."""

    @contextlib.asynccontextmanager
    async def serving(*answers: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
        server = RawServer(list(answers))
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
        server.port = listening.sockets[0].getsockname()[1]
        try:
            yield server
        finally:
            listening.close()

    return serving
