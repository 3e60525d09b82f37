"""Registries that lie, break and never end: each has its own kind of error, and nothing of it stays."""

import asyncio
import hashlib
import json

import pytest
from aiohttp import web

from agent.oci import digest, mediatypes
from tests import faulty_registry as faulty

pytestmark = pytest.mark.root

BROKEN = ("Unavailable", "ImagePullFailed")
REFUSED = ("InvalidArgument", "ImageRefused")
WRONG = ("InvalidArgument", "DigestMismatch")


async def test_pull__everything_is_right__is_there(server, store) -> None:
    pulled = await store.pull(server.image)
    assert (pulled.lower_dirs[0] / "file").exists()
    assert store.content.digests() == {digest.of(content) for content in (faulty.MANIFEST, faulty.CONFIG, faulty.LAYER)}
    assert {headers["Accept-Encoding"] for headers in server.headers} == {"identity"}


@pytest.mark.parametrize("status", [300, 304, 400, 429, 500, 503])
@pytest.mark.parametrize("path", [faulty.MANIFEST_PATH, faulty.LAYER_PATH])
async def test_answer__is_no_success__is_unavailable(server, store, path: str, status: int) -> None:
    server.answers[path] = faulty.says(b"", status)
    assert await store.failure(server.image) == BROKEN


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("path", [faulty.MANIFEST_PATH, faulty.LAYER_PATH])
async def test_answer__is_no_without_a_challenge__is_denied(server, store, path: str, status: int) -> None:
    server.answers[path] = faulty.says(b"", status)
    assert await store.failure(server.image) == ("InvalidArgument", "ImagePullDenied")


async def test_manifest__is_not_what_was_pinned__is_refused(server, store) -> None:
    pinned = digest.of(b"another")
    server.answers[f"/v2/app/manifests/{pinned}"] = faulty.says(faulty.MANIFEST)
    assert await store.failure(f"{server.address}/app@{pinned}") == WRONG
    assert store.content.digests() == frozenset()


async def test_manifest__pinned_by_sha512__is_verified_by_it(server, store) -> None:
    pinned = f"sha512:{hashlib.sha512(faulty.MANIFEST).hexdigest()}"
    server.answers[f"/v2/app/manifests/{pinned}"] = faulty.says(faulty.MANIFEST)
    assert (await store.pull(f"{server.address}/app@{pinned}")).size > 0
    wrong = f"sha512:{'0' * 128}"
    server.answers[f"/v2/app/manifests/{wrong}"] = faulty.says(faulty.MANIFEST)
    assert await store.failure(f"{server.address}/app@{wrong}") == WRONG


async def test_manifest__of_the_index_is_another__is_refused(server, store) -> None:
    child = faulty.entry(mediatypes.MANIFEST, b"another")
    server.answers[faulty.MANIFEST_PATH] = faulty.says(json.dumps({"manifests": [child]}).encode())
    server.answers[f"/v2/app/manifests/{child['digest']}"] = faulty.says(faulty.MANIFEST)
    assert await store.failure(server.image) == WRONG


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"<html>", b"[]", b"null", b"\xff", b'{"a":"\xed\xa0\x80"}', b"[" * 100_000, b'{"schemaVersion":1}'],
)
async def test_manifest__is_none__is_refused(server, store, data: bytes) -> None:
    server.answers[faulty.MANIFEST_PATH] = faulty.says(data)
    assert await store.failure(server.image) == REFUSED


@pytest.mark.parametrize("size", [-1, 1.5, "3", True, None, (1 << 50) + 1, 10**30])
@pytest.mark.parametrize("part", ["config", "layers"])
async def test_manifest__with_an_absurd_size__is_refused_even_where_the_blob_is_known(
    server, store, part: str, size: object
) -> None:
    store.content.put(mediatypes.CONFIG, faulty.CONFIG)
    store.content.put(mediatypes.LAYER_GZIP, faulty.LAYER)
    config = {**faulty.IMAGE["config"], **({"size": size} if part == "config" else {})}
    layer = {**faulty.IMAGE["layers"][0], **({"size": size} if part == "layers" else {})}
    manifest = {**faulty.IMAGE, "config": config, "layers": [layer]}
    server.answers[faulty.MANIFEST_PATH] = faulty.says(json.dumps(manifest).encode())
    assert await store.failure(server.image) == REFUSED


@pytest.mark.parametrize(
    ("size", "expected"), [(0, WRONG), (len(faulty.LAYER) - 1, WRONG), (len(faulty.LAYER) + 1, BROKEN)]
)
async def test_blob__is_not_as_long_as_announced__is_not_taken(server, store, size: int, expected) -> None:
    """What is too long is wrong; what is too short may only have broken off, and is asked for again."""
    manifest = {**faulty.IMAGE, "layers": [{**faulty.IMAGE["layers"][0], "size": size}]}
    server.answers[faulty.MANIFEST_PATH] = faulty.says(json.dumps(manifest).encode())
    assert await store.failure(server.image) == expected
    assert (store.images.list(), store.snapshots()) == ((), [])


@pytest.mark.parametrize(
    "data",
    [bytes(len(faulty.LAYER)), faulty.LAYER[:4] + b"1234" + faulty.LAYER[8:]],
    ids=["no layer", "the same files, packed at another time"],
)
async def test_blob__is_another_of_the_same_length__is_refused_for_its_digest(server, store, data: bytes) -> None:
    """It is unpacked while it comes, but what comes is no fault of the image where it is not what was announced."""
    server.answers[faulty.LAYER_PATH] = faulty.says(data)
    assert await store.failure(server.image) == ("InvalidArgument", "DigestMismatch")
    assert digest.of(faulty.LAYER) not in store.content.digests()
    assert (store.content.partials(), store.snapshots()) == ([], [])


async def test_blob__is_not_there__is_not_found(server, store) -> None:
    del server.answers[faulty.LAYER_PATH]
    assert await store.failure(server.image) == ("NotFound", "ImageNotFound")


async def test_blob__has_no_end__is_cut_where_it_should_end(server, store) -> None:
    server.answers[faulty.LAYER_PATH] = faulty.streams(None, bytes(65536), endlessly=True)
    assert await store.failure(server.image) == WRONG


async def test_manifest__has_no_end__is_cut(server, store) -> None:
    server.answers[faulty.MANIFEST_PATH] = faulty.streams(None, b" " * 65536, endlessly=True)
    assert await store.failure(server.image) == REFUSED


@pytest.mark.parametrize("path", [faulty.MANIFEST_PATH, faulty.LAYER_PATH])
@pytest.mark.parametrize("sent", [b"", b"{"])
async def test_body__ends_before_it_should__is_unavailable(server, store, path: str, sent: bytes) -> None:
    server.answers[path] = faulty.streams(100, sent)
    assert await store.failure(server.image) == BROKEN
    assert store.images.list() == ()
    server.answers[path] = faulty.says(faulty.MANIFEST if path == faulty.MANIFEST_PATH else faulty.LAYER)
    assert (await store.pull(server.image)).reference == server.image


@pytest.mark.parametrize("path", [faulty.MANIFEST_PATH, faulty.LAYER_PATH])
async def test_connection__is_cut__is_unavailable(server, store, path: str) -> None:
    server.answers[path] = faulty.cuts
    assert await store.failure(server.image) == BROKEN


async def test_answer__is_not_http__is_unavailable(store) -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        assert await store.failure(f"127.0.0.1:{port}/app:1") == BROKEN


async def test_body__comes_byte_by_byte__is_taken(server, store) -> None:
    server.answers[faulty.MANIFEST_PATH] = faulty.trickles(faulty.MANIFEST)
    server.answers[faulty.LAYER_PATH] = faulty.trickles(faulty.LAYER)
    assert (await store.pull(server.image)).reference == server.image


async def test_layer__unpacks_to_something_else__is_refused(server, store) -> None:
    config = json.dumps({"rootfs": {"diff_ids": [digest.of(b"another")]}}).encode()
    manifest = {**faulty.IMAGE, "config": faulty.entry(mediatypes.CONFIG, config)}
    server.answers[faulty.MANIFEST_PATH] = faulty.says(json.dumps(manifest).encode())
    server.answers[f"/v2/app/blobs/{digest.of(config)}"] = faulty.says(config)
    assert await store.failure(server.image) == WRONG


async def test_pull__is_cancelled_amid_a_blob__leaves_what_has_come_of_it_and_nothing_else(server, store) -> None:
    begun, never = asyncio.Event(), asyncio.Event()

    async def stall(request: web.BaseRequest) -> web.StreamResponse:
        body = web.StreamResponse()
        body.content_length = len(faulty.LAYER)
        await body.prepare(request)
        await body.write(faulty.LAYER[:10])
        begun.set()
        await never.wait()
        return body

    async def blob_begun() -> None:
        await begun.wait()
        while not store.partial():  # noqa: ASYNC110 - observed from outside on purpose
            await asyncio.sleep(0.001)

    server.answers[faulty.LAYER_PATH] = stall
    async with asyncio.TaskGroup() as group:
        pulling = group.create_task(store.pull(server.image))
        await blob_begun()
        pulling.cancel()
    assert pulling.cancelled()
    assert (store.partial(), store.snapshots()) == (faulty.LAYER[:10], [])
    assert (store.content.unfinished(), store.images.list()) == ([], ())
