"""Image transfers into and out of an engine: calls without a time limit that report progress as JSON lines."""

import asyncio
import base64
import contextlib
import json
import pathlib
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import IO, Any

import aiohttp

from agent import errors
from agent.distribution.registry import client, credentials
from agent.drivers.docker import connection, failures
from agent.oci import archives, reference
from agent.reasons import Reason
from agent.runtime import api

_CHUNK = 1024 * 1024
_SILENCE_FACTOR = 30.0
"""Limit of silence, in multiples of the usual call limit: Podman loads an image without a word."""
_PUSHED = re.compile(r": digest: (sha256:[0-9a-f]{64}) ")
"""The digest in the last message of a push, from both engines; Docker sends it in another object as well."""
_PUSH_REASONS = {
    Reason.IMAGE_PULL_FAILED: Reason.IMAGE_PUSH_FAILED,
    Reason.IMAGE_PULL_DENIED: Reason.IMAGE_PUSH_DENIED,
}


@contextlib.asynccontextmanager
async def bounded_by_silence(engine: connection.Connection, what: str) -> AsyncIterator[Callable[[], None]]:
    """Bound a call by its silence; yield the function that reports movement. Raises ``errors.Unavailable``."""
    limit = _SILENCE_FACTOR * engine.call_timeout
    loop = asyncio.get_running_loop()
    with failures.translated(what):
        async with asyncio.timeout(limit) as bound:
            yield lambda: bound.reschedule(loop.time() + limit)


async def auth_header(source: reference.Reference, credential_store: credentials.CredentialStore) -> dict[str, str]:
    """Return the header with the credentials for a registry; empty if there are none."""
    auth = await credential_store.find(source.registry, source.repository)
    return {"X-Registry-Auth": _authorization(auth)} if auth else {}


NO_AUTH_HEADER = {"X-Registry-Auth": base64.urlsafe_b64encode(b"{}").decode()}
"""The header that engines require for a push without credentials."""


def _authorization(auth: credentials.Credentials) -> str:
    """Return credentials as the Engine API's ``AuthConfig``, encoded for the header."""
    fields = {"username": auth.user, "password": auth.password}
    if auth.identity_token:
        fields = {"identitytoken": auth.identity_token}
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()


async def chunks(file: IO[bytes], moved: Callable[[], None]) -> AsyncIterator[bytes]:
    """Yield a file's bytes, from its beginning."""
    file.seek(0)
    while chunk := await asyncio.to_thread(file.read, _CHUNK):
        moved()
        yield chunk


async def write_response(
    answer: aiohttp.ClientResponse, out: archives.Sink, moved: Callable[[], None], report: Callable[[int], None]
) -> None:
    """Write an answer's bytes to ``out``; ``report`` gets their number so far."""
    done = 0
    async for chunk in answer.content.iter_chunked(_CHUNK):
        moved()
        await asyncio.to_thread(out.write, chunk)
        done += len(chunk)
        report(done)


async def read_progress(
    answer: aiohttp.ClientResponse, what: str, moved: Callable[[], None], progress: api.ProgressSink
) -> str:
    """Read progress to its end and return the digest in it, or nothing.

    Raises the runtime's errors: failures come in the stream, behind a status that says that all is well.
    """
    digest = ""
    async for message in messages(answer, what, moved):
        detail = message.get("progressDetail") or {}
        if message.get("status"):
            words = " ".join(filter(None, (str(message.get("id", "")), str(message["status"]))))
            progress(api.Progress(words, int(detail.get("current") or 0), detail.get("total")))
        pushed = _PUSHED.search(str(message.get("status", "")))
        digest = pushed[1] if pushed else digest
    return digest


async def messages(
    answer: aiohttp.ClientResponse, what: str, moved: Callable[[], None]
) -> AsyncIterator[Mapping[str, Any]]:
    """Yield the messages of an answer that is a stream of JSON lines. Raises the runtime's errors for one in it."""
    partial = b""
    async for chunk in answer.content.iter_any():
        moved()
        *lines, partial = (partial + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield _message(line, what)
    if partial.strip():
        yield _message(partial, what)


def _message(line: bytes, what: str) -> Mapping[str, Any]:
    message: Any = None
    with contextlib.suppress(ValueError):
        message = json.loads(line)
    if not isinstance(message, dict):
        return {}
    if message.get("error"):
        raise failures.of(500, str(message["error"]), what)
    return message


def scratch_directory(scratch: pathlib.Path) -> pathlib.Path | None:
    """Return a directory for temporary archives; ``None`` for the system's, if ours cannot be created."""
    try:
        scratch.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return None
    return scratch


@contextlib.asynccontextmanager
async def registry(credential_store: credentials.CredentialStore) -> AsyncIterator[client.RegistryClient]:
    """Yield our own registry client, with the credentials that engines get."""
    async with client.RegistryClient(credential_store=credential_store) as registry_client:
        yield registry_client


@contextlib.contextmanager
def push_errors() -> Iterator[None]:
    """Replace the reasons of failed pulls by those of failed pushes."""
    try:
        yield
    except errors.Failure as error:
        error.reason = _PUSH_REASONS.get(error.reason, error.reason)
        raise
