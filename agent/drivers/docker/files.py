"""Files of an engine's containers, by its archive endpoints."""

import asyncio
import base64
import contextlib
import json
import pathlib
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from typing import Any

from agent import errors
from agent.drivers.docker import connection, failures
from agent.reasons import Reason
from agent.runtime import files

_STATUS = "X-Docker-Container-Path-Stat"
_GO_DIRECTORY = 1 << 31
"""``os.ModeDir`` of Go, in whose terms engines tell modes."""
_REFUSALS = (
    *("read-only", "read only", "cannot overwrite", "existing path is a directory", "busy", "not permitted"),
    *("not a directory", "is a directory", "file exists", "directory not empty"),
)
_NO_ARCHIVES = ("unexpected EOF", "invalid tar header", "archive/tar", "is outside of")
_CHUNK = 64 * 1024
_ATTEMPTS = 4
_PAUSE = 0.2
"""Seconds, more each time: Podman takes away the file system of a container that has just ended, and sends nothing."""
_MOST_LINKS = 40
"""Links in a row; an engine follows all of them at once."""


@contextlib.asynccontextmanager
async def copy_out(
    engine: connection.Connection, identity: str, ref: str, path: str
) -> AsyncIterator[AsyncIterator[bytes]]:
    """Open an archive of what is at a path, whose links are followed. Raises as ``Files``."""
    asked, (path, status) = path, await _followed(engine, identity, ref, path)
    if asked.endswith(("/", "/.")) and not _is_directory(status):
        raise files.absent(asked, ref)
    for attempt in range(_ATTEMPTS):
        await asyncio.sleep(attempt * _PAUSE)
        call = engine.stream_response(_path(identity), f"{path} in container {ref}", params={"path": path})
        async with call as answer:
            pieces = _pieces(answer.content.iter_chunked(_CHUNK), ref)
            if first := await anext(pieces, b""):
                yield _continued(first, pieces)
                return
    message = f"{path} in container {ref}: the engine sends an empty archive"
    raise errors.Unavailable(message, hint="try again", reason=Reason.ENGINE_FAILURE)


async def _continued(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in pieces:
        yield piece


async def copy_in(
    engine: connection.Connection, inspected: Mapping[str, Any], ref: str, path: str, archive: AsyncIterable[bytes]
) -> None:
    """Unpack an archive at a path of an inspected container. Raises as ``Files``."""
    identity = str(inspected["Id"])
    path, status = await _followed(engine, identity, ref, path)
    if not _is_directory(status):
        message = f"{path} in container {ref} is no directory"
        raise errors.InvalidArgument(message, reason=Reason.NOT_A_DIRECTORY)
    if is_read_only(inspected, path):
        raise errors.Conflict(f"{path} in container {ref} cannot be written: read-only file system")
    params = {"path": path, "noOverwriteDirNonDir": "true"}
    source = _Source(archive)
    try:
        with _refusals():
            call = engine.stream_response(
                _path(identity), f"{path} in container {ref}", method="PUT", params=params, data=source.pieces()
            )
            async with call as answer:
                await answer.read()
    except errors.Failure as error:
        if source.failure is not None:
            raise source.failure from error
        raise


class _Source:
    """An archive that is sent, and what has befallen it: for the client that is a broken connection."""

    def __init__(self, archive: AsyncIterable[bytes]) -> None:
        self._archive = archive
        self.failure: Exception | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._archive:
                yield piece
        except Exception as error:
            self.failure = error
            raise


def is_read_only(inspected: Mapping[str, Any], path: str) -> bool:
    """Return whether a container may not write at a path, which keeps Podman from nothing: it writes from outside."""
    host = inspected.get("HostConfig") or {}
    writable = {"/": not host.get("ReadonlyRootfs"), **dict.fromkeys(host.get("Tmpfs") or (), True)}
    writable |= {str(mount["Destination"]): bool(mount.get("RW")) for mount in inspected.get("Mounts") or ()}
    normal = pathlib.PurePosixPath(path)
    return not next(writable[str(above)] for above in (normal, *normal.parents) if str(above) in writable)


async def _followed(engine: connection.Connection, identity: str, ref: str, path: str) -> tuple[str, dict[str, Any]]:
    """Return where a path leads, and what an engine says of that. Raises ``errors.NotFound``."""
    path = _without_dot(path)
    for _ in range(_MOST_LINKS):
        status = await _status(engine, identity, ref, path)
        target = _without_dot(str(status.get("linkTarget") or path))
        if target == path:
            return path, status
        path = target
    raise errors.InvalidArgument(f"{path} in container {ref}: too many links")


def _without_dot(path: str) -> str:
    """Return a path without ``/.`` behind it, for which Podman leaves a directory's own name out of what is in it."""
    while path.endswith(("/", "/.")) and path != "/":
        path = path.removesuffix(".").rstrip("/") or "/"
    return path


def _is_directory(status: Mapping[str, Any]) -> bool:
    return bool(int(status.get("mode") or 0) & _GO_DIRECTORY)


async def _status(engine: connection.Connection, identity: str, ref: str, path: str) -> dict[str, Any]:
    """Return what an engine says of a path. Raises ``errors.NotFound``."""
    files.check_path(path)
    try:
        call = engine.stream_response(_path(identity), f"container {ref}", method="HEAD", params={"path": path})
        async with call as answer:
            status: dict[str, Any] = json.loads(base64.b64decode(answer.headers.get(_STATUS, "e30=")))
    except errors.NotFound as error:
        raise files.absent(path, ref) from error
    return status


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Raise ``errors.Conflict`` for what the tree does not allow: engines have no status for it."""
    try:
        yield
    except errors.Failure as error:
        if any(phrase in error.message for phrase in _REFUSALS):
            raise errors.Conflict(error.message) from error
        if any(phrase in error.message for phrase in _NO_ARCHIVES):
            raise errors.InvalidArgument(error.message) from error
        raise


async def _pieces(chunks: AsyncIterator[bytes], ref: str) -> AsyncIterator[bytes]:
    with failures.translated(f"container {ref}"):
        async for chunk in chunks:
            yield chunk


def _path(identity: str) -> str:
    return f"containers/{identity}/archive"
