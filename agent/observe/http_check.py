"""Asking a container by HTTP and judging the answer as kubelet does (``pkg/probe/http`` of Kubernetes).

By hand over streams: aiohttp refuses responses that Go takes (a repeated Content-Length, a body after 204),
and each check is one connection, one request and one answer.
"""

import asyncio
import contextlib
import ssl
import urllib.parse
from collections.abc import Iterable

import agent
from agent.kit import frozen
from agent.model import health
from agent.observe import connections, http_response

_SUCCESS = range(200, 400)
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REQUESTS = 10
_MOST_INTERIM = 5
_MOST_BODY = 10 << 10
_BODY_TIMEOUT = 0.5
"""Seconds in which a body is read so that the server can end its answer: the status came before it."""
_PORTS = {"http": 80, "https": 443}
_DEFAULTS = (("User-Agent", f"trimtab-probe/{agent.__version__}"), ("Accept", "*/*"))
_LATIN = "".join(map(chr, range(0x21, 0x7F)))
"""Characters that a request's target may contain unencoded."""


@frozen.value
class _Target:
    """The destination of one request."""

    scheme: str
    host: str
    port: int
    path: str
    host_header: str

    @property
    def url(self) -> str:
        return f"{self.scheme}://{_authority(self)}{self.path}"


async def check(address: str, probe: health.HttpProbe) -> str:
    """Return why the check failed; empty for a status of 200 to 399. It takes as long as the server does.

    Redirects are followed as long as they stay on the same address, ten requests at most; one elsewhere is success.
    Raises ``OSError`` where the connection is refused or breaks.
    """
    target = _first(address, probe)
    for _ in range(_MOST_REQUESTS):
        try:
            head = await _answered(target, probe.headers)
        except (EOFError, http_response.MalformedResponseError) as error:
            return f"GET {target.url} failed: {_reason(error)}"
        if head.status not in _SUCCESS:
            return f"GET {target.url} was answered {head.status}"
        location = head.header("location")
        if head.status not in _REDIRECTS or not location:
            return ""
        try:
            following = _redirected(target, location)
        except ValueError as error:
            return f"GET {target.url} was redirected to {location!r}: {error}"
        if following.host.lower() != address.lower():
            return ""
        target = following
    return f"GET {target.url} failed: stopped after {_MOST_REQUESTS} redirects"


def url(address: str, probe: health.HttpProbe) -> str:
    """Return the URL, as people write it."""
    return _first(address, probe).url


def _first(address: str, probe: health.HttpProbe) -> _Target:
    host_header = next((value for name, value in probe.headers if name.lower() == "host"), "")
    return _Target(probe.scheme, address, probe.port, _path(probe.path), host_header)


async def _answered(target: _Target, declared: Iterable[tuple[str, str]]) -> http_response.Head:
    """Send a request and return the head of its answer."""
    async with connections.opened(target.host, target.port, _tls(target)) as streams:
        reader, writer = streams
        writer.write(_request(target, declared))
        for _ in range(_MOST_INTERIM + 1):
            head = http_response.parse(await _head_lines(reader))
            if not head.is_interim:
                await _pass_over_body(reader, head)
                return head
    raise http_response.MalformedResponseError("too many 1xx responses")


async def _head_lines(reader: asyncio.StreamReader) -> list[bytes]:
    """Read up to the empty line that ends a head."""
    lines: list[bytes] = []
    remaining = http_response.MOST_HEAD
    while line := (received := await _line(reader, remaining)).removesuffix(b"\n").removesuffix(b"\r"):
        if not lines:  # another protocol may never send an empty line
            http_response.status_line(line)
        lines.append(line)
        remaining -= len(received)
    return lines


async def _line(reader: asyncio.StreamReader, most: int) -> bytes:
    """Read a line with its end, however long it is up to ``most`` bytes."""
    line = bytearray()
    while len(line) <= most:
        try:
            return bytes(line) + await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            line += await reader.readexactly(error.consumed)
    raise http_response.MalformedResponseError("its headers never end")


async def _pass_over_body(reader: asyncio.StreamReader, head: http_response.Head) -> None:
    """Read some of the body: a server that is cut off in the middle of it would log an error."""
    remaining = _MOST_BODY if head.length is None else min(head.length, _MOST_BODY)
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_BODY_TIMEOUT):
            while remaining > 0 and (chunk := await reader.read(remaining)):
                remaining -= len(chunk)


def _request(target: _Target, declared: Iterable[tuple[str, str]]) -> bytes:
    """Return a request's bytes: what is declared wins over our own headers, and an empty value leaves one out."""
    custom = [(name, value) for name, value in declared if name.lower() not in {"host", "connection"}]
    names = {name.lower() for name, _ in custom}
    own = [(name, value) for name, value in _DEFAULTS if name.lower() not in names]
    headers = [("Host", target.host_header or _authority(target)), *own, *custom, ("Connection", "close")]
    optional = {name.lower() for name, _ in _DEFAULTS}
    lines = [f"{name}: {value}" for name, value in headers if value or name.lower() not in optional]
    return "\r\n".join([f"GET {target.path} HTTP/1.1", *lines, "", ""]).encode()


def _redirected(target: _Target, location: str) -> _Target:
    """Return where a redirect leads. Raises ``ValueError`` for what is no HTTP address."""
    parts = urllib.parse.urlsplit(
        urllib.parse.urljoin(f"{target.scheme}://{_authority(target)}{target.path}", location)
    )
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("not an HTTP address")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    is_relative = not urllib.parse.urlsplit(location).scheme
    host_header = target.host_header if is_relative else ""
    return _Target(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme], _path(path), host_header)


def _path(path: str) -> str:
    """Return path and query as they are written; what cannot stand in a request is percent-encoded."""
    return urllib.parse.quote(path.partition("#")[0], safe=_LATIN) or "/"


def _authority(target: _Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return host if target.port == _PORTS[target.scheme] else f"{host}:{target.port}"


def _reason(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "the connection ended before the response did"
    return str(error)


def _tls(target: _Target) -> ssl.SSLContext | None:
    return _UNVERIFIED if target.scheme == "https" else None


def _unverified() -> ssl.SSLContext:
    """Return TLS that takes any certificate, also one whose key or signature is too weak to be trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


_UNVERIFIED = _unverified()
