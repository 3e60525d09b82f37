"""HTTP as registries are asked by it. What is stricter here than in other clients is so for the sake of credentials.

Redirects are followed by hand: blobs often lie on another host, and no credential may follow them there. Plain HTTP is
spoken with loopback addresses only, and with those of which it is said. ``.netrc`` and cookies are not for registries:
aiohttp would send them to every host that a redirect names.
"""

import asyncio
import contextlib
import dataclasses
import ipaddress
import pathlib
import ssl
import urllib.request
from collections.abc import Callable, Iterator, Mapping

import aiohttp
import yarl

from agent.engine import errors

_REDIRECTS = 5
_CHUNK = 256 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=60)
_REDIRECTING = frozenset({301, 302, 303, 307, 308})
_READING = frozenset({"GET", "HEAD"})
_DISCREET = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientPayloadError,
    aiohttp.ServerDisconnectedError,
)
"""What may be quoted, also as a cause; most of aiohttp's texts show the URL, and a signed one is a secret."""

_WANTS_CERTIFICATE = "CERTIFICATE"
"""In the reason of TLS alerts about ours: ``CERTIFICATE_REQUIRED``, ``BAD_CERTIFICATE``. They come late, as answers."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tls:
    """Files (PEM) beside what the host trusts anyway."""

    ca: pathlib.Path | None = None
    """Certificates that are trusted beside the host's, also of whom the registry redirects to."""
    certificate: pathlib.Path | None = None
    """Who we are, with ``key``."""
    key: pathlib.Path | None = None


TRUSTED = Tls()
"""What the host trusts, and nobody in particular."""


class Passing(errors.Unavailable):
    """A failure that may be over a moment later."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """``retry_after``: seconds that the other side wants to be left alone."""
        super().__init__(message, hint="it is tried again by itself", reason="ImagePullFailed")
        self.retry_after = retry_after


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What is asked. Its text shows nothing that may be a secret: signed addresses, logins."""

    method: str
    url: yarl.URL = dataclasses.field(repr=False)
    tls: Tls = TRUSTED
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    data: Callable[[], object] | None = dataclasses.field(default=None, repr=False)
    """Makes the body, each time anew: bytes, or an asynchronous iterable of them."""

    def showing(self, headers: Mapping[str, str]) -> "Request":
        """Give the same with more headers."""
        return dataclasses.replace(self, headers={**self.headers, **headers})


class Transport:
    """Asks for documents and blobs. One session, opened when it is first needed."""

    def __init__(self) -> None:
        """Nothing is opened yet."""
        self._session: aiohttp.ClientSession | None = None
        self._contexts: dict[Tls, ssl.SSLContext] = {}

    async def close(self) -> None:
        """Let go of all connections."""
        if self._session is not None:
            await self._session.close()

    async def ask(self, request: Request) -> aiohttp.ClientResponse:
        """Ask, following redirects of what only reads. The answer, whatever it says, is the caller's to close.

        Raises ``Passing``, ``errors.Unavailable`` (``ImagePullFailed``), ``errors.Refused`` (``ImagePullDenied``).
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
        raise errors.Unavailable(f"{request.url.origin()} redirects without end", reason="ImagePullFailed")

    async def _ask(self, request: Request) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=_TIMEOUT,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept-Encoding": "identity"},
                read_bufsize=_CHUNK,
            )
        with _unreachable(request.url):
            return await self._session.request(
                request.method,
                request.url,
                headers=request.headers,
                data=None if request.data is None else request.data(),
                allow_redirects=False,
                proxy=_proxy(request.url),
                ssl=await self._context(request.tls),
            )

    async def _context(self, tls: Tls) -> ssl.SSLContext | bool:
        if tls == TRUSTED:
            return True
        if tls not in self._contexts:
            try:
                self._contexts[tls] = await asyncio.to_thread(_loaded, tls)
            except (OSError, ssl.SSLError) as error:
                raise errors.Refused(
                    f"the files for TLS cannot be used: {error}", hint="see the registry's settings", reason="BadTls"
                ) from error
        return self._contexts[tls]


def _loaded(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if tls.ca is not None:
        context.load_verify_locations(tls.ca)
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    return context


async def chunk(answer: aiohttp.ClientResponse) -> bytes:
    """Give the next bytes of a body, none at its end. Raises ``errors.Unavailable`` where it is cut off."""
    with _unreachable(answer.url):
        return await answer.content.read(_CHUNK)


async def read(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """Give a body that has to be small. Raises ``errors.Refused`` for one that is not, ``errors.Unavailable``."""
    data = bytearray()
    while part := await chunk(answer):
        data += part
        if len(data) > most:
            raise errors.Refused(
                f"{answer.url.origin()} answers with more than {most} bytes where a small document is due",
                reason="ImageRefused",
            )
    return bytes(data)


async def skip(answer: aiohttp.ClientResponse, count: int) -> None:
    """Pass over the first bytes of a body; what is read too much of it is there for the next ``chunk``."""
    while count:
        with _unreachable(answer.url):
            part = await answer.content.read(min(count, _CHUNK))
        if not part:
            raise Passing(f"{answer.url.authority} gave less than before")
        count -= len(part)


def is_loopback(host: str | None) -> bool:
    """Tell whether a host is this one, so that nothing that is sent to it can be overheard."""
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"


def address(text: str) -> yarl.URL:
    """Read an absolute HTTP URL that somebody else wrote; a name and password in it are dropped.

    Raises ``ValueError``. What is encoded stays as it is: the signature of a signed URL may depend on its spelling.
    """
    url = yarl.URL(text, encoded=text.isascii() and text.isprintable() and " " not in text)
    if url.scheme not in {"http", "https"} or not url.host or url.port is None:
        raise ValueError("not an absolute HTTP URL")
    return url.with_user(None)


def location(answer: aiohttp.ClientResponse) -> yarl.URL:
    """Give where a redirect leads to."""
    told = answer.headers["Location"]
    try:
        following = address(str(answer.url.join(yarl.URL(told, encoded=True))))
    except ValueError as error:
        raise errors.Unavailable(
            f"{answer.url.origin()} redirects to what is no HTTP address", reason="ImagePullFailed"
        ) from error
    same = following.origin() == answer.url.origin()
    if following.scheme == "http" and not same and (answer.url.scheme == "https" or not is_loopback(following.host)):
        raise errors.Refused(f"{answer.url.origin()} redirects to plain HTTP", reason="ImagePullDenied")
    return following


def _proxy(url: yarl.URL) -> str | None:
    """Give the proxy that the environment names; a loopback address has none, as Go's programs have it."""
    if is_loopback(url.host) or urllib.request.proxy_bypass(url.authority):
        return None
    return urllib.request.getproxies().get(url.scheme)


@contextlib.contextmanager
def _unreachable(url: yarl.URL) -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a host that is no name, in many spellings
        why, cause = type(error).__name__, None
        if isinstance(error, _DISCREET):
            why, cause = f"{why} {error}", error
        elif isinstance(error.__cause__, ssl.SSLError) and _WANTS_CERTIFICATE in str(error.__cause__.reason):
            why = "it wants a client certificate (or another one), which its entry in registries.hosts tells"
        raise Passing(f"registry {url.authority} cannot be reached: {why}") from cause
