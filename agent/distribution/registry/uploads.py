"""Upload of a blob: skipped if present, mounted from another repository, or sent in chunks and resumed.

Bytes are read from the disk as they are sent, in other threads, and are never in memory as a whole.
"""

import asyncio
import contextlib
import dataclasses
import errno
import http
import json
import os
import pathlib
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import aiohttp
import yarl

from agent import errors
from agent.distribution.registry import client, transport
from agent.kit import escapes, frozen
from agent.oci import descriptor, reference
from agent.reasons import Reason

T = TypeVar("T")

CHUNK = 16 * 1024 * 1024
"""Bytes per request, the most that a broken connection costs; smaller blobs take one request."""
_READ = 512 * 1024
_LARGEST_COMPLAINT = 256 * 1024
_LONGEST_WORDS = 300
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})")
_SHARED_STATUSES = frozenset({401, 403, 408, 429})
"""Statuses handled by ``client.check``: a login is missing, or a later attempt may succeed."""
_LOST_CODES = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"})
_DAMAGED = frozenset({"DIGEST_INVALID", "SIZE_INVALID"})


class Rejected(errors.InvalidArgument):
    """An upload that the registry refuses, with its reason."""

    def __init__(self, message: str, status: int, code: str) -> None:
        """``code``: the specification's error code; empty where there is none."""
        hint = "the blob in the store may be damaged" if code in _DAMAGED else ""
        super().__init__(message, hint=hint, reason=Reason.IMAGE_PUSH_REFUSED)
        self.status = status
        self.code = code


class _Lost(transport.TransientError):
    """A lost upload: the registry cannot go on with it, so it begins anew."""


@frozen.value
class Blob:
    """A blob to upload."""

    expected: descriptor.Descriptor
    path: pathlib.Path
    moved: Callable[[int], None]
    """Called with the count of its bytes that are sent or present."""


@dataclasses.dataclass(slots=True)
class _Session:
    """State of an upload."""

    location: yarl.URL | None = None
    least: int = 0
    """Smallest chunk in bytes, but for the last one."""
    at: int = 0
    """Bytes of it that the registry has."""
    begun: bool = False
    """An earlier attempt has started."""
    unsure: bool = False
    """An attempt has broken off: the registry has to be asked for the position."""
    whole: bool = False
    """The registry takes no chunks."""


class Uploads:
    """Uploads blobs to one repository of a registry."""

    def __init__(self, registry: client.RegistryClient, target: reference.Reference) -> None:
        """Store the arguments; nothing is sent yet."""
        self.where = registry.hosts.itself(target.registry)
        self._registry = registry
        self._target = target

    async def bring(self, blob: Blob, neighbours: tuple[str, ...]) -> None:
        """Ensure that a blob is in the repository; ``neighbours``: repositories of the registry that may have it."""
        if not await self.with_retries(lambda: self._has(blob)):
            session = await self._mounted(blob, neighbours)
            if session is not None:
                await self._send(blob, session)
        blob.moved(blob.expected.size)

    async def with_retries(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work`` with retries of transient failures."""
        failures = 0
        while True:
            try:
                return await work()
            except transport.TransientError as error:
                failures += 1
                await self._registry.retries.pause(failures, error)

    def asked(self, request: transport.Request) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Send one request with the right to push."""
        return self._registry.allowed(self.where, self._target, client.PUSH, request)

    async def check(self, answer: aiohttp.ClientResponse) -> None:
        """Raise for any answer but a success: ``Rejected`` with the registry's message, or as ``client.check``."""
        if 400 <= answer.status < 500 and answer.status not in _SHARED_STATUSES:  # noqa: PLR2004 - the client's own faults
            code, words = _complaint(await transport.read(answer, _LARGEST_COMPLAINT, self._registry.least))
            complaint = ": ".join(filter(None, (str(answer.status), code, words)))
            raise Rejected(f"{self._target.registry} does not take {self._target}: {complaint}", answer.status, code)
        with self._registry.noting(self.where):
            client.check(self.where, self._target, answer)

    async def _has(self, blob: Blob) -> bool:
        """Return whether the repository has a blob; an unclear answer counts as no."""
        request = self._request("HEAD", self._url(f"blobs/{blob.expected.digest}"))
        async with self.asked(request) as answer:
            own = answer.url.origin() == self.where.origin.origin()
            if own and not (400 <= answer.status < 500 and answer.status not in _SHARED_STATUSES):  # noqa: PLR2004 - as above
                await self.check(answer)
            return answer.status == http.HTTPStatus.OK

    async def _mounted(self, blob: Blob, neighbours: tuple[str, ...]) -> _Session | None:
        """Mount a blob from another repository, or start an upload where the registry offers one. ``None``: mounted.

        A refused mount is no failure: the blob may be missing there by now, or not visible to us.
        """
        for neighbour in neighbours:
            if neighbour == self._target.repository:
                continue
            url = self._url("blobs/uploads/").with_query({"mount": blob.expected.digest, "from": neighbour})
            with contextlib.suppress(errors.Failure):
                async with self.asked(self._request("POST", url)) as answer:
                    await self.check(answer)
                    if answer.status == http.HTTPStatus.CREATED:
                        return None
                    return self._begun(_Session(), answer)
        return _Session()

    async def _send(self, blob: Blob, session: _Session) -> None:
        """Send a blob, with retries as long as each attempt makes progress."""
        furthest = failures = 0
        with contextlib.closing(_File(blob)) as file:
            while True:
                try:
                    return await self._attempt(blob, session, file)
                except transport.TransientError as error:
                    file.check()
                    failures = 1 if session.at > furthest else failures + 1
                    furthest = max(furthest, session.at)
                    session.begun = session.unsure = True
                    if isinstance(error, _Lost):
                        session.location, session.at = None, 0
                    await self._registry.retries.pause(failures, error)

    async def _attempt(self, blob: Blob, session: _Session, file: "_File") -> None:
        if session.location is None:
            if session.begun and await self._has(blob):  # only the last answer was lost
                return
            async with self.asked(self._request("POST", self._url("blobs/uploads/"))) as answer:
                await self.check(answer)
                self._begun(session, answer)
        elif session.unsure:
            await self._find_out(session, blob)
        if session.whole and session.at:
            raise _Lost(f"{self._target.registry} takes {blob.expected.digest} in one piece only")
        if session.at == 0 and (session.whole or blob.expected.size <= self._chunk(session)):
            await self._finish(session, blob, file, blob.expected.size)
            return
        while session.at < blob.expected.size:
            await self._next(session, blob, file)
        await self._finish(session, blob, file, 0)

    async def _next(self, session: _Session, blob: Blob, file: "_File") -> None:
        """Send a chunk."""
        end = min(session.at + self._chunk(session), blob.expected.size)
        headers = {"Content-Range": f"{session.at}-{end - 1}"}
        async with self.asked(self._part("PATCH", session, file, end, headers)) as answer:
            try:
                await self.check(answer)
            except Rejected as error:
                session.whole |= not _is_lost(error)  # some take a blob only in one piece
                raise _broken(error) from error
            self._follow(session, answer)
            has = _received(answer, otherwise=end)
        if has > end:
            raise _Lost(f"{self._target.registry} has more of an upload than was sent")
        if has <= session.at:
            raise transport.TransientError(f"{self._target.registry} takes nothing of what is sent")
        session.at = has

    async def _finish(self, session: _Session, blob: Blob, file: "_File", size: int) -> None:
        """Complete the upload, sending the last ``size`` bytes with it."""
        request = self._part("PUT", session, file, session.at + size, {})
        text = str(request.url)
        named = f"{text}{'&' if request.url.raw_query_string else '?'}digest={blob.expected.digest.replace(':', '%3A')}"
        async with self.asked(dataclasses.replace(request, url=yarl.URL(named, encoded=True))) as answer:
            try:
                await self.check(answer)
            except Rejected as error:
                if _is_lost(error) or (session.begun and error.code in _DAMAGED):  # the resumed part may be wrong
                    raise _broken(error) from error
                raise

    async def _find_out(self, session: _Session, blob: Blob) -> None:
        """Ask how much of an upload the registry has."""
        assert session.location is not None  # noqa: S101 - its one caller has looked
        async with self.asked(self._request("GET", session.location)) as answer:
            try:
                await self.check(answer)
            except Rejected as error:
                raise _Lost(error.message) from error
            self._follow(session, answer)
            session.at = _received(answer, otherwise=0)
        if session.at > blob.expected.size:
            raise _Lost(f"{self._target.registry} has more of an upload than there is")
        session.unsure = False
        blob.moved(session.at)

    def _begun(self, session: _Session, answer: aiohttp.ClientResponse) -> _Session:
        if "Location" not in answer.headers:
            message = f"{self._target.registry} does not say where {self._target} is to be sent"
            raise errors.Unavailable(message, reason=Reason.IMAGE_PULL_FAILED)
        self._follow(session, answer)
        least = answer.headers.get("OCI-Chunk-Min-Length", "")
        session.least = int(least[:18]) if least.isdecimal() else 0
        session.at, session.unsure = 0, False
        return session

    @staticmethod
    def _follow(session: _Session, answer: aiohttp.ClientResponse) -> None:
        if "Location" in answer.headers:
            session.location = transport.location(answer)

    @staticmethod
    def _chunk(session: _Session) -> int:
        return max(CHUNK, session.least)

    def _url(self, path: str) -> yarl.URL:
        return self.where.url(self._target.repository, path)

    def _request(self, method: str, url: yarl.URL, headers: dict[str, str] | None = None) -> transport.Request:
        """Return a request to any server; only the registry itself gets our client certificate."""
        own = url.origin() == self.where.origin.origin()
        sent = headers if headers is not None else {"Content-Length": "0"} if method == "POST" else {}
        return transport.Request(method, url, self.where.tls if own else transport.TRUSTED, sent)

    def _part(
        self, method: str, session: _Session, file: "_File", end: int, headers: dict[str, str]
    ) -> transport.Request:
        """Return the request that sends the blob's next bytes."""
        assert session.location is not None  # noqa: S101 - no attempt comes so far without one
        start = session.at
        length = {"Content-Length": str(end - start), "Content-Type": "application/octet-stream"}
        request = self._request(method, session.location, {**length, **headers})
        if end == start:
            return request
        return dataclasses.replace(request, data=lambda: file.part(start, end))


class _File:
    """A blob on the disk, read by threads; its own failures are told from the registry's."""

    def __init__(self, blob: Blob) -> None:
        """Open it. Raises ``errors.NotFound``, ``errors.Unavailable``."""
        self._moved = blob.moved
        self._lock = threading.Lock()
        self._failure: OSError | None = None
        try:
            self._file = blob.path.open("rb")
        except FileNotFoundError as error:
            message = f"the content {blob.expected.digest} is not in the store"
            raise errors.NotFound(message, hint="it was removed meanwhile", reason=Reason.CONTENT_MISSING) from error
        except OSError as error:
            raise _unreadable(error) from error

    def close(self) -> None:
        """Close the file once nobody reads it."""
        with self._lock:
            self._file.close()

    def check(self) -> None:
        """Raise ``errors.Unavailable`` where reading was what failed."""
        if self._failure is not None:
            raise _unreadable(self._failure) from self._failure

    async def part(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Return the bytes of a part."""
        at = start
        while at < end:
            chunk = await asyncio.to_thread(self._read, at, min(_READ, end - at))
            at += len(chunk)
            self._moved(at)
            yield chunk

    def _read(self, at: int, size: int) -> bytes:
        with self._lock:
            try:
                return os.pread(self._file.fileno(), size, at) or _cut_short()
            except OSError as error:
                self._failure = error
                raise


def _cut_short() -> bytes:
    raise OSError(errno.EIO, "it is shorter than it should be")


def _unreadable(error: OSError) -> errors.Unavailable:
    return errors.Unavailable(f"a blob in the store cannot be read: {error.strerror}", reason=Reason.HOST_FAILURE)


def _is_lost(error: Rejected) -> bool:
    """Return whether the registry has lost an upload, or sees it elsewhere than we do."""
    return error.status in {404, 416} or error.code in _LOST_CODES


def _broken(error: Rejected) -> transport.TransientError:
    """Return the transient error for an upload whose position has to be asked for, or that begins anew."""
    kind = transport.TransientError if error.status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE else _Lost
    return kind(error.message)


def _received(answer: aiohttp.ClientResponse, *, otherwise: int) -> int:
    """Return how many bytes of an upload the registry has. ``0-0`` is how most say that they have none."""
    match = _RANGE.fullmatch(answer.headers.get("Range", "").strip())
    if match is None:
        return otherwise
    return int(match[1]) + 1 if int(match[1]) else 0


def _complaint(data: bytes) -> tuple[str, str]:
    """Return the first error that an answer names (distribution specification, "Error Codes"): code and words."""
    try:
        first = json.loads(data)["errors"][0]
        fields = (first.get("code"), first.get("message"))
    except (ValueError, RecursionError, KeyError, IndexError, TypeError, AttributeError):
        return "", ""
    code, words = (escapes.printable(field)[:_LONGEST_WORDS] if isinstance(field, str) else "" for field in fields)
    return code, words
