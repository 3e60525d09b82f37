"""A registry's client: manifests by tag or digest, blobs by digest, and nothing believed that is not verified.

Redirects are followed by hand: blobs often live on another host, and no credential may follow them there. Plain HTTP is
spoken with loopback addresses only.
"""

import asyncio
import contextlib
import dataclasses
import http
import ipaddress
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from typing import Self

import aiohttp

from agent.engine import errors
from agent.engine.content import store
from agent.engine.registry import credentials
from agent.kit import tasks
from agent.oci import descriptor, digest, mediatypes, reference

_PARALLEL = 3
"""Blobs at a time, as Docker: more gain little on one connection's bandwidth and cost memory."""
_REDIRECTS = 5
_CHUNK = 256 * 1024
_LARGEST_MANIFEST = 4 * 1024 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=60)
_HUB = "registry-1.docker.io"


@dataclasses.dataclass(frozen=True, slots=True)
class Fetched:
    """A manifest or index as the registry gave it, verified where a digest was asked for."""

    data: bytes
    media_type: str


class RegistryClient:
    """Talks to registries. One session, opened when it is first needed."""

    def __init__(self) -> None:
        """Nothing is opened yet."""
        self._session: aiohttp.ClientSession | None = None
        self._tokens: dict[tuple[str, str], str] = {}
        self._slots = asyncio.Semaphore(_PARALLEL)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def manifest(self, source: reference.Reference) -> Fetched:
        """Get a manifest. Raises ``errors.NotFound``, ``errors.Refused``, ``errors.Unavailable``."""
        wanted = source.digest or source.tag or "latest"
        path = f"/v2/{source.repository}/manifests/{wanted}"
        async with self._get(source, path, {"Accept": ", ".join(mediatypes.ACCEPTED)}) as answer:
            data = await _read(answer, _LARGEST_MANIFEST)
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        if source.digest and digest.of(data) != source.digest:
            raise errors.Refused(
                f"{source} was answered with {digest.of(data)}",
                hint="the registry is wrong or tampered with",
                reason="DigestMismatch",
            )
        return Fetched(data, kind)

    async def fetch(
        self, source: reference.Reference, blobs: tuple[descriptor.Descriptor, ...], into: store.ContentStore
    ) -> None:
        """Get blobs into the content store, several at once. Raises the first failure; the others are given up."""
        await tasks.together("fetch", *(self._blob(source, blob, into) for blob in blobs))

    async def _blob(self, source: reference.Reference, blob: descriptor.Descriptor, into: store.ContentStore) -> None:
        path = f"/v2/{source.repository}/blobs/{blob.digest}"
        async with self._slots, self._get(source, path, {}) as answer:
            with into.ingest(blob) as target, _unreachable(source.registry):
                async for chunk in answer.content.iter_chunked(_CHUNK):
                    target.write(chunk)

    @contextlib.asynccontextmanager
    async def _get(
        self, source: reference.Reference, path: str, headers: dict[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask, answering one challenge and following redirects; gives a successful answer."""
        url = f"{base_url(source.registry)}{path}"
        with _unreachable(source.registry):
            answer = await self._ask(url, {**headers, **self._authorization(source)})
            if answer.status == http.HTTPStatus.UNAUTHORIZED:
                wanted = credentials.challenge(answer.headers.get("WWW-Authenticate", ""))
                answer.release()
                await self._answer(source, wanted)
                answer = await self._ask(url, {**headers, **self._authorization(source)})
        try:
            _check(source, answer)
            yield answer
        finally:
            answer.close()

    async def _ask(self, url: str, headers: dict[str, str]) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=True, auto_decompress=False)
        origin = _origin(url)
        for _ in range(_REDIRECTS):
            answer = await self._session.get(url, headers=headers, allow_redirects=False)
            if answer.status not in {301, 302, 303, 307, 308}:
                return answer
            url = urllib.parse.urljoin(url, answer.headers.get("Location", ""))
            answer.release()
            if _origin(url) != origin:
                headers = {name: value for name, value in headers.items() if name != "Authorization"}
            if url.startswith("http://") and origin.startswith("https://"):
                raise errors.Refused(f"{origin} redirects to plain HTTP", reason="ImagePullDenied")
        raise errors.Unavailable(f"{origin} redirects without end", reason="ImagePullFailed")

    def _authorization(self, source: reference.Reference) -> dict[str, str]:
        token = self._tokens.get((source.registry, source.repository))
        return {"Authorization": token} if token else {}

    async def _answer(self, source: reference.Reference, wanted: credentials.Challenge | None) -> None:
        """Get the right to pull, as the registry's challenge says (distribution's token authentication)."""
        known = credentials.find(source.registry, credentials.config_path())
        basic = {"Authorization": aiohttp.BasicAuth(known.user, known.password).encode()} if known else {}
        if wanted is None or (wanted.scheme == "basic" and not known):
            raise _denied(source)
        if wanted.scheme == "basic":
            self._tokens[source.registry, source.repository] = basic["Authorization"]
            return
        scope = wanted.scope or f"repository:{source.repository}:pull"
        query = urllib.parse.urlencode({"service": wanted.service, "scope": scope})
        if not wanted.realm.startswith("https://") and not _is_loopback(urllib.parse.urlsplit(wanted.realm).hostname):
            raise errors.Refused(f"{source.registry} asks for a login over plain HTTP", reason="ImagePullDenied")
        async with await self._ask(f"{wanted.realm}?{query}", basic) as answer:
            told = await answer.json(content_type=None) if answer.status == http.HTTPStatus.OK else {}
        token = (told.get("token") or told.get("access_token")) if isinstance(told, dict) else None
        if not isinstance(token, str):
            raise _denied(source)
        self._tokens[source.registry, source.repository] = f"Bearer {token}"


def base_url(registry: str) -> str:
    """Give a registry's address: HTTPS, and plain HTTP for loopback only."""
    host = urllib.parse.urlsplit(f"//{registry}").hostname
    if registry == reference.DEFAULT_REGISTRY:
        return f"https://{_HUB}"
    return f"http://{registry}" if _is_loopback(host) else f"https://{registry}"


def _is_loopback(host: str | None) -> bool:
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _origin(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _check(source: reference.Reference, answer: aiohttp.ClientResponse) -> None:
    if answer.status in {401, 403}:
        raise _denied(source)
    if answer.status == http.HTTPStatus.NOT_FOUND:
        raise errors.NotFound(f"{source} is not in the registry", hint="check name and tag", reason="ImageNotFound")
    if answer.status != http.HTTPStatus.OK:
        raise errors.Unavailable(
            f"{source.registry} answers {answer.status} {answer.reason} for {source}", reason="ImagePullFailed"
        )


def _denied(source: reference.Reference) -> errors.Refused:
    return errors.Refused(
        f"{source.registry} does not let us pull {source}",
        hint=f"docker login {source.registry} writes the credentials that are used",
        reason="ImagePullDenied",
    )


async def _read(answer: aiohttp.ClientResponse, most: int) -> bytes:
    data = b""
    async for chunk in answer.content.iter_chunked(_CHUNK):
        data += chunk
        if len(data) > most:
            raise errors.Refused(f"a manifest of more than {most} bytes", reason="ImageRefused")
    return data


@contextlib.contextmanager
def _unreachable(registry: str) -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise errors.Unavailable(
            f"registry {registry} cannot be reached: {type(error).__name__} {error}",
            hint="it is tried again by itself",
            reason="ImagePullFailed",
        ) from error
