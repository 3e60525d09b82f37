"""DNS over TCP: the network's own answer, and the host's resolvers' where that one is truncated."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent.engine.network import tcp_names

pytestmark = pytest.mark.root
GATEWAY, RESOLVER, SILENT = (f"127.{77 + n}.{os.getpid() >> 8 & 255}.{os.getpid() & 255}" for n in (3, 4, 5))
QUESTION = struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + b"\x03web\0\0\1\0\1"
LARGE = QUESTION[:2] + b"\x81\x80" + QUESTION[4:] + b"." * 4000
OWN = QUESTION[:2] + b"\x81\x80" + QUESTION[4:] + b"own"
TRUNCATED = QUESTION[:2] + b"\x83\x80" + QUESTION[4:]


class Datagrams(asyncio.DatagramProtocol):
    """A server that answers everybody the same; an empty answer is none."""

    def __init__(self) -> None:
        """Answer nothing yet."""
        self.answer = b""
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer."""
        if self.answer:
            self.transport.sendto(data[:2] + self.answer[2:], addr)


@pytest.fixture
async def own() -> AsyncIterator[Datagrams]:
    """The network's own server, over UDP."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(Datagrams, (GATEWAY, 53))
    yield protocol
    transport.close()


@pytest.fixture
async def asked() -> AsyncIterator[list[bytes]]:
    """The questions that the host's resolver gets over TCP; it gives a large answer."""
    questions: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(2), "big")
        questions.append(await reader.readexactly(length))
        writer.write(len(LARGE).to_bytes(2, "big") + LARGE)
        writer.close()

    server = await asyncio.start_server(serve, RESOLVER, 53)
    yield questions
    server.close()


@pytest.fixture
async def names(own: Datagrams, asked: list[bytes]) -> AsyncIterator[tcp_names.TcpNames]:
    """The names under test: their first resolver does not answer."""
    assert (own.answer, asked) == (b"", [])
    async with tcp_names.TcpNames(lambda: [SILENT, RESOLVER]) as server:
        yield server


async def ask(*questions: bytes) -> list[bytes]:
    """Ask over one connection."""
    reader, writer = await asyncio.open_connection(GATEWAY, 53)
    answers = []
    for question in questions:
        writer.write(len(question).to_bytes(2, "big") + question)
        answers.append(await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big")))
    writer.close()
    return answers


async def test_question__about_an_own_name__is_answered_and_leaves_not(names, own, asked) -> None:
    own.answer = OWN
    await names.listen({GATEWAY: True})
    assert await ask(QUESTION, QUESTION) == [OWN, OWN]
    assert asked == []


async def test_question__whose_answer_is_too_large_for_a_datagram__is_put_to_the_hosts_resolvers(
    names, own, asked
) -> None:
    own.answer = TRUNCATED
    await names.listen({GATEWAY: True})
    assert await ask(QUESTION) == [LARGE]
    assert asked == [QUESTION]


async def test_question__in_an_internal_network__never_leaves(names, own, asked) -> None:
    own.answer = TRUNCATED
    await names.listen({GATEWAY: False})
    assert await ask(QUESTION) == [TRUNCATED]
    assert asked == []


async def test_question__nobody_answers__the_server_has_failed(names, own, asked, monkeypatch) -> None:
    monkeypatch.setattr(tcp_names, "_ANSWER", 0.1)
    own.answer = b""
    await names.listen({GATEWAY: False})
    (answer,) = await ask(QUESTION)
    assert answer[:2] == QUESTION[:2]
    assert answer[3] & 0x0F == 2
    assert asked == []


@pytest.mark.parametrize("rubbish", [b"\0\0", b"\0\3abc", b"\xff\xff", b""])
async def test_connection__with_rubbish__is_closed_and_others_are_served(names, own, rubbish: bytes) -> None:
    own.answer = OWN
    await names.listen({GATEWAY: True})
    reader, writer = await asyncio.open_connection(GATEWAY, 53)
    writer.write(rubbish)
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    assert await ask(QUESTION) == [OWN]


async def test_connections__of_one_who_opens_very_many__are_closed_beyond_a_number(names, own, monkeypatch) -> None:
    monkeypatch.setattr(tcp_names, "_CONNECTIONS", 2)
    own.answer = OWN
    await names.listen({GATEWAY: True})
    held = [await asyncio.open_connection(GATEWAY, 53) for _ in range(2)]
    reader, writer = await asyncio.open_connection(GATEWAY, 53)
    assert await reader.read() == b""
    for _, open_writer in (*held, (reader, writer)):
        open_writer.close()


async def test_listen__where_somebody_else_does__is_left_to_him(names) -> None:
    with socket.create_server((GATEWAY, 53)):
        await names.listen({GATEWAY: True})
    await names.listen({GATEWAY: True})
    await names.listen({})
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(GATEWAY, 53)
