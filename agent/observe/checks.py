"""The three ways to ask a container how it is. Each answers with nothing, or says what is wrong; none ever raises."""

import asyncio
import contextlib
import ssl

import aiohttp

from agent.model import health
from agent.runtime import api, errors

_SUCCESS = range(200, 400)
_MOST_OUTPUT = 200
"""Characters of a failing command's words that are kept."""


async def command(runtime: api.Runtime, ref: str, probe: health.ExecProbe) -> str:
    """Run a command in the container; 0 is success."""
    request = api.ExecRequest(probe.command)
    said = ""
    try:
        async with runtime.containers.exec(ref, request) as session:
            async for _, chunk in session.output():
                said = (said + chunk.decode(errors="replace"))[-_MOST_OUTPUT:]
            code = await session.wait()
    except errors.RuntimeFailure as error:
        return error.message
    return "" if code == 0 else f"{probe.command[0]} exited with {code}: {said.strip()}".rstrip(": ")


async def request(session: aiohttp.ClientSession, address: str, probe: health.HttpProbe) -> str:
    """Ask by HTTP; 200 to 399 is success. Redirects are an answer, and certificates are not the question."""
    url = f"{probe.scheme}://{address}:{probe.port}{probe.path}"
    try:
        async with session.get(
            url,
            headers=dict(probe.headers),
            allow_redirects=False,
            ssl=_UNVERIFIED if probe.scheme == "https" else True,
        ) as answer:
            return "" if answer.status in _SUCCESS else f"GET {url} was answered {answer.status}"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return f"GET {url} failed: {error}"


async def connection(address: str, probe: health.TcpProbe) -> str:
    """Connect; being accepted is success."""
    try:
        _, writer = await asyncio.open_connection(address, probe.port)
    except OSError as error:
        return f"connecting to {address}:{probe.port} failed: {error.strerror or error}"
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return ""


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


_UNVERIFIED = _unverified()
