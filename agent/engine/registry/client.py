"""A registry's client: manifests by tag or digest, blobs by digest, and nothing believed that is not verified.

A reference is looked for at its registry's mirrors and then at the registry itself; what may be over a moment later is
tried again, and a blob that breaks off is gone on with from there.
"""

import contextlib
import dataclasses
import datetime as dt
import http
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Self, TypeVar

import aiohttp
import yarl

from agent.engine import errors
from agent.engine.registry import credentials, grants, hosts, retries, transport
from agent.oci import descriptor, digest, mediatypes, reference

T = TypeVar("T")

PULL = "pull"
PUSH = "pull,push"
_LARGEST_MANIFEST = 4 * 1024 * 1024
_LARGEST_LIST = 64 * 1024 * 1024
"""Bytes of all pages together."""
_MOST_PAGES = 1000
_DENYING = frozenset({http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN})
_BUSY = frozenset({http.HTTPStatus.REQUEST_TIMEOUT, http.HTTPStatus.TOO_MANY_REQUESTS})


@dataclasses.dataclass(frozen=True, slots=True)
class Fetched:
    """A manifest or index as the registry gave it, verified where a digest was asked for."""

    data: bytes
    media_type: str


class RegistryClient:
    """Talks to registries."""

    def __init__(
        self,
        places: hosts.Hosts | None = None,
        keyring: credentials.Keyring | None = None,
        attempts: retries.Retries | None = None,
    ) -> None:
        """Nothing is opened yet."""
        self.hosts = places or hosts.Hosts()
        self.retries = attempts or retries.Retries()
        self._connection = transport.Transport()
        self._keyring = keyring or credentials.Keyring()
        self._grants = grants.Grants(self._connection, self._keyring.find, self.retries)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    def use(self, logins: Mapping[str, credentials.Credentials]) -> None:
        """Show these logins from now on, by what they are for, before those that this host knows."""
        if self._keyring.declare(logins):
            self._grants.forget_all()

    async def manifest(self, source: reference.Reference, *, mirrors: bool = True) -> Fetched:
        """Get a manifest; ``mirrors``: they may be asked.

        Raises ``errors.NotFound``, ``errors.Refused``, ``errors.Unavailable``.
        """

        async def get(where: hosts.Endpoint) -> Fetched:
            headers = {"Accept": ", ".join(mediatypes.ACCEPTED)}
            async with self.answer(where, source, "GET", f"manifests/{_wanted(source)}", headers) as answer:
                data = await transport.read(answer, _LARGEST_MANIFEST)
                kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
            if source.digest and not digest.matches(source.digest, data):
                raise errors.Refused(
                    f"{source} was answered with {digest.of(data)}",
                    hint="the registry is wrong or tampered with",
                    reason="DigestMismatch",
                )
            return Fetched(data, kind)

        return await self._anywhere(source, get, mirrors=mirrors)

    async def digest(self, source: reference.Reference) -> str:
        """Tell what a tag stands for now, without a copy of it where the registry says so."""

        async def get(where: hosts.Endpoint) -> str:
            headers = {"Accept": ", ".join(mediatypes.ACCEPTED)}
            async with self.answer(where, source, "HEAD", f"manifests/{_wanted(source)}", headers) as answer:
                told = answer.headers.get("Docker-Content-Digest", "")
            with contextlib.suppress(digest.InvalidDigest):
                digest.parse(told)
                return told
            return ""

        return await self._anywhere(source, get) or digest.of((await self.manifest(source)).data)

    async def tags(self, source: reference.Reference) -> tuple[str, ...]:
        """Give all tags of a repository, as the registry orders them."""

        async def get(where: hosts.Endpoint) -> tuple[str, ...]:
            found: list[str] = []
            rest: str | None = "tags/list"
            left = _LARGEST_LIST
            for _ in range(_MOST_PAGES):
                if rest is None:
                    return tuple(found)
                async with self.answer(where, source, "GET", rest) as answer:
                    data = await transport.read(answer, left)
                    rest = _next_page(answer)
                left -= len(data)
                found += _tags(data, source)
            raise errors.Refused(f"{source.registry} lists tags of {source} without end", reason="ImageRefused")

        return await self._anywhere(source, get)

    async def document(
        self, source: reference.Reference, blob: descriptor.Descriptor, *, mirrors: bool = True
    ) -> bytes:
        """Get a small blob whole, verified: a config, a signature's payload. Raises as ``manifest`` does."""

        async def get(where: hosts.Endpoint) -> bytes:
            async with self.answer(where, source, "GET", f"blobs/{blob.digest}") as answer:
                data = await transport.read(answer, _LARGEST_MANIFEST)
            if len(data) != blob.size or not digest.matches(blob.digest, data):
                raise errors.Refused(
                    f"content that should be {blob.digest} has {len(data)} bytes and digest {digest.of(data)}",
                    hint="it was damaged or changed on its way; nothing of it was kept",
                    reason="DigestMismatch",
                )
            return data

        return await self._anywhere(source, get, mirrors=mirrors)

    async def blob(
        self, source: reference.Reference, blob: descriptor.Descriptor, start: int = 0, *, mirrors: bool = True
    ) -> AsyncGenerator[bytes, None]:
        """Give a blob's bytes from an offset on; its digest is the caller's to verify.

        ``mirrors``: they may be asked; one that gives wrong bytes is found out only by the digest of the whole.
        Raises ``errors.NotFound``, ``errors.Refused``, ``errors.Unavailable`` once nothing has come for several
        attempts in a row.
        """
        places = self.hosts.endpoints(source.registry)[0 if mirrors else -1 :]
        at, failures, turn = start, 0, 0
        while at < blob.size:
            begun = at
            try:
                async with self._blob_from(places[turn % len(places)], source, blob, at) as answer:
                    while chunk := await transport.chunk(answer):
                        at += len(chunk)
                        yield chunk
                if at < blob.size:
                    raise transport.Passing(f"{source.registry} gave {at} of {blob.size} bytes of {blob.digest}")
            except errors.EngineError as error:
                others = turn % len(places) < len(places) - 1
                turn += 1
                if others and at == begun:
                    continue
                if not isinstance(error, transport.Passing):
                    raise
                failures = 1 if at > begun else failures + 1
                await self.retries.pause(failures, error)

    @contextlib.asynccontextmanager
    async def _blob_from(
        self, where: hosts.Endpoint, source: reference.Reference, blob: descriptor.Descriptor, start: int
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a blob's body from an offset on, also where a server knows no ranges, or gives others than are asked."""
        path = f"blobs/{blob.digest}"
        async with contextlib.AsyncExitStack() as stack:
            answer = await self._rest(stack, where, source, path, start) if start else None
            if answer is None:
                answer = await stack.enter_async_context(self.answer(where, source, "GET", path))
                await transport.skip(answer, start)
            yield answer

    async def _rest(
        self,
        stack: contextlib.AsyncExitStack,
        where: hosts.Endpoint,
        source: reference.Reference,
        path: str,
        start: int,
    ) -> aiohttp.ClientResponse | None:
        """Ask for something from an offset on; ``None`` where the server gives no such thing."""
        headers = {"Range": f"bytes={start}-"}
        try:
            answer = await stack.enter_async_context(self.answer(where, source, "GET", path, headers))
        except transport.Passing:
            raise
        except errors.Unavailable:
            return None
        if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
            if answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                return answer
            answer.close()
            return None
        await transport.skip(answer, start)
        return answer

    async def _anywhere(
        self, source: reference.Reference, get: Callable[[hosts.Endpoint], Awaitable[T]], *, mirrors: bool = True
    ) -> T:
        """Ask one place after the other, again while that may help; the registry's own word is what counts."""
        *others, itself = self.hosts.endpoints(source.registry)
        failures = 0
        while True:
            for mirror in others if mirrors else ():
                with contextlib.suppress(errors.EngineError):
                    return await get(mirror)
            try:
                return await get(itself)
            except transport.Passing as error:
                failures += 1
                await self.retries.pause(failures, error)

    @contextlib.asynccontextmanager
    async def answer(
        self,
        where: hosts.Endpoint,
        source: reference.Reference,
        method: str,
        rest: str,
        headers: dict[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask one place once, as one who has the right to pull; gives a successful answer."""
        request = transport.Request(method, where.url(source.repository, rest), where.tls, headers or {})
        async with self.allowed(where, source, PULL, request) as answer:
            with self.noting(where):
                check(where, source, answer)
            yield answer

    @contextlib.asynccontextmanager
    async def allowed(
        self, where: hosts.Endpoint, source: reference.Reference, right: str, request: transport.Request
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask, answering one challenge: the registry's own, for whoever it redirects to is not to ask for its login.

        What was granted is shown to the registry alone, and not to another host where it wants an upload to go.
        """
        await self.retries.admit(where.origin, wait=not where.mirror)
        own = request.url.origin() == where.origin.origin()
        held = self._grants.held(where, source, right) if own else {}
        answer = await self._connection.ask(request.showing(held))
        try:
            if held and answer.status == http.HTTPStatus.FORBIDDEN and _is_own(where, answer):
                # Some registries (Amazon's) answer so, and without a challenge, to a login that has run out.
                answer.release()
                answer = await self._connection.ask(request)
            if answer.status == http.HTTPStatus.UNAUTHORIZED and _is_own(where, answer):
                answer.release()
                await self._grants.obtain(where, source, right, answer.headers.getall("WWW-Authenticate", []))
                answer = await self._connection.ask(request.showing(self._grants.held(where, source, right)))
            if answer.status in _DENYING and _is_own(where, answer):
                self._grants.forget(where, source, right)
            yield answer
        finally:
            answer.close()

    @contextlib.contextmanager
    def noting(self, where: hosts.Endpoint) -> Iterator[None]:
        """Remember what a place asks for in its refusals."""
        try:
            yield
        except transport.Passing as failure:
            self.retries.note(where.origin, failure)
            raise


def check(where: hosts.Endpoint, source: reference.Reference, answer: aiohttp.ClientResponse) -> None:
    """Let only a success pass.

    Raises ``errors.NotFound``, ``errors.Refused`` (``ImagePullDenied``), ``transport.Passing`` for what may be over a
    moment later, and ``errors.Unavailable`` for the rest.
    """
    if answer.status in _DENYING and _is_own(where, answer):
        raise grants.denied(where, source)
    if answer.status == http.HTTPStatus.NOT_FOUND:
        raise errors.NotFound(f"{source} is not in the registry", hint="check name and tag", reason="ImageNotFound")
    message = f"{answer.url.authority} answers {answer.status} for {source}"
    if answer.status in _BUSY or answer.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        now = dt.datetime.now(dt.UTC)
        raise transport.Passing(message, retry_after=retries.wish(answer.headers.get("Retry-After", ""), now))
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - the successes of HTTP
        raise errors.Unavailable(message, hint="it is tried again by itself", reason="ImagePullFailed")


def _wanted(source: reference.Reference) -> str:
    return source.digest or source.tag or "latest"


def _is_own(where: hosts.Endpoint, answer: aiohttp.ClientResponse) -> bool:
    """Tell whether the registry itself has answered, and not somebody whom it redirects to."""
    return answer.url.origin() == where.origin.origin()


def _tags(data: bytes, source: reference.Reference) -> list[str]:
    try:
        told = json.loads(data)
        tags = told["tags"] or []
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise errors.Refused(f"{source.registry} answers with no list of tags", reason="ImageRefused") from error
    return [one for one in tags if isinstance(one, str)] if isinstance(tags, list) else []


def _next_page(answer: aiohttp.ClientResponse) -> str | None:
    """Give what of the list comes next (distribution specification, ``Link``); of an address, only what it asks for."""
    try:
        query = yarl.URL(answer.links["next"]["url"]).raw_query_string
    except (KeyError, ValueError):
        return None
    return f"tags/list?{query}" if query else None
