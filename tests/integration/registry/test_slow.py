"""Registries that give their bytes slowly: in nobody else's way, and given up below the least speed."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from agent.distribution.registry import client, hosts, retries, transport
from agent.kit import tasks
from agent.oci import descriptor, digest, mediatypes, reference
from tests import archives, registry
from tests import faulty_registry as faulty

DATA = bytes(1000)
BLOB = descriptor.Descriptor(mediatypes.LAYER, digest.of(DATA), len(DATA))
PATH = f"/v2/app/blobs/{BLOB.digest}"
LEAST = transport.LeastSpeed(limit=10_000, time=0.1)


def drips(data: bytes, began: asyncio.Event) -> faulty.Answer:
    """Answer with a byte each 30 ms."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        start = request.http_range.start or 0
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        body = web.StreamResponse(status=206 if start else 200, headers=headers)
        body.content_length = len(data) - start
        await body.prepare(request)
        for position in range(start, len(data)):
            if request.transport is None or request.transport.is_closing():
                break
            await body.write(data[position : position + 1])
            began.set()
            await asyncio.sleep(0.03)
        return body

    return answer


@contextlib.asynccontextmanager
async def _pulling(store: registry.Store, server: faulty.Server, count: int) -> AsyncIterator[None]:
    """Pull images of three layers each from a registry that drips, until the block ends."""
    began = [asyncio.Event() for _ in range(3)]
    for number in range(count):
        layers = [archives.tar(archives.file(f"{number}-{layer}")) for layer in range(3)]
        paths = server.publish(f"slow{number}", *((layer, layer) for layer in layers))
        for path, layer, event in zip(paths, layers, began, strict=True):
            server.answers[path] = drips(layer, event)

    async def pull(number: int) -> None:
        await store.pull(f"{server.address}/slow{number}:1")

    async with tasks.Crew(lambda *_: None) as crew:
        for number in range(count):
            crew.start(pull(number), name=f"pull {number}")
        await began[0].wait()
        yield
        assert all(f"pull {number}" in crew for number in range(count))


@pytest.mark.root
async def test_pull__another_registry_drips__is_ready_all_the_same(server, other, store) -> None:
    async with _pulling(store, server, 4):
        assert (await store.pull(other.image)).size > 0


@pytest.mark.root
async def test_load__a_registry_drips__is_ready_all_the_same(server, store, tmp_path) -> None:
    layers = [archives.tar(archives.file(f"{number}", b"x")) for number in range(5)]
    (tmp_path / "image.tar").write_bytes(archives.image(*layers).archive())
    async with _pulling(store, server, 4):
        loaded = await store.images.load(tmp_path / "image.tar", "localhost/test:latest", (), lambda _: None)
        assert loaded.size > 0


async def _all(asking: client.RegistryClient, source: reference.Reference) -> bytes:
    return b"".join([chunk async for chunk in asking.blob(source, BLOB)])


async def test_blob__slower_than_the_least__is_given_up_however_much_has_come(server) -> None:
    server.answers[PATH] = drips(DATA, asyncio.Event())
    async with client.RegistryClient(attempts=retries.Retries(pauses=(0.01,)), least=LEAST) as asking:
        with pytest.raises(transport.TooSlow, match="bytes a second, less than 10000"):
            await _all(asking, reference.parse(server.image))
    assert len(server.ranges(PATH)) == 2


async def test_blob__a_mirror_is_too_slow__comes_from_the_registry_and_the_log_says_so(server, other, caplog) -> None:
    other.answers[PATH] = drips(DATA, asyncio.Event())
    server.answers[PATH] = faulty.ranges(DATA)
    places = hosts.Hosts((hosts.Host(server.address, (f"http://{other.address}",)),))
    with caplog.at_level(logging.WARNING):
        async with client.RegistryClient(places, attempts=retries.Retries(pauses=(0.01,)), least=LEAST) as asking:
            assert await _all(asking, reference.parse(server.image)) == DATA
    assert [record.getMessage() for record in caplog.records if "is passed over" in record.getMessage()]


async def test_manifest__a_mirror_refuses__the_log_says_so_once_until_it_works_again(server, other, caplog) -> None:
    refusing = faulty.says(b"", 500)
    other.answers[faulty.MANIFEST_PATH] = faulty.in_turn(
        refusing, refusing, faulty.says(faulty.MANIFEST), refusing, faulty.says(b"", 404)
    )
    places = hosts.Hosts((hosts.Host(server.address, (f"http://{other.address}",)),))
    with caplog.at_level(logging.WARNING):
        async with client.RegistryClient(places, attempts=retries.Retries(pauses=())) as asking:
            for _ in range(5):
                await asking.manifest(reference.parse(server.image))
    assert [record.getMessage().partition(": ")[0] for record in caplog.records] == [
        f"the mirror {other.address} is passed over"
    ] * 2
