"""A registry that says what a test tells it to: right unless told otherwise, and with a memory of what it was asked."""

import asyncio
import base64
import contextlib
import gzip
import io
import json
import pathlib
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from agent.oci import digest, mediatypes
from tests import registry

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

LOGIN = "Basic " + base64.b64encode(f"{registry.USER}:{registry.PASSWORD}".encode()).decode()
"""What the right login looks like in a request."""


def entry(media_type: str, data: bytes, **fields: Any) -> dict[str, Any]:
    """Return the descriptor of bytes, with some of it changed."""
    return {"mediaType": media_type, "digest": digest.of(data), "size": len(data), **fields}


def _layer() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("file"))
    return buffer.getvalue()


LAYER = gzip.compress(_layer(), mtime=0)
CONFIG = json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest.of(_layer())]}}).encode()
IMAGE: Mapping[str, Any] = {
    "schemaVersion": 2,
    "mediaType": mediatypes.MANIFEST,
    "config": entry(mediatypes.CONFIG, CONFIG),
    "layers": [entry(mediatypes.LAYER_GZIP, LAYER)],
}
MANIFEST = json.dumps(IMAGE).encode()
MANIFEST_PATH = "/v2/app/manifests/1"
CONFIG_PATH = f"/v2/app/blobs/{digest.of(CONFIG)}"
LAYER_PATH = f"/v2/app/blobs/{digest.of(LAYER)}"


class Server:
    """A registry with one image, ``app:1``."""

    def __init__(self, address: str) -> None:
        """Answer rightly."""
        self.address = address
        self.answers = {MANIFEST_PATH: says(MANIFEST), CONFIG_PATH: says(CONFIG), LAYER_PATH: says(LAYER)}
        self.asked: list[tuple[str, str]] = []
        """Each request: its path and query, and what it has shown to be let in."""
        self.headers: list[Mapping[str, str]] = []
        self.methods: list[str] = []

    @property
    def image(self) -> str:
        """The reference of its image."""
        return f"{self.address}/app:1"

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        self.asked.append((request.path_qs, request.headers.get("Authorization", "")))
        self.headers.append(request.headers)
        self.methods.append(request.method)
        answer = self.answers.get(request.path)
        return await answer(request) if answer else web.Response(status=404)

    def publish(self, repository: str, *layers: tuple[bytes, bytes]) -> list[str]:
        """Publish one more image, ``repository:1``, of layers (packed, plain), and return the layers' paths."""
        diff_ids = [digest.of(plain) for _, plain in layers]
        config = json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": mediatypes.MANIFEST,
            "config": entry(mediatypes.CONFIG, config),
            "layers": [entry(mediatypes.LAYER_GZIP, packed) for packed, _ in layers],
        }
        self.answers[f"/v2/{repository}/manifests/1"] = says(json.dumps(manifest).encode())
        for blob in (config, *(packed for packed, _ in layers)):
            self.answers[f"/v2/{repository}/blobs/{digest.of(blob)}"] = ranges(blob)
        return [f"/v2/{repository}/blobs/{digest.of(packed)}" for packed, _ in layers]

    def guard(self, authorization: str, challenge: str) -> None:
        """Answer rightly, but only those who show the right thing."""
        for path, data in ((MANIFEST_PATH, MANIFEST), (CONFIG_PATH, CONFIG), (LAYER_PATH, LAYER)):
            self.answers[path] = guards(data, authorization, challenge)

    def count(self, path: str) -> int:
        """Count how often something has been asked for."""
        return sum(asked.partition("?")[0] == path for asked, _ in self.asked)

    def ranges(self, path: str) -> list[str | None]:
        """Return which ranges of something have been asked for, ``None`` for all of it."""
        requests = zip(self.asked, self.headers, strict=True)
        return [headers.get("Range") for (asked, _), headers in requests if asked == path]

    def log_in(self, folder: pathlib.Path, login: str = LOGIN) -> None:
        """Let ``folder`` (``DOCKER_CONFIG``) be that of somebody who is logged in here."""
        config = {"auths": {self.address: {"auth": login.removeprefix("Basic ")}}}
        (folder / "config.json").write_text(json.dumps(config))


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[Server]:
    """Run one on a free port."""
    server = Server("")
    async with listening(server.answer) as server.address:
        yield server


@contextlib.asynccontextmanager
async def listening(answer: Answer) -> AsyncIterator[str]:
    """Start a server on a free port and return its address."""
    low = web.Server(answer, handler_cancellation=True)
    socket = await asyncio.get_running_loop().create_server(low, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{socket.sockets[0].getsockname()[1]}"
    finally:
        socket.close()
        await low.shutdown(timeout=0)
        await socket.wait_closed()


def says(data: bytes, status: int = 200, **headers: str) -> Answer:
    """Answer always the same; ``WWW_Authenticate`` is the header with that name."""

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(
            body=data, status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    return answer


def redirects(to: str, status: int = 307) -> Answer:
    """Answer that it is elsewhere."""
    return says(b"", status, Location=to)


def guards(data: bytes, authorization: str, challenge: str) -> Answer:
    """Answer only those who show the right thing, and the others with a challenge."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Authorization") == authorization:
            return web.Response(body=data)
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    return answer


def bearer(realm: str) -> str:
    """Return the challenge that sends clients to a realm, for a token."""
    return f'Bearer realm="{realm}",service="the registry",scope="repository:app:pull,push"'


def streams(announced: int | None, *parts: bytes, endlessly: bool = False) -> Answer:
    """Begin a body and cut the connection; ``endlessly`` sends the parts again and again instead."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        body = web.StreamResponse()
        body.content_length = announced
        await body.prepare(request)
        while True:
            for part in parts:
                await body.write(part)
            if not endlessly:
                break
        assert request.transport is not None
        request.transport.close()
        return body

    return answer


def in_turn(*answers: Answer) -> Answer:
    """Answer each time something else, and from then on the last."""
    remaining = list(answers)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return await (remaining.pop(0) if len(remaining) > 1 else remaining[0])(request)

    return answer


def ranges(data: bytes) -> Answer:
    """Answer with what is asked for of it, as a server that knows ranges."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        start, end = request.http_range.start or 0, request.http_range.stop or len(data)
        if "Range" not in request.headers:
            return web.Response(body=data)
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}
        return web.Response(body=data[start:end], status=206, headers=headers)

    return answer


def breaks_off(data: bytes, after: int) -> Answer:
    """Answer as a server that knows ranges, and cut the connection once so many bytes have been sent."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        start = request.http_range.start or 0
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        body = web.StreamResponse(status=206 if start else 200, headers=headers)
        body.content_length = len(data) - start
        await body.prepare(request)
        await body.write(data[start : start + after])
        assert request.transport is not None
        request.transport.close()
        return body

    return answer


def trickles(data: bytes) -> Answer:
    """Answer byte by byte, each in a packet of its own."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        body = web.StreamResponse()
        body.content_length = len(data)
        await body.prepare(request)
        for position in range(len(data)):
            await body.write(data[position : position + 1])
            await asyncio.sleep(0)
        await body.write_eof()
        return body

    return answer


async def cuts(request: web.BaseRequest) -> web.StreamResponse:
    """Cut the connection without a word."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
