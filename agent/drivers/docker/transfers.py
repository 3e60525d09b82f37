"""Images on their way into an engine and out of it: what takes as long as it takes, and tells of it in JSON lines."""

import asyncio
import base64
import contextlib
import json
import pathlib
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import IO, Any

import aiohttp

from agent.drivers.docker import connection, failures
from agent.engine import errors as engine_errors
from agent.engine.registry import client, credentials
from agent.oci import reference
from agent.runtime import api, errors

_CHUNK = 1024 * 1024
_SILENCE = 30.0
"""So many times the usual patience may nothing at all move: Podman loads an image without a word."""
_PUSHED = re.compile(r": digest: (sha256:[0-9a-f]{64}) ")
"""How both engines say at the end of a push what it has become; Docker says it in an object of its own as well."""
_PUSH_REASONS = {"ImagePullFailed": "ImagePushFailed", "ImagePullDenied": "ImagePushDenied"}


@contextlib.asynccontextmanager
async def watched(engine: connection.Connection, what: str) -> AsyncIterator[Callable[[], None]]:
    """Give up on something that takes as long as it likes once nothing moves any more; gives what tells it so."""
    limit = _SILENCE * engine.patience
    loop = asyncio.get_running_loop()
    with failures.translated(what):
        async with asyncio.timeout(limit) as bound:
            yield lambda: bound.reschedule(loop.time() + limit)


async def login(source: reference.Reference, keyring: credentials.Keyring) -> dict[str, str]:
    """Give the header that shows an engine what is known of us at a registry; empty where nothing is."""
    with engine_told():
        known = await keyring.find(source.registry, source.repository)
    return {"X-Registry-Auth": _authorization(known)} if known else {}


NOBODY = {"X-Registry-Auth": base64.urlsafe_b64encode(b"{}").decode()}
"""What engines want to have where there is no login."""


def _authorization(known: credentials.Credentials) -> str:
    """Give what is known of us as the Engine API has it (``AuthConfig``)."""
    told = {"username": known.user, "password": known.password}
    if known.identity_token:
        told = {"identitytoken": known.identity_token}
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode()


async def chunks(file: IO[bytes], moved: Callable[[], None]) -> AsyncIterator[bytes]:
    """Give a file's bytes, from its beginning."""
    file.seek(0)
    while chunk := await asyncio.to_thread(file.read, _CHUNK):
        moved()
        yield chunk


async def received(
    answer: aiohttp.ClientResponse, out: api.Sink, moved: Callable[[], None], told: Callable[[int], None]
) -> None:
    """Write an answer's bytes, telling how many there have been."""
    done = 0
    async for chunk in answer.content.iter_chunked(_CHUNK):
        moved()
        await asyncio.to_thread(out.write, chunk)
        done += len(chunk)
        told(done)


async def finished(
    answer: aiohttp.ClientResponse, what: str, moved: Callable[[], None], progress: api.ProgressSink
) -> str:
    """Read progress to its end: failures come in it, behind a status that says all is well.

    Gives the digest that it names, or nothing.
    """
    rest, digest = b"", ""
    async for chunk in answer.content.iter_any():
        moved()
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(None, (one.strip() for one in lines)):
            digest = _take(line, what, progress) or digest
    if rest.strip():
        digest = _take(rest, what, progress) or digest
    return digest


def _take(line: bytes, what: str, progress: api.ProgressSink) -> str:
    told: Mapping[str, Any] = {}
    with contextlib.suppress(ValueError):
        told = json.loads(line)
    if told.get("error"):
        raise failures.of(500, str(told["error"]), what)
    detail = told.get("progressDetail") or {}
    if told.get("status"):
        words = " ".join(filter(None, (str(told.get("id", "")), str(told["status"]))))
        progress(api.Progress(words, int(detail.get("current") or 0), detail.get("total")))
    pushed = _PUSHED.search(str(told.get("status", "")))
    return pushed[1] if pushed else ""


def room(scratch: pathlib.Path) -> pathlib.Path | None:
    """Give a directory for archives on their way; ``None`` for the system's own, where ours cannot be made."""
    try:
        scratch.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return None
    return scratch


@contextlib.contextmanager
def engine_told() -> Iterator[None]:
    """Say in the runtime's words what our own engine's rooms fail with."""
    try:
        yield
    except engine_errors.NotFound as error:
        raise errors.NotFound(error.message, hint=error.hint, reason=error.reason) from error
    except engine_errors.Refused as error:
        raise errors.InvalidArgument(error.message, hint=error.hint, reason=error.reason) from error
    except engine_errors.EngineError as error:
        raise errors.Unavailable(error.message, hint=error.hint, reason=error.reason) from error


@contextlib.asynccontextmanager
async def registry(keyring: credentials.Keyring) -> AsyncIterator[client.RegistryClient]:
    """Give our own client of registries, with the logins that engines are shown."""
    with engine_told():
        async with client.RegistryClient(keyring=keyring) as made:
            yield made


@contextlib.contextmanager
def pushing() -> Iterator[None]:
    """Say of failures that it was a push that has failed."""
    try:
        yield
    except errors.RuntimeFailure as error:
        error.reason = _PUSH_REASONS.get(error.reason, error.reason)
        raise
