"""The images' role over an engine: pulled by it, or loaded into it from an archive."""

import asyncio
import base64
import contextlib
import dataclasses
import json
import pathlib
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from typing import IO, Any

import aiohttp

from agent.drivers.docker import connection, failures, names, references
from agent.engine import errors as engine_errors
from agent.engine.images import docker_archive
from agent.engine.registry import credentials
from agent.model import image
from agent.model.key import Kind, Pairs
from agent.oci import reference
from agent.runtime import api, errors

_CHUNK = 1024 * 1024
_SILENCE = 30.0
"""So many times the usual patience may nothing at all move: Podman loads an image without a word."""


@dataclasses.dataclass(frozen=True, slots=True)
class Images:
    """``runtime.api.Images`` over the Engine API. Whose an image is, is noted: engines cannot label one."""

    engine: connection.Connection
    names: names.Names
    scratch: pathlib.Path
    """A directory for archives on their way; what a crash left in it is nobody's."""

    async def list(self) -> tuple[image.ObservedImage, ...]:
        """Give all images, sorted by reference."""
        found = await self.engine.ask("images/json", "images")
        labels = self.names.book.images()
        told = [one for entry in found for one in references.observed_images(entry, labels)]
        return tuple(sorted(told, key=lambda one: one.reference))

    async def ensure(self, config: image.ImageConfig, labels: Pairs, progress: api.ProgressSink) -> image.ObservedImage:
        """Pull or load it."""
        match config.source:
            case image.PullSource():
                await self._pull(config.reference, config.source.platform, progress)
            case image.ArchiveSource():
                await self._load(pathlib.Path(config.source.path), config.reference, progress)
        self.names.book.note_image(config.reference, labels)
        found = await self.engine.ask(f"images/{config.reference}/json", f"image {config.reference}")
        return image.ObservedImage(str(found["Id"]), config.reference, labels, int(found.get("Size") or 0))

    async def remove(self, name: str) -> None:
        """Drop the reference, and the content that nothing else uses."""
        what = f"image {name}"
        found = await self.engine.ask(f"images/{name}/json", what)
        users = [
            (one.get("Names") or ["/?"])[0].removeprefix("/")
            for one in await self.engine.ask("containers/json", "containers", params={"all": "true"})
            if one.get("ImageID") == found["Id"] and references.same(str(one.get("Image", "")), name)
        ]
        if users:
            raise errors.InUse(f"{what} is used by {', '.join(users)}", hint="remove the container first")
        await self.engine.ask(f"images/{name}", what, method="DELETE")
        self.names.book.forget(Kind.IMAGE, name)

    async def _pull(self, name: str, platform: str, progress: api.ProgressSink) -> None:
        source = reference.parse(name)
        params = {"fromImage": f"{source.registry}/{source.repository}", "tag": source.digest or source.tag or "latest"}
        if platform:
            params["platform"] = platform
        known = await asyncio.to_thread(credentials.find, source.registry, credentials.config_path())
        headers = {"X-Registry-Auth": _authorization(known)} if known else {}
        progress(api.Progress(f"pulling {name}"))
        async with (
            self._watched(f"image {name}") as moved,
            self.engine.streamed(
                "images/create", f"image {name}", method="POST", params=params, headers=headers
            ) as answer,
        ):
            await _finished(answer, f"image {name}", moved, progress)

    async def _load(self, path: pathlib.Path, name: str, progress: api.ProgressSink) -> None:
        """Load an archive of any kind: engines take only ``docker save``'s, so it is made into one first."""
        progress(api.Progress(f"reading {path}"))
        self.scratch.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.scratch) as file:
            try:
                await asyncio.to_thread(docker_archive.convert, path, name, file, self.scratch)
            except engine_errors.NotFound as error:
                raise errors.NotFound(error.message, hint=error.hint, reason=error.reason) from error
            except engine_errors.Refused as error:
                raise errors.InvalidArgument(error.message, hint=error.hint, reason=error.reason) from error
            except engine_errors.EngineError as error:
                raise errors.Unavailable(error.message, hint=error.hint, reason=error.reason) from error
            progress(api.Progress(f"loading {name}"))
            async with (
                self._watched(f"image {name}") as moved,
                self.engine.streamed(
                    "images/load", f"image {name}", method="POST", params={"quiet": "false"}, data=_chunks(file, moved)
                ) as answer,
            ):
                await _finished(answer, f"image {name}", moved, progress)

    @contextlib.asynccontextmanager
    async def _watched(self, what: str) -> AsyncIterator[Callable[[], None]]:
        """Give up on something that takes as long as it likes once nothing moves any more; gives what tells it so."""
        limit = _SILENCE * self.engine.patience
        loop = asyncio.get_running_loop()
        with failures.translated(what):
            async with asyncio.timeout(limit) as bound:
                yield lambda: bound.reschedule(loop.time() + limit)


def _authorization(known: credentials.Credentials) -> str:
    told = {"username": known.user, "password": known.password}
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode()


async def _chunks(file: IO[bytes], moved: Callable[[], None]) -> AsyncIterator[bytes]:
    file.seek(0)
    while chunk := await asyncio.to_thread(file.read, _CHUNK):
        moved()
        yield chunk


async def _finished(
    answer: aiohttp.ClientResponse, what: str, moved: Callable[[], None], progress: api.ProgressSink
) -> None:
    """Read progress to its end: failures come in it, behind a status that says all is well."""
    rest = b""
    async for chunk in answer.content.iter_any():
        moved()
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(None, (one.strip() for one in lines)):
            _take(line, what, progress)
    if rest.strip():
        _take(rest, what, progress)


def _take(line: bytes, what: str, progress: api.ProgressSink) -> None:
    told: Mapping[str, Any] = {}
    with contextlib.suppress(ValueError):
        told = json.loads(line)
    if told.get("error"):
        raise failures.of(500, str(told["error"]), what)
    detail = told.get("progressDetail") or {}
    if told.get("status"):
        words = " ".join(filter(None, (str(told.get("id", "")), str(told["status"]))))
        progress(api.Progress(words, int(detail.get("current") or 0), detail.get("total")))
