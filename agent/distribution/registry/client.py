"""The registry client: manifests by tag or digest, blobs by digest, with digests verified.

A reference is looked for at its registry's mirrors and then at the registry itself; transient failures are retried, and
a blob that breaks off is resumed.
"""

import contextlib
import datetime as dt
import http
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Self, TypeVar

import aiohttp
import yarl

from agent import errors
from agent.distribution.registry import credentials, hosts, retries, tokens, transport
from agent.kit import counts, frozen
from agent.oci import descriptor, digest, mediatypes, reference
from agent.reasons import Reason

T = TypeVar("T")
_LOG = logging.getLogger(__name__)

PULL = "pull"
PUSH = "pull,push"
_LARGEST_MANIFEST = 4 * 1024 * 1024
_LARGEST_LIST = 64 * 1024 * 1024
"""Bytes of all pages together."""
_MOST_PAGES = 1000
_DENYING = frozenset({http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN})
_BUSY = frozenset({http.HTTPStatus.REQUEST_TIMEOUT, http.HTTPStatus.TOO_MANY_REQUESTS})


@frozen.value
class Fetched:
    """A manifest or index as the registry gave it, verified where a digest was asked for."""

    data: bytes
    media_type: str


class RegistryClient:
    """Talks to registries."""

    def __init__(
        self,
        places: hosts.Hosts | None = None,
        credential_store: credentials.CredentialStore | None = None,
        attempts: retries.Retries | None = None,
        least: transport.LeastSpeed | None = None,
    ) -> None:
        """Store the arguments; nothing is opened yet."""
        self.hosts = places or hosts.Hosts()
        self.retries = attempts or retries.Retries()
        self.least = least or transport.LeastSpeed()
        self._connection = transport.Transport()
        self._credentials = credential_store or credentials.CredentialStore()
        self._failing: dict[yarl.URL, str] = {}
        """Mirrors that failed when they were asked last, and why."""
        self._tokens = tokens.Tokens(self._connection, self._credentials.find, self.retries)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    def use(self, logins: Mapping[str, credentials.Credentials]) -> None:
        """Replace the declared logins, by registry or repository; they come before this host's own."""
        if self._credentials.declare(logins):
            self._tokens.forget_all()

    async def manifest(self, source: reference.Reference, *, mirrors: bool = True) -> Fetched:
        """Fetch a manifest; ``mirrors``: whether mirrors may be asked.

        Raises ``errors.NotFound``, ``errors.InvalidArgument``, ``errors.Unavailable``.
        """

        async def get(where: hosts.Endpoint) -> Fetched:
            headers = {"Accept": ", ".join(mediatypes.ACCEPTED)}
            async with self.answer(where, source, "GET", f"manifests/{_tag_or_digest(source)}", headers) as answer:
                data = await transport.read(answer, _LARGEST_MANIFEST, self.least)
                kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
            if source.digest and not digest.matches(source.digest, data):
                raise errors.InvalidArgument(
                    f"{source} was answered with {digest.of(data)}",
                    hint="the registry is wrong or tampered with",
                    reason=Reason.DIGEST_MISMATCH,
                )
            return Fetched(data, kind)

        return await self._from_endpoints(source, get, mirrors=mirrors)

    async def digest(self, source: reference.Reference) -> str:
        """Return the digest that a tag stands for now, by a HEAD request where the registry answers one."""

        async def get(where: hosts.Endpoint) -> str:
            headers = {"Accept": ", ".join(mediatypes.ACCEPTED)}
            async with self.answer(where, source, "HEAD", f"manifests/{_tag_or_digest(source)}", headers) as answer:
                declared = answer.headers.get("Docker-Content-Digest", "")
            with contextlib.suppress(digest.InvalidDigest):
                digest.parse(declared)
                return declared
            return ""

        return await self._from_endpoints(source, get) or digest.of((await self.manifest(source)).data)

    async def tags(self, source: reference.Reference) -> tuple[str, ...]:
        """Return all tags of a repository, as the registry orders them."""

        async def get(where: hosts.Endpoint) -> tuple[str, ...]:
            names: list[str] = []
            page: str | None = "tags/list"
            budget = _LARGEST_LIST
            for _ in range(_MOST_PAGES):
                if page is None:
                    return tuple(names)
                async with self.answer(where, source, "GET", page) as answer:
                    data = await transport.read(answer, budget, self.least)
                    page = _next_page(answer)
                budget -= len(data)
                names += _tags(data, source)
            raise errors.InvalidArgument(
                f"{source.registry} lists tags of {source} without end", reason=Reason.IMAGE_REFUSED
            )

        return await self._from_endpoints(source, get)

    async def document(
        self, source: reference.Reference, blob: descriptor.Descriptor, *, mirrors: bool = True
    ) -> bytes:
        """Fetch a small blob as a whole, verified: a config, a signature's payload. Raises as ``manifest`` does."""

        async def get(where: hosts.Endpoint) -> bytes:
            async with self.answer(where, source, "GET", f"blobs/{blob.digest}") as answer:
                data = await transport.read(answer, _LARGEST_MANIFEST, self.least)
            if len(data) != blob.size or not digest.matches(blob.digest, data):
                size = counts.counted(len(data), "byte")
                raise errors.InvalidArgument(
                    f"content that should be {blob.digest} has {size} and digest {digest.of(data)}",
                    hint="it was damaged or changed on its way; nothing of it was kept",
                    reason=Reason.DIGEST_MISMATCH,
                )
            return data

        return await self._from_endpoints(source, get, mirrors=mirrors)

    async def blob(
        self, source: reference.Reference, blob: descriptor.Descriptor, start: int = 0, *, mirrors: bool = True
    ) -> AsyncGenerator[bytes, None]:
        """Yield a blob's bytes from an offset on; the caller verifies the digest.

        ``mirrors``: whether mirrors may be asked; wrong bytes of one are noticed only by the digest of the whole.
        Raises ``errors.NotFound``, ``errors.InvalidArgument``, ``errors.Unavailable`` once nothing has come for several
        attempts in a row.
        """
        places = self.hosts.endpoints(source.registry)[0 if mirrors else -1 :]
        at, failures, turn = start, 0, 0
        while at < blob.size:
            begun, where = at, places[turn % len(places)]
            try:
                pace = transport.Pace(self.least)
                async with self._blob_from(where, source, blob, at) as answer:
                    while chunk := await transport.chunk(answer, pace):
                        at += len(chunk)
                        yield chunk
                if at < blob.size:
                    raise transport.TransientError(f"{source.registry} gave {at} of {blob.size} bytes of {blob.digest}")
            except errors.Failure as error:
                others = turn % len(places) < len(places) - 1
                turn += 1
                if where.mirror:
                    self._mirror_failed(where, error)
                if others and at == begun:
                    continue
                if not isinstance(error, transport.TransientError):
                    raise
                came = at > begun and not isinstance(error, transport.TooSlow)
                failures = 1 if came else failures + 1
                await self.retries.pause(failures, error)

    @contextlib.asynccontextmanager
    async def _blob_from(
        self, where: hosts.Endpoint, source: reference.Reference, blob: descriptor.Descriptor, start: int
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a blob's body at an offset, also where a server has no ranges, or answers with others."""
        path = f"blobs/{blob.digest}"
        async with contextlib.AsyncExitStack() as stack:
            answer = await self._ranged(stack, where, source, path, start) if start else None
            if answer is None:
                answer = await stack.enter_async_context(self.answer(where, source, "GET", path))
                await transport.skip(answer, start, self.least)
            yield answer

    async def _ranged(
        self,
        stack: contextlib.AsyncExitStack,
        where: hosts.Endpoint,
        source: reference.Reference,
        path: str,
        start: int,
    ) -> aiohttp.ClientResponse | None:
        """Send a range request; ``None`` where the server does not answer with the range."""
        headers = {"Range": f"bytes={start}-"}
        try:
            answer = await stack.enter_async_context(self.answer(where, source, "GET", path, headers))
        except transport.TransientError:
            raise
        except errors.Unavailable:
            return None
        if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
            if answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                return answer
            answer.close()
            return None
        await transport.skip(answer, start, self.least)
        return answer

    async def _from_endpoints(
        self, source: reference.Reference, get: Callable[[hosts.Endpoint], Awaitable[T]], *, mirrors: bool = True
    ) -> T:
        """Ask the endpoints in turn, with retries; the registry's own answer decides."""
        *others, itself = self.hosts.endpoints(source.registry)
        failures = 0
        while True:
            for mirror in others if mirrors else ():
                try:
                    gotten = await get(mirror)
                except errors.Failure as error:
                    self._mirror_failed(mirror, error)
                else:
                    self._failing.pop(mirror.origin, None)
                    return gotten
            try:
                return await get(itself)
            except transport.TransientError as error:
                failures += 1
                await self.retries.pause(failures, error)

    def _mirror_failed(self, mirror: hosts.Endpoint, error: errors.Failure) -> None:
        """Log what a mirror does not do, once for each kind of failure until it works again; not to have it is none."""
        if isinstance(error, errors.NotFound) or self._failing.get(mirror.origin) == error.reason:
            return
        self._failing[mirror.origin] = error.reason
        _LOG.warning("the mirror %s is passed over: %s", mirror.login, error)

    @contextlib.asynccontextmanager
    async def answer(
        self,
        where: hosts.Endpoint,
        source: reference.Reference,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask one place once, as one who has the right to pull; return a successful answer."""
        request = transport.Request(method, where.url(source.repository, path), where.tls, headers or {})
        async with self.allowed(where, source, PULL, request) as answer:
            with self.noting(where):
                check(where, source, answer)
            yield answer

    @contextlib.asynccontextmanager
    async def allowed(
        self, where: hosts.Endpoint, source: reference.Reference, right: str, request: transport.Request
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and answer one challenge: the registry's own, never that of a server that it redirects to.

        Tokens are sent to the registry alone, and not to another host that it directs an upload to.
        """
        await self.retries.admit(where.origin, wait=not where.mirror)
        own = request.url.origin() == where.origin.origin()
        held = self._tokens.held(where, source, right) if own else {}
        answer = await self._connection.ask(request.with_headers(held))
        try:
            if held and answer.status == http.HTTPStatus.FORBIDDEN and _is_own(where, answer):
                # Some registries (Amazon's) answer so, without a challenge, to an expired login.
                answer.release()
                answer = await self._connection.ask(request)
            if answer.status == http.HTTPStatus.UNAUTHORIZED and _is_own(where, answer):
                answer.release()
                await self._tokens.obtain(where, source, right, answer.headers.getall("WWW-Authenticate", []))
                answer = await self._connection.ask(request.with_headers(self._tokens.held(where, source, right)))
            if answer.status in _DENYING and _is_own(where, answer):
                self._tokens.forget(where, source, right)
            yield answer
        finally:
            answer.close()

    @contextlib.contextmanager
    def noting(self, where: hosts.Endpoint) -> Iterator[None]:
        """Note the ``Retry-After`` of an endpoint's refusals."""
        try:
            yield
        except transport.TransientError as failure:
            self.retries.note(where.origin, failure)
            raise


def check(where: hosts.Endpoint, source: reference.Reference, answer: aiohttp.ClientResponse) -> None:
    """Raise for any answer but a success.

    Raises ``errors.NotFound``, ``errors.InvalidArgument`` (``ImagePullDenied``), ``transport.TransientError`` for what
    a later attempt may not meet, and ``errors.Unavailable`` for the rest.
    """
    if answer.status in _DENYING and _is_own(where, answer):
        raise tokens.denied(where, source)
    if answer.status == http.HTTPStatus.NOT_FOUND:
        raise errors.NotFound(
            f"{source} is not in the registry", hint="check name and tag", reason=Reason.IMAGE_NOT_FOUND
        )
    message = f"{answer.url.authority} answers {answer.status} for {source}"
    if answer.status in _BUSY or answer.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        now = dt.datetime.now(dt.UTC)
        raise transport.TransientError(
            message, retry_after=retries.parse_retry_after(answer.headers.get("Retry-After", ""), now)
        )
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - the successes of HTTP
        raise errors.Unavailable(message, reason=Reason.IMAGE_PULL_FAILED)


def _tag_or_digest(source: reference.Reference) -> str:
    return source.digest or source.tag or "latest"


def _is_own(where: hosts.Endpoint, answer: aiohttp.ClientResponse) -> bool:
    """Return whether the registry itself has answered, and not a server that it redirects to."""
    return answer.url.origin() == where.origin.origin()


def _tags(data: bytes, source: reference.Reference) -> list[str]:
    try:
        parsed = json.loads(data)
        tags = parsed["tags"] or []
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise errors.InvalidArgument(
            f"{source.registry} answers with no list of tags", reason=Reason.IMAGE_REFUSED
        ) from error
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def _next_page(answer: aiohttp.ClientResponse) -> str | None:
    """Return the next page's path (distribution specification, ``Link``); only the query of the address is used."""
    try:
        query = yarl.URL(answer.links["next"]["url"]).raw_query_string
    except (KeyError, ValueError):
        return None
    return f"tags/list?{query}" if query else None
