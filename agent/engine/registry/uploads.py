"""One blob to a registry: looked for, mounted from another repository, or sent chunk by chunk, from where it broke off.

What is sent is read from the disk as it goes out, in other threads, and never lies in memory as a whole.
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

from agent.engine import errors
from agent.engine.registry import client, transport
from agent.kit import escapes
from agent.oci import descriptor, reference

T = TypeVar("T")

CHUNK = 16 * 1024 * 1024
"""Bytes that are sent in one request, and that a broken connection costs at most; smaller blobs take one request."""
_READ = 512 * 1024
_LARGEST_COMPLAINT = 256 * 1024
_LONGEST_WORDS = 300
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})")
_PASSING = frozenset({401, 403, 408, 429})
"""Refusals that are read like everywhere: a login that is wanted, a moment that is bad."""
_GONE = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"})
_DAMAGED = frozenset({"DIGEST_INVALID", "SIZE_INVALID"})


class Rejected(errors.Refused):
    """The registry does not take it, and says why."""

    def __init__(self, message: str, status: int, code: str) -> None:
        """``code``: the specification's word for the reason; empty where there is none."""
        hint = "the blob in the store may be damaged" if code in _DAMAGED else ""
        super().__init__(message, hint=hint, reason="ImagePushRefused")
        self.status = status
        self.code = code


class _Lost(transport.Passing):
    """The registry does not know an upload any more, or cannot go on with it: it begins anew."""


@dataclasses.dataclass(frozen=True, slots=True)
class Blob:
    """What is to be there."""

    told: descriptor.Descriptor
    path: pathlib.Path
    moved: Callable[[int], None]
    """Is told how many bytes of it are under way or there."""


@dataclasses.dataclass(slots=True)
class _Session:
    """An upload, as far as we know of it."""

    location: yarl.URL | None = None
    least: int = 0
    """Bytes that a chunk has to have, but for the last one."""
    at: int = 0
    """Bytes that the registry has."""
    begun: bool = False
    """There was an attempt before."""
    unsure: bool = False
    """An attempt has broken off: only the registry knows what it has."""
    whole: bool = False
    """The registry takes no chunks."""


class Uploads:
    """Brings blobs to one repository of a registry."""

    def __init__(self, registry: client.RegistryClient, target: reference.Reference) -> None:
        """Nothing is asked yet."""
        self.where = registry.hosts.itself(target.registry)
        self._registry = registry
        self._target = target

    async def bring(self, blob: Blob, neighbours: tuple[str, ...]) -> None:
        """See to it that a blob is there; ``neighbours``: repositories of the registry that may have it."""
        if not await self.again(lambda: self._has(blob)):
            session = await self._mounted(blob, neighbours)
            if session is not None:
                await self._send(blob, session)
        blob.moved(blob.told.size)

    async def again(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something, again while that may help."""
        failures = 0
        while True:
            try:
                return await work()
            except transport.Passing as error:
                failures += 1
                await self._registry.retries.pause(failures, error)

    def asked(self, request: transport.Request) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Ask once, as one who has the right to push."""
        return self._registry.allowed(self.where, self._target, client.PUSH, request)

    async def check(self, answer: aiohttp.ClientResponse) -> None:
        """Let only a success pass. Raises ``Rejected`` with the registry's words, and what ``client.check`` raises."""
        if 400 <= answer.status < 500 and answer.status not in _PASSING:  # noqa: PLR2004 - the client's own faults
            code, words = _complaint(await transport.read(answer, _LARGEST_COMPLAINT))
            said = ": ".join(filter(None, (str(answer.status), code, words)))
            raise Rejected(f"{self._target.registry} does not take {self._target}: {said}", answer.status, code)
        with self._registry.noting(self.where):
            client.check(self.where, self._target, answer)

    async def _has(self, blob: Blob) -> bool:
        """Tell whether the repository has it. What is no clear word is none: then it is sent."""
        request = self._request("HEAD", self._url(f"blobs/{blob.told.digest}"))
        async with self.asked(request) as answer:
            own = answer.url.origin() == self.where.origin.origin()
            if own and not (400 <= answer.status < 500 and answer.status not in _PASSING):  # noqa: PLR2004 - as above
                await self.check(answer)
            return answer.status == http.HTTPStatus.OK

    async def _mounted(self, blob: Blob, neighbours: tuple[str, ...]) -> _Session | None:
        """Let the registry take it from another repository; what it offers instead is an upload. ``None``: it is there.

        That it does not want to is no failure: it may have it there no more, or may not show it to us.
        """
        for neighbour in neighbours:
            if neighbour == self._target.repository:
                continue
            url = self._url("blobs/uploads/").with_query({"mount": blob.told.digest, "from": neighbour})
            with contextlib.suppress(errors.EngineError):
                async with self.asked(self._request("POST", url)) as answer:
                    await self.check(answer)
                    if answer.status == http.HTTPStatus.CREATED:
                        return None
                    return self._begun(_Session(), answer)
        return _Session()

    async def _send(self, blob: Blob, session: _Session) -> None:
        """Send it, going on while the registry takes more of it each time."""
        furthest = failures = 0
        with contextlib.closing(_File(blob)) as file:
            while True:
                try:
                    return await self._attempt(blob, session, file)
                except transport.Passing as error:
                    file.check()
                    failures = 1 if session.at > furthest else failures + 1
                    furthest = max(furthest, session.at)
                    session.begun = session.unsure = True
                    if isinstance(error, _Lost):
                        session.location, session.at = None, 0
                    await self._registry.retries.pause(failures, error)

    async def _attempt(self, blob: Blob, session: _Session, file: "_File") -> None:
        if session.location is None:
            if session.begun and await self._has(blob):  # the answer to its last part was what broke off
                return
            async with self.asked(self._request("POST", self._url("blobs/uploads/"))) as answer:
                await self.check(answer)
                self._begun(session, answer)
        elif session.unsure:
            await self._find_out(session, blob)
        if session.whole and session.at:
            raise _Lost(f"{self._target.registry} takes {blob.told.digest} in one piece only")
        if session.at == 0 and (session.whole or blob.told.size <= self._chunk(session)):
            await self._finish(session, blob, file, blob.told.size)
            return
        while session.at < blob.told.size:
            await self._next(session, blob, file)
        await self._finish(session, blob, file, 0)

    async def _next(self, session: _Session, blob: Blob, file: "_File") -> None:
        """Send a chunk."""
        end = min(session.at + self._chunk(session), blob.told.size)
        headers = {"Content-Range": f"{session.at}-{end - 1}"}
        async with self.asked(self._part("PATCH", session, file, end, headers)) as answer:
            try:
                await self.check(answer)
            except Rejected as error:
                session.whole |= not _is_gone(error)  # some take a blob only in one piece
                raise _broken(error) from error
            self._follow(session, answer)
            has = _received(answer, otherwise=end)
        if has > end:
            raise _Lost(f"{self._target.registry} has more of an upload than was sent")
        if has <= session.at:
            raise transport.Passing(f"{self._target.registry} takes nothing of what is sent")
        session.at = has

    async def _finish(self, session: _Session, blob: Blob, file: "_File", size: int) -> None:
        """Make a blob of the upload, sending ``size`` bytes with that."""
        request = self._part("PUT", session, file, session.at + size, {})
        text = str(request.url)
        named = f"{text}{'&' if request.url.raw_query_string else '?'}digest={blob.told.digest.replace(':', '%3A')}"
        async with self.asked(dataclasses.replace(request, url=yarl.URL(named, encoded=True))) as answer:
            try:
                await self.check(answer)
            except Rejected as error:
                if _is_gone(error) or (session.begun and error.code in _DAMAGED):  # what was there may be what is wrong
                    raise _broken(error) from error
                raise

    async def _find_out(self, session: _Session, blob: Blob) -> None:
        """Ask how much of it the registry has."""
        assert session.location is not None  # noqa: S101 - its one caller has looked
        async with self.asked(self._request("GET", session.location)) as answer:
            try:
                await self.check(answer)
            except Rejected as error:
                raise _Lost(error.message) from error
            self._follow(session, answer)
            session.at = _received(answer, otherwise=0)
        if session.at > blob.told.size:
            raise _Lost(f"{self._target.registry} has more of an upload than there is")
        session.unsure = False
        blob.moved(session.at)

    def _begun(self, session: _Session, answer: aiohttp.ClientResponse) -> _Session:
        if "Location" not in answer.headers:
            message = f"{self._target.registry} does not say where {self._target} is to be sent"
            raise errors.Unavailable(message, reason="ImagePullFailed")
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

    def _url(self, rest: str) -> yarl.URL:
        return self.where.url(self._target.repository, rest)

    def _request(self, method: str, url: yarl.URL, headers: dict[str, str] | None = None) -> transport.Request:
        """Ask where the registry says; who we are is shown to the registry itself alone."""
        own = url.origin() == self.where.origin.origin()
        told = headers if headers is not None else {"Content-Length": "0"} if method == "POST" else {}
        return transport.Request(method, url, self.where.tls if own else transport.TRUSTED, told)

    def _part(
        self, method: str, session: _Session, file: "_File", end: int, headers: dict[str, str]
    ) -> transport.Request:
        """Send bytes of a blob, from where the registry has got to."""
        assert session.location is not None  # noqa: S101 - no attempt comes so far without one
        start = session.at
        length = {"Content-Length": str(end - start), "Content-Type": "application/octet-stream"}
        request = self._request(method, session.location, {**length, **headers})
        if end == start:
            return request
        return dataclasses.replace(request, data=lambda: file.part(start, end))


class _File:
    """A blob on the disk, read by threads; what goes wrong with it is not the registry's fault."""

    def __init__(self, blob: Blob) -> None:
        """Open it. Raises ``errors.NotFound``, ``errors.Unavailable``."""
        self._moved = blob.moved
        self._lock = threading.Lock()
        self._failure: OSError | None = None
        try:
            self._file = blob.path.open("rb")
        except FileNotFoundError as error:
            message = f"the content {blob.told.digest} is not in the store"
            raise errors.NotFound(message, hint="it was removed meanwhile", reason="ContentMissing") from error
        except OSError as error:
            raise _unreadable(error) from error

    def close(self) -> None:
        """Let go of it, once nobody reads."""
        with self._lock:
            self._file.close()

    def check(self) -> None:
        """Raise ``errors.Unavailable`` where reading was what failed."""
        if self._failure is not None:
            raise _unreadable(self._failure) from self._failure

    async def part(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Give the bytes of a part."""
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
    return errors.Unavailable(f"a blob in the store cannot be read: {error.strerror}", reason="HostFailure")


def _is_gone(error: Rejected) -> bool:
    """Tell whether the registry has lost an upload, or sees it elsewhere than we do."""
    return error.status in {404, 416} or error.code in _GONE


def _broken(error: Rejected) -> transport.Passing:
    """Say that an upload has to be asked about, or begun anew."""
    kind = transport.Passing if error.status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE else _Lost
    return kind(error.message)


def _received(answer: aiohttp.ClientResponse, *, otherwise: int) -> int:
    """Give how many bytes of an upload the registry has. ``0-0`` is how most say that they have none."""
    match = _RANGE.fullmatch(answer.headers.get("Range", "").strip())
    if match is None:
        return otherwise
    return int(match[1]) + 1 if int(match[1]) else 0


def _complaint(data: bytes) -> tuple[str, str]:
    """Give the first error that an answer names (distribution specification, "Error Codes"): code and words."""
    try:
        first = json.loads(data)["errors"][0]
        told = (first.get("code"), first.get("message"))
    except (ValueError, RecursionError, KeyError, IndexError, TypeError, AttributeError):
        return "", ""
    code, words = (escapes.printable(one)[:_LONGEST_WORDS] if isinstance(one, str) else "" for one in told)
    return code, words
