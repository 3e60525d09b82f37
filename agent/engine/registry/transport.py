"""HTTP as registries are asked by it. What is stricter here than in other clients is so for the sake of credentials.

Redirects are followed by hand: blobs often lie on another host, and no credential may follow them there. Plain HTTP is
spoken with loopback addresses only, and without a proxy. ``.netrc`` and cookies are not for registries: aiohttp would
send them to every host that a redirect names.
"""

import contextlib
import ipaddress
import urllib.request
from collections.abc import Iterator, Mapping

import aiohttp
import yarl

from agent.engine import errors

_REDIRECTS = 5
_CHUNK = 256 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=60)
_REDIRECTING = frozenset({301, 302, 303, 307, 308})


class Transport:
    """Gets documents and blobs. One session, opened when it is first needed."""

    def __init__(self) -> None:
        """Nothing is opened yet."""
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Let go of all connections."""
        if self._session is not None:
            await self._session.close()

    async def get(self, url: yarl.URL, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """Ask, following redirects. The answer, whatever it says, is the caller's to close.

        Raises ``errors.Unavailable`` (``ImagePullFailed``), ``errors.Refused`` (``ImagePullDenied``).
        """
        sent, current = dict(headers), url
        for _ in range(_REDIRECTS + 1):
            answer = await self._ask(current, sent)
            if answer.status not in _REDIRECTING or "Location" not in answer.headers:
                return answer
            answer.release()
            following = _location(answer)
            if following.origin() != current.origin():
                sent.pop("Authorization", None)
            current = following
        raise errors.Unavailable(f"{url.origin()} redirects without end", reason="ImagePullFailed")

    async def _ask(self, url: yarl.URL, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=_TIMEOUT,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept-Encoding": "identity"},
            )
        with _unreachable(url):
            return await self._session.get(url, headers=headers, allow_redirects=False, proxy=_proxy(url))


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


def _location(answer: aiohttp.ClientResponse) -> yarl.URL:
    """Give where a redirect leads to."""
    told = answer.headers["Location"]
    try:
        following = address(str(answer.url.join(yarl.URL(told, encoded=True))))
    except ValueError as error:
        raise errors.Unavailable(
            f"{answer.url.origin()} redirects to what is no HTTP address", reason="ImagePullFailed"
        ) from error
    if following.scheme == "http" and (answer.url.scheme == "https" or not is_loopback(following.host)):
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
        raise errors.Unavailable(
            f"registry {url.authority} cannot be reached: {_why(error)}",
            hint="it is tried again by itself",
            reason="ImagePullFailed",
        ) from error


def _why(error: Exception) -> str:
    """Say what went wrong; most of aiohttp's own texts show the URL, and a signed one is a secret."""
    told = (aiohttp.ClientConnectorError, aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError)
    return f"{type(error).__name__} {error}" if isinstance(error, told) else type(error).__name__
