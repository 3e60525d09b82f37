"""HTTP for registries. It is stricter than other clients, to protect credentials.

Redirects are followed by hand: blobs often lie on another host, and no credential may follow them there. Plain HTTP is
used with loopback addresses and registries set to ``plain_http`` only. ``.netrc`` and cookies are off: aiohttp would
send them to every host that a redirect names.
"""

import asyncio
import contextlib
import dataclasses
import pathlib
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping

import aiohttp
import yarl

from agent import errors
from agent.kit import frozen
from agent.oci import reference
from agent.reasons import Reason

_REDIRECTS = 5
_CHUNK = 256 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=60)
_HEAD_TIMEOUT = 120.0
"""Seconds in which an answer's head has to arrive, for requests without a body."""
_CONNECTIONS = 32
"""Connections to one host; there is no limit for all hosts, so that a silent one blocks no other."""
_REDIRECTING = frozenset({301, 302, 303, 307, 308})
_READING = frozenset({"GET", "HEAD"})
_SHOWABLE = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientPayloadError,
    aiohttp.ServerDisconnectedError,
)
"""Errors whose text may be shown; most of aiohttp's have the URL, and a signed URL is a secret."""

_WANTS_CERTIFICATE = "CERTIFICATE"
"""In the reason of TLS alerts about ours: ``CERTIFICATE_REQUIRED``, ``BAD_CERTIFICATE``. They come late, as answers."""


@frozen.value
class Tls:
    """PEM files of TLS, in addition to the host's trusted CAs."""

    ca: pathlib.Path | None = None
    """Trusted CAs in addition to the host's, also for servers that the registry redirects to."""
    certificate: pathlib.Path | None = None
    """The client certificate, with ``key``."""
    key: pathlib.Path | None = None


TRUSTED = Tls()
"""The host's trusted CAs, without a client certificate."""


class TransientError(errors.Unavailable):
    """A failure that a later attempt may not have."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """``retry_after``: seconds from the server's ``Retry-After``."""
        super().__init__(message, reason=Reason.IMAGE_PULL_FAILED)
        self.retry_after = retry_after


class TooSlow(TransientError):
    """A body that arrives more slowly than the minimum; what has arrived is no progress."""


@frozen.value
class LeastSpeed:
    """The minimum speed of a body (as curl's ``--speed-limit`` and ``--speed-time``)."""

    limit: int = 256
    """Bytes a second. A layer of three at a time on a bad mobile link has more."""
    time: float = 60.0
    """Seconds over which it is measured, counting only those spent waiting for bytes."""


class Pace:
    """Measures how fast an answer's body arrives."""

    def __init__(self, least: LeastSpeed) -> None:
        """Start before the first byte."""
        self._least = least
        self._waited = 0.0
        self._came = 0

    def note(self, url: yarl.URL, seconds: float, size: int) -> None:
        """Count bytes that were waited for. Raises ``TooSlow``."""
        self._waited += seconds
        self._came += size
        if self._waited < self._least.time:
            return
        speed = self._came / self._waited
        if speed < self._least.limit:
            raise TooSlow(f"registry {url.authority} gives {speed:.0f} bytes a second, less than {self._least.limit}")
        self._waited, self._came = 0.0, 0


@frozen.value
class Request:
    """An HTTP request. Its text hides what may be a secret: signed addresses, logins."""

    method: str
    url: yarl.URL = dataclasses.field(repr=False)
    tls: Tls = TRUSTED
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    data: Callable[[], object] | None = dataclasses.field(default=None, repr=False)
    """Returns a new body for each attempt: bytes, or an asynchronous iterable of them."""

    def with_headers(self, headers: Mapping[str, str]) -> "Request":
        """Return the same request with more headers."""
        return dataclasses.replace(self, headers={**self.headers, **headers})


class Transport:
    """HTTP transport of the registry client: one session, opened when it is first needed."""

    def __init__(self) -> None:
        """Store the arguments; nothing is opened yet."""
        self._session: aiohttp.ClientSession | None = None
        self._contexts: dict[Tls, tuple[_Stamps, ssl.SSLContext | None]] = {}

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def ask(self, request: Request) -> aiohttp.ClientResponse:
        """Send a request, following redirects of those that only read. The caller closes the answer.

        Raises ``TransientError``, ``errors.Unavailable`` (``ImagePullFailed``), ``errors.InvalidArgument``
        (``ImagePullDenied``).
        """
        current = request
        for _ in range(_REDIRECTS + 1):
            answer = await self._ask(current)
            redirected = answer.status in _REDIRECTING and "Location" in answer.headers
            if not redirected or request.method not in _READING:
                return answer
            answer.release()
            following = location(answer)
            if following.origin() != current.url.origin():
                headers = {name: text for name, text in current.headers.items() if name != "Authorization"}
                tls = Tls(current.tls.ca)
                current = Request(current.method, following, tls, headers)
            else:
                current = dataclasses.replace(current, url=following)
        raise errors.Unavailable(f"{request.url.origin()} redirects without end", reason=Reason.IMAGE_PULL_FAILED)

    async def _ask(self, request: Request) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, limit_per_host=_CONNECTIONS),
                timeout=_TIMEOUT,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept-Encoding": "identity"},
                read_bufsize=_CHUNK,
            )
        context = await self._context(request.tls)
        with _unreachable(request.url):
            async with asyncio.timeout(_HEAD_TIMEOUT if request.data is None else None):
                return await self._session.request(
                    request.method,
                    request.url,
                    headers=request.headers,
                    data=None if request.data is None else request.data(),
                    allow_redirects=False,
                    proxy=_proxy(request.url),
                    ssl=context,
                )

    async def _context(self, tls: Tls) -> ssl.SSLContext | bool:
        """Return what is trusted, and who we are: read anew when a file of it is another one, as after a renewal."""
        if tls == TRUSTED:
            return True
        try:
            stamps = await asyncio.to_thread(_stamps, tls)
            cached, context = self._contexts.get(tls, ((), None))
            if context is None or cached != stamps:
                context = await asyncio.to_thread(_loaded, tls)
                self._contexts[tls] = (stamps, context)
        except (OSError, ssl.SSLError) as error:
            raise errors.InvalidArgument(
                f"the files for TLS cannot be used: {error}", hint="see the registry's settings", reason=Reason.BAD_TLS
            ) from error
        return context


_Stamps = tuple[tuple[int, int, int] | None, ...]
"""Inode, size and modification time of each file."""


def _stamps(tls: Tls) -> _Stamps:
    statuses = [path.stat() if path else None for path in (tls.ca, tls.certificate, tls.key)]
    return tuple((file.st_ino, file.st_size, file.st_mtime_ns) if file else None for file in statuses)


def _loaded(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if tls.ca is not None:
        context.load_verify_locations(tls.ca)
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    return context


async def chunk(answer: aiohttp.ClientResponse, pace: Pace) -> bytes:
    """Return the next bytes of a body, none at its end. Raises ``TransientError`` where it is cut off, ``TooSlow``."""
    begun = time.monotonic()
    with _unreachable(answer.url):
        data = await answer.content.read(_CHUNK)
    if data:
        pace.note(answer.url, time.monotonic() - begun, len(data))
    return data


async def read(answer: aiohttp.ClientResponse, most: int, least: LeastSpeed) -> bytes:
    """Return a body that has to be small. Raises ``InvalidArgument`` for one that is not, ``errors.Unavailable``."""
    data = bytearray()
    pace = Pace(least)
    while part := await chunk(answer, pace):
        data += part
        if len(data) > most:
            raise errors.InvalidArgument(
                f"{answer.url.origin()} answers with more than {most} bytes where a small document is due",
                reason=Reason.IMAGE_REFUSED,
            )
    return bytes(data)


async def skip(answer: aiohttp.ClientResponse, count: int, least: LeastSpeed) -> None:
    """Skip the first bytes of a body; bytes read beyond them are returned by the next ``chunk``."""
    pace = Pace(least)
    while count:
        begun = time.monotonic()
        with _unreachable(answer.url):
            part = await answer.content.read(min(count, _CHUNK))
        pace.note(answer.url, time.monotonic() - begun, len(part))
        if not part:
            raise TransientError(f"{answer.url.authority} gave less than before")
        count -= len(part)


def is_loopback(host: str | None) -> bool:
    """Return whether a host is this one, so that nobody can listen in on the connection."""
    return reference.is_loopback(host or "")


def address(text: str) -> yarl.URL:
    """Read an absolute HTTP URL that somebody else wrote; a name and password in it are dropped.

    Raises ``ValueError``. What is encoded stays as it is: the signature of a signed URL may depend on its spelling.
    """
    url = yarl.URL(text, encoded=text.isascii() and text.isprintable() and " " not in text)
    if url.scheme not in {"http", "https"} or not url.host or url.port is None:
        raise ValueError("not an absolute HTTP URL")
    return url.with_user(None)


def location(answer: aiohttp.ClientResponse) -> yarl.URL:
    """Return where a redirect leads to."""
    target = answer.headers["Location"]
    try:
        following = address(str(answer.url.join(yarl.URL(target, encoded=True))))
    except ValueError as error:
        raise errors.Unavailable(
            f"{answer.url.origin()} redirects to what is no HTTP address", reason=Reason.IMAGE_PULL_FAILED
        ) from error
    same = following.origin() == answer.url.origin()
    if following.scheme == "http" and not same and (answer.url.scheme == "https" or not is_loopback(following.host)):
        raise errors.InvalidArgument(f"{answer.url.origin()} redirects to plain HTTP", reason=Reason.IMAGE_PULL_DENIED)
    return following


def _proxy(url: yarl.URL) -> str | None:
    """Return the proxy that the environment names; a loopback address has none, as Go's programs have it."""
    if is_loopback(url.host) or urllib.request.proxy_bypass(url.authority):
        return None
    return urllib.request.getproxies().get(url.scheme)


@contextlib.contextmanager
def _unreachable(url: yarl.URL) -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a host that is no name, in many spellings
        why, cause = type(error).__name__, None
        if isinstance(error, _SHOWABLE):
            why, cause = f"{why} {error}", error
        elif isinstance(error.__cause__, ssl.SSLError) and _WANTS_CERTIFICATE in str(error.__cause__.reason):
            why = "it wants a client certificate (or another one), which its entry in registries.hosts tells"
        raise TransientError(f"registry {url.authority} cannot be reached: {why}") from cause
