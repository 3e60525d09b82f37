"""The host's resolvers change: names that containers look up are asked of the new server, without a restart."""

import asyncio
import contextlib
import pathlib
import shlex
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent.engine.network import aardvark, watch
from tests import networking

pytestmark = pytest.mark.root
_OLD, _NEW = "127.0.91.1", "127.0.91.2"
"""Addresses of the host itself, at which nobody else serves."""
_SOON = 15.0
_QUESTION = b"\x12\x34\1\0\0\1" + bytes(6) + b"\7outside\7example\0\0\1\0\1"


class _Server(asyncio.DatagramProtocol):
    """A DNS server that answers every question with one address."""

    def __init__(self, address: str) -> None:
        self._address = socket.inet_aton(address)
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer."""
        question = data[12 : data.index(b"\0", 12) + 5]
        answer = b"\xc0\x0c\0\1\0\1" + bytes(4) + b"\0\4" + self._address
        self._transport.sendto(data[:2] + b"\x81\x80\0\1\0\1" + bytes(4) + question + answer, addr)


@contextlib.asynccontextmanager
async def serving(where: str, answer: str) -> AsyncIterator[None]:
    """Serve DNS."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Server(answer), local_addr=(where, 53)
    )
    try:
        yield
    finally:
        transport.close()


@pytest.fixture
def resolvers(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A file in place of the host's resolv.conf, for us and for the DNS server of the networks."""
    path, program = tmp_path / "resolv.conf", tmp_path / "aardvark-dns"
    path.write_text(f"nameserver {_OLD}\n")
    mounting = f'mount --bind {shlex.quote(str(path))} /etc/resolv.conf && exec {aardvark.find()} "$@"'
    program.write_text(f'#!/bin/sh\nexec unshare -m --propagation private sh -c {shlex.quote(mounting)} sh "$@"\n')
    program.chmod(0o700)
    monkeypatch.setattr(watch, "_RESOLVERS", path)
    monkeypatch.setattr(aardvark, "find", lambda: program)
    return path


async def asked(bench: networking.Bench) -> bytes:
    """Return what a container is told about a name of the outside; empty where nothing is."""
    gateway = str((await bench.observed("shop")).config.subnets[0].gateway)
    loop = asyncio.get_running_loop()
    with networking.made_in(bench.namespace("web"), networking.UDP) as client:
        await loop.sock_connect(client, (gateway, 53))
        await loop.sock_sendall(client, _QUESTION)
        try:
            async with asyncio.timeout(1):
                return await loop.sock_recv(client, 1000)
        except (TimeoutError, ConnectionRefusedError):  # its server may be about to begin
            return b""


async def until_told(bench: networking.Bench, address: str) -> None:
    """Wait until a container is told this address."""
    async with asyncio.timeout(_SOON):
        while socket.inet_aton(address) not in await asked(bench):  # noqa: ASYNC110 - observed from outside on purpose
            await asyncio.sleep(0.1)


async def test_resolvers__changed_on_the_host__the_new_server_is_asked(
    resolvers: pathlib.Path, busybox_archive: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    async with (
        serving(_OLD, "192.0.2.1"),
        serving(_NEW, "192.0.2.2"),
        networking.opened(busybox_archive, tmp_path) as bench,
    ):
        await bench.add_network("shop")
        await bench.start("web", "shop")
        await until_told(bench, "192.0.2.1")
        resolvers.write_text(f"nameserver {_NEW}\n")
        await until_told(bench, "192.0.2.2")
        assert socket.inet_aton("192.0.2.2") in await asked(bench)
