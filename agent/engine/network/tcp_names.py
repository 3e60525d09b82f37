"""DNS over TCP at the gateways, where the installed aardvark-dns has none (before 1.12, Debian 12's among them).

An answer that does not fit a datagram comes truncated, and whoever asked asks again over TCP. So a question over TCP is
put to aardvark-dns over UDP, which knows the network's own names; a truncated answer is one of the world's, and the
host's resolvers are asked over TCP. Bytes are passed on as they are, but for two bits that are looked at.

It lives in the agent and not beside it, as aardvark-dns does: while no agent runs, large answers fail as without it.
"""

import asyncio
import contextlib
import pathlib
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Self

_PORT = 53
_RESOLV_CONF = pathlib.Path("/etc/resolv.conf")
_LENGTH = struct.Struct("!H")
_HEADER = 12
"""Bytes of a message's header; nothing shorter is a message."""
_TRUNCATED, _FLAGS = 0x02, 2
_SERVER_FAILED = 2
_IDLE = 10.0
"""Seconds that a connection may be idle."""
_ANSWER = 3.0
"""Seconds that a resolver has to answer."""
_RESOLVERS = 3
"""The host's resolvers that are asked at most, as by the C library."""
_CONNECTIONS = 64
"""Open connections at a gateway; more are closed at once."""


def host_resolvers() -> list[str]:
    """Return the host's resolvers as they are now."""
    with contextlib.suppress(OSError):
        lines = map(str.split, _RESOLV_CONF.read_text(errors="replace").splitlines())
        return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
    return []


class TcpNames:
    """Listens on gateways. Used as an asynchronous context manager."""

    def __init__(self, resolvers: Callable[[], Sequence[str]] = host_resolvers) -> None:
        """Listen nowhere yet. ``resolvers`` is asked at each question that leads there."""
        self._resolvers = resolvers
        self._servers: dict[str, asyncio.Server] = {}
        self._open: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.listen({})

    async def listen(self, gateways: Mapping[str, bool]) -> None:
        """Listen on these addresses and no others; the value tells whether questions may leave the host."""
        for address in self._servers.keys() - gateways.keys():
            self._servers.pop(address).close()
        for address, is_forwarding in gateways.items():
            if address not in self._servers:
                with contextlib.suppress(
                    OSError
                ):  # whoever has it answers there; over UDP names are served all the same
                    self._servers[address] = await self._listen(address, is_forwarding=is_forwarding)

    async def _listen(self, address: str, *, is_forwarding: bool) -> asyncio.Server:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._open[address] = self._open.get(address, 0) + 1
            try:
                if self._open[address] <= _CONNECTIONS:
                    with contextlib.suppress(OSError, EOFError):  # a TimeoutError is an OSError
                        await self._converse(reader, writer, address, is_forwarding=is_forwarding)
            finally:
                self._open[address] -= 1
                writer.close()

        return await asyncio.start_server(serve, address, _PORT)

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str, *, is_forwarding: bool
    ) -> None:
        while True:
            async with asyncio.timeout(_IDLE):
                question = await _read(reader)
            if len(question) < _HEADER:
                return
            answer = await self._answer(question, address, is_forwarding=is_forwarding)
            writer.write(_LENGTH.pack(len(answer)) + answer)
            async with asyncio.timeout(_IDLE):
                await writer.drain()

    async def _answer(self, question: bytes, address: str, *, is_forwarding: bool) -> bytes:
        """Return the network's own answer, or the world's where that one was too large for a datagram."""
        answer = await _ask_by_datagram(question, address)
        is_whole = answer is not None and not answer[_FLAGS] & _TRUNCATED
        if answer is not None and (is_whole or not is_forwarding):
            return answer
        for resolver in list(self._resolvers())[:_RESOLVERS] if is_forwarding else ():
            with contextlib.suppress(OSError, EOFError):
                async with asyncio.timeout(_ANSWER):
                    return await _ask_by_stream(question, resolver)
        return answer or _failure(question)


async def _read(stream: asyncio.StreamReader) -> bytes:
    (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
    return await stream.readexactly(length)


async def _ask_by_datagram(question: bytes, address: str) -> bytes | None:
    loop = asyncio.get_running_loop()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as client,
        contextlib.suppress(OSError),
    ):
        async with asyncio.timeout(_ANSWER):
            await loop.sock_connect(client, (address, _PORT))
            await loop.sock_sendall(client, question)
            while True:
                answer = await loop.sock_recv(client, 1 << 16)
                if len(answer) >= _HEADER and answer[:2] == question[:2]:
                    return answer
    return None


async def _ask_by_stream(question: bytes, resolver: str) -> bytes:
    reader, writer = await asyncio.open_connection(resolver, _PORT)
    try:
        writer.write(_LENGTH.pack(len(question)) + question)
        answer = await _read(reader)
    finally:
        writer.close()
    if len(answer) < _HEADER or answer[:2] != question[:2]:
        raise ConnectionError(f"{resolver} has answered something else")
    return answer


def _failure(question: bytes) -> bytes:
    """Return the question as an answer that the server has failed."""
    return question[:2] + bytes([question[2] | 0x80, question[3] & 0xF0 | _SERVER_FAILED]) + question[4:]
