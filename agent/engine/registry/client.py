"""A registry's client: manifests by tag or digest, blobs by digest, and nothing believed that is not verified."""

import asyncio
import contextlib
import dataclasses
import http
from collections.abc import AsyncIterator
from typing import Self

import aiohttp
import yarl

from agent.engine import errors
from agent.engine.content import store
from agent.engine.registry import grants, transport
from agent.kit import tasks
from agent.oci import descriptor, digest, mediatypes, reference

_PARALLEL = 3
"""Blobs at a time, as Docker: more gain little on one connection's bandwidth and cost memory."""
_LARGEST_MANIFEST = 4 * 1024 * 1024
_HUB = "registry-1.docker.io"
_DENYING = frozenset({http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN})


@dataclasses.dataclass(frozen=True, slots=True)
class Fetched:
    """A manifest or index as the registry gave it, verified where a digest was asked for."""

    data: bytes
    media_type: str


class RegistryClient:
    """Talks to registries."""

    def __init__(self) -> None:
        """Nothing is opened yet."""
        self._connection = transport.Transport()
        self._grants = grants.Grants(self._connection)
        self._slots = asyncio.Semaphore(_PARALLEL)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def manifest(self, source: reference.Reference) -> Fetched:
        """Get a manifest. Raises ``errors.NotFound``, ``errors.Refused``, ``errors.Unavailable``."""
        wanted = source.digest or source.tag or "latest"
        path = f"/v2/{source.repository}/manifests/{wanted}"
        async with self._get(source, path, {"Accept": ", ".join(mediatypes.ACCEPTED)}) as answer:
            data = await transport.read(answer, _LARGEST_MANIFEST)
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        if source.digest and not digest.matches(source.digest, data):
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
            with into.ingest(blob) as target:
                while chunk := await transport.chunk(answer):
                    target.write(chunk)

    @contextlib.asynccontextmanager
    async def _get(
        self, source: reference.Reference, path: str, headers: dict[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask as one who has the right to pull; gives a successful answer."""
        base = yarl.URL(base_url(source.registry))
        answer = await self._allowed(source, base, base.with_path(path, encoded=True), headers)
        try:
            _check(source, base, answer)
            yield answer
        finally:
            answer.close()

    async def _allowed(
        self, source: reference.Reference, base: yarl.URL, url: yarl.URL, headers: dict[str, str]
    ) -> aiohttp.ClientResponse:
        """Ask, answering one challenge: the registry's own, for whoever it redirects to is not to ask for its login."""
        held = self._grants.held(source)
        answer = await self._connection.get(url, headers | held)
        if held and answer.status == http.HTTPStatus.FORBIDDEN and _is_own(base, answer):
            # Some registries (Amazon's) answer so, and without a challenge, to a login that has run out.
            answer.release()
            answer = await self._connection.get(url, headers)
        if answer.status == http.HTTPStatus.UNAUTHORIZED and _is_own(base, answer):
            answer.release()
            await self._grants.obtain(source, base, answer.headers.getall("WWW-Authenticate", []))
            answer = await self._connection.get(url, headers | self._grants.held(source))
        if answer.status in _DENYING and _is_own(base, answer):
            self._grants.forget(source)
        return answer


def base_url(registry: str) -> str:
    """Give a registry's address: HTTPS, and plain HTTP for loopback only."""
    if registry == reference.DEFAULT_REGISTRY:
        return f"https://{_HUB}"
    return f"http://{registry}" if transport.is_loopback(yarl.URL(f"//{registry}").host) else f"https://{registry}"


def _is_own(base: yarl.URL, answer: aiohttp.ClientResponse) -> bool:
    """Tell whether the registry itself has answered, and not somebody whom it redirects to."""
    return answer.url.origin() == base.origin()


def _check(source: reference.Reference, base: yarl.URL, answer: aiohttp.ClientResponse) -> None:
    if answer.status in _DENYING and _is_own(base, answer):
        raise grants.denied(source)
    if answer.status == http.HTTPStatus.NOT_FOUND:
        raise errors.NotFound(f"{source} is not in the registry", hint="check name and tag", reason="ImageNotFound")
    if answer.status != http.HTTPStatus.OK:
        raise errors.Unavailable(
            f"{answer.url.authority} answers {answer.status} for {source}",
            hint="it is tried again by itself",
            reason="ImagePullFailed",
        )
