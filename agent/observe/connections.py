"""Connections for checks: opened for one question, and gone at once when it is answered."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def opened(
    address: str, port: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection for the time of a check; raises ``OSError`` where it is refused.

    It ends in an orderly way for the other side and leaves nothing on ours (tcp(7), ``TCP_LINGER2``): a check a second
    would otherwise keep sixty ports a container in TIME_WAIT.
    """
    reader, writer = await asyncio.open_connection(address, port, ssl=tls)
    try:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, -1)
        yield reader, writer
    finally:
        writer.transport.abort()  # closing waits for a server that reads nothing, or never answers the end of TLS
