"""A registry in memory that takes what is pushed, rightly unless a test tells it otherwise, and remembers all of it."""

import contextlib
import dataclasses
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from agent.oci import digest
from tests import faulty_registry as faulty

Fault = Callable[["Registry", web.BaseRequest], Awaitable[web.StreamResponse]]

_UPLOAD = re.compile(r"/v2/(.+)/blobs/uploads/([0-9]*)")
_BLOB = re.compile(r"/v2/(.+)/blobs/(sha256:[0-9a-f]{64})")
_MANIFEST = re.compile(r"/v2/(.+)/manifests/(.+)")


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """A request."""

    method: str
    path: str
    """With its query."""
    shown: str
    """What it has shown to be let in."""
    range: str
    """What it says of its body's place."""
    size: int
    """Bytes of the body that were announced."""


@dataclasses.dataclass(slots=True)
class Registry:
    """A registry that takes uploads, with what was pushed and the faults to come."""

    address: str = ""
    blobs: dict[tuple[str, str], bytes] = dataclasses.field(default_factory=dict)
    """By (repository, digest)."""
    manifests: dict[tuple[str, str], tuple[str, bytes]] = dataclasses.field(default_factory=dict)
    """(media type, bytes) by (repository, name)."""
    uploads: list[bytearray | None] = dataclasses.field(default_factory=list)
    """Each that was begun; ``None`` for one that is over."""
    asked: list[Asked] = dataclasses.field(default_factory=list)
    host: str = ""
    """Where uploads are to go, if not here: ``http://HOST:PORT``."""
    least: int = 0
    """What chunks are asked to have at least."""
    required_login: tuple[str, str] | None = None
    """What has to be shown, and the challenge for who does not show it."""
    _faults: dict[str, list[Fault]] = dataclasses.field(default_factory=dict)

    def fails(self, method: str, *faults: Fault) -> None:
        """Do something else at the next requests of a method; those about manifests are called ``MANIFEST``."""
        self._faults.setdefault(method, []).extend(faults)

    def of(self, *methods: str) -> list[Asked]:
        """Return the requests of some methods."""
        return [request for request in self.asked if request.method in methods]

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        headers = request.headers
        shown, ranged = headers.get("Authorization", ""), headers.get("Content-Range", "")
        self.asked.append(Asked(request.method, request.path_qs, shown, ranged, int(headers.get("Content-Length", 0))))
        if self.required_login is not None and shown != self.required_login[0]:
            return web.Response(status=401, headers={"WWW-Authenticate": self.required_login[1]})
        kind = "MANIFEST" if _MANIFEST.fullmatch(request.path) else request.method
        if self._faults.get(kind):
            return await self._faults[kind].pop(0)(self, request)
        return await self.rightly(request)

    async def rightly(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer as the specification has it."""
        if match := _UPLOAD.fullmatch(request.path):
            return await self._upload(request, match[1], match[2])
        if match := _BLOB.fullmatch(request.path):
            return web.Response(status=200 if (match[1], match[2]) in self.blobs else 404)
        match = _MANIFEST.fullmatch(request.path)
        assert match is not None, request.path
        data = await request.content.read()
        self.manifests[match[1], match[2]] = (request.headers["Content-Type"], data)
        return web.Response(status=201, headers={"Docker-Content-Digest": digest.of(data)})

    async def _upload(self, request: web.BaseRequest, repository: str, number: str) -> web.StreamResponse:
        if request.method == "POST":
            return self._begun(request, repository)
        part = self.uploads[int(number)]
        if part is None:
            return refuses(404, "BLOB_UPLOAD_UNKNOWN")
        if request.method in {"PATCH", "PUT"}:
            part += await request.content.read()
        if request.method != "PUT":
            return self.stands(repository, number)
        digest_named = request.query["digest"]
        if digest.of(bytes(part)) != digest_named:
            return refuses(400, "DIGEST_INVALID", "it is \x1b[31mnot\x1b[0m")
        self.uploads[int(number)] = None
        self.blobs[repository, digest_named] = bytes(part)
        return web.Response(status=201)

    def _begun(self, request: web.BaseRequest, repository: str) -> web.StreamResponse:
        if (request.query.get("from", ""), request.query.get("mount", "")) in self.blobs:
            digest_named = request.query["mount"]
            self.blobs[repository, digest_named] = self.blobs[request.query["from"], digest_named]
            return web.Response(status=201)
        self.uploads.append(bytearray())
        return self.stands(repository, str(len(self.uploads) - 1))

    def stands(self, repository: str, number: str) -> web.StreamResponse:
        """Answer with the position of an upload."""
        part = self.uploads[int(number)]
        assert part is not None
        headers = {"Range": f"0-{max(len(part) - 1, 0)}"}
        headers["Location"] = f"{self.host}/v2/{repository}/blobs/uploads/{number}?state=a%2Fb"
        if self.least:
            headers["OCI-Chunk-Min-Length"] = str(self.least)
        return web.Response(status=202, headers=headers)


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[Registry]:
    """Run one on a free port."""
    registry = Registry()
    async with faulty.listening(registry.answer) as registry.address:
        yield registry


def refuses(status: int, code: str, message: str = "no") -> web.StreamResponse:
    """Refuse in the specification's words."""
    return web.Response(status=status, text=json.dumps({"errors": [{"code": code, "message": message}]}))


def says(status: int, code: str = "", **headers: str) -> Fault:
    """Answer something, whatever was asked; ``Retry_After`` is the header with that name."""

    async def fault(_: Registry, request: web.BaseRequest) -> web.StreamResponse:
        await request.content.read()
        text = json.dumps({"errors": [{"code": code, "message": "no"}]}) if code else ""
        header_fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=text, headers=header_fields)

    return fault


def takes(count: int, *, cut: bool = False) -> Fault:
    """Take only so many bytes of what is sent; ``cut``: and end the connection instead of saying so."""

    async def fault(registry: Registry, request: web.BaseRequest) -> web.StreamResponse:
        match = _UPLOAD.fullmatch(request.path)
        assert match is not None
        part = registry.uploads[int(match[2])]
        assert part is not None
        part += await request.content.readexactly(count)
        if cut:
            assert request.transport is not None
            request.transport.abort()
        else:
            await request.content.read()
        return registry.stands(match[1], match[2])

    return fault


async def done_unheard(registry: Registry, request: web.BaseRequest) -> web.StreamResponse:
    """Do it, and end the connection before anybody hears of it."""
    await registry.rightly(request)
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def forgets(registry: Registry, request: web.BaseRequest) -> web.StreamResponse:
    """Forget all uploads, and say so."""
    registry.uploads = [None for _ in registry.uploads]
    return await registry.rightly(request)
