"""Layers on their way: what a break leaves is gone on with, and nobody fetches what another fetches."""

import asyncio
import gzip
import pathlib
import random

import pytest
import zstandard
from aiohttp import web

from tests import archives, registry
from tests import faulty_registry as faulty

pytestmark = pytest.mark.root

CONTENT = random.Random(8).randbytes(500_000)  # noqa: S311 - the same each time
PLAIN = archives.tar(archives.file("file", CONTENT))
GZIP = gzip.compress(PLAIN, mtime=0)
ZSTD = zstandard.compress(PLAIN)
CUT = 200_000


def _unpacks(store: registry.Store, name: str) -> bool:
    """Return whether a pull has got as far as an image's layers."""
    return any(stage.message.startswith("unpacking") and stage.message.endswith(f"/{name}") for stage in store.stages)


def _only(folder: pathlib.Path) -> pathlib.Path:
    """Return the one partial download of a store."""
    (path,) = (folder / "store/root/content/ingest").iterdir()
    return path


async def _broken_off(server: faulty.Server, tmp_path: pathlib.Path) -> str:
    """Pull an image whose layer breaks off for good, in a store that is closed then; give the layer's path."""
    (path,) = server.publish("big", (GZIP, PLAIN))
    server.answers[path] = faulty.in_turn(faulty.breaks_off(GZIP, CUT), faulty.cuts)
    async with registry.opened(tmp_path / "store") as store:
        assert await store.failure(f"{server.address}/big:1") == ("Unavailable", "ImagePullFailed")
        assert (len(store.content.partials()), store.images.list()) == (1, ())
    assert _only(tmp_path).read_bytes() == GZIP[:CUT]
    server.answers[path] = faulty.ranges(GZIP)
    server.asked.clear()
    server.headers.clear()
    return path


async def test_layer__has_broken_off_and_the_agent_is_another__is_gone_on_with(server, tmp_path) -> None:
    path = await _broken_off(server, tmp_path)
    async with registry.opened(tmp_path / "store") as store:
        pulled = await store.pull(f"{server.address}/big:1")
        assert (pulled.lower_dirs[0] / "file").read_bytes() == CONTENT
        assert server.ranges(path) == [f"bytes={CUT}-"]
        assert store.content.partials() == []


async def test_layer__has_broken_off_within_its_first_bytes__is_gone_on_with(server, store) -> None:
    (path,) = server.publish("big", (GZIP, PLAIN))
    server.answers[path] = faulty.in_turn(*[faulty.breaks_off(GZIP, 1)] * 5, faulty.ranges(GZIP))
    pulled = await store.pull(f"{server.address}/big:1")
    assert (pulled.lower_dirs[0] / "file").read_bytes() == CONTENT
    assert server.ranges(path) == [None, *(f"bytes={count}-" for count in range(1, 6))]


@pytest.mark.parametrize("where", [0, CUT // 2, CUT - 1])
async def test_layer__was_damaged_where_it_lay__is_found_out_and_fetched_from_the_beginning(
    server, tmp_path, where: int
) -> None:
    path = await _broken_off(server, tmp_path)
    partial = _only(tmp_path)
    damaged = bytearray(partial.read_bytes())
    damaged[where] ^= 0xFF
    partial.write_bytes(damaged)
    async with registry.opened(tmp_path / "store") as store:
        pulled = await store.pull(f"{server.address}/big:1")
        assert (pulled.lower_dirs[0] / "file").read_bytes() == CONTENT
        assert server.ranges(path) == [f"bytes={CUT}-", None]
        assert store.content.partials() == []


async def test_layer__has_come_whole_but_was_never_kept__is_not_fetched_again(server, tmp_path) -> None:
    path = await _broken_off(server, tmp_path)
    _only(tmp_path).write_bytes(GZIP)
    async with registry.opened(tmp_path / "store") as store:
        pulled = await store.pull(f"{server.address}/big:1")
        assert (pulled.lower_dirs[0] / "file").read_bytes() == CONTENT
        assert (server.count(path), store.content.partials()) == (0, [])


@pytest.mark.parametrize("leftover", [b"", GZIP + b"more", bytes(len(GZIP))])
async def test_layer__left_behind_empty_or_too_long_or_as_zeros__is_fetched_whole(server, tmp_path, leftover) -> None:
    path = await _broken_off(server, tmp_path)
    _only(tmp_path).write_bytes(leftover)
    async with registry.opened(tmp_path / "store") as store:
        pulled = await store.pull(f"{server.address}/big:1")
        assert (pulled.lower_dirs[0] / "file").read_bytes() == CONTENT
        assert (server.ranges(path), store.content.partials()) == ([None], [])


async def test_layer__that_is_wrong__leaves_nothing_to_go_on_from(server, store) -> None:
    (path,) = server.publish("big", (GZIP, PLAIN))
    server.answers[path] = faulty.says(GZIP[:4] + b"1234" + GZIP[8:])
    assert await store.failure(f"{server.address}/big:1") == ("InvalidArgument", "DigestMismatch")
    assert store.content.partials() == []
    assert server.count(path) == 1


async def test_layer__asked_for_by_two_images_at_once__is_fetched_once(server, store) -> None:
    own = [archives.tar(archives.file(name)) for name in ("one", "two")]
    paths = [server.publish(name, (GZIP, PLAIN), (plain, plain)) for name, plain in zip(("a", "b"), own, strict=True)]
    begun, go = asyncio.Event(), asyncio.Event()

    async def waits(request: web.BaseRequest) -> web.StreamResponse:
        begun.set()
        await go.wait()
        return await faulty.ranges(GZIP)(request)

    for path, *_ in paths:
        server.answers[path] = waits
    async with asyncio.TaskGroup() as group:
        pulls = [group.create_task(store.pull(f"{server.address}/{name}:1")) for name in ("a", "b")]
        await begun.wait()
        async with asyncio.timeout(10):
            while server.count(paths[0][1]) + server.count(paths[1][1]) < 2:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.001)
        go.set()
    assert sum(server.count(path) for path, *_ in paths) == 1
    first, second = (pull.result() for pull in pulls)
    assert first.lower_dirs[-1] == second.lower_dirs[-1]
    assert (first.lower_dirs[-1] / "file").read_bytes() == CONTENT


async def test_layer__whose_fetching_is_given_up__is_gone_on_with_by_whoever_waits(server, store) -> None:
    paths = [server.publish(name, (GZIP, PLAIN))[0] for name in ("a", "b")]
    begun = asyncio.Event()

    async def stalls(request: web.BaseRequest) -> web.StreamResponse:
        body = web.StreamResponse()
        body.content_length = len(GZIP)
        await body.prepare(request)
        await body.write(GZIP[:CUT])
        begun.set()
        await asyncio.Event().wait()
        return body

    server.answers[paths[0]] = stalls
    async with asyncio.TaskGroup() as group:
        leaving = group.create_task(store.pull(f"{server.address}/a:1"))
        await begun.wait()
        staying = group.create_task(store.pull(f"{server.address}/b:1"))
        async with asyncio.timeout(10):
            while not _unpacks(store, "b:1"):  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.001)
        leaving.cancel()
    assert leaving.cancelled()
    assert (staying.result().lower_dirs[0] / "file").read_bytes() == CONTENT
    (asked,) = server.ranges(paths[1])
    assert asked is None or int(asked.removeprefix("bytes=").removesuffix("-")) <= CUT
    assert store.content.partials() == []


async def test_diff__in_two_layers_packed_differently_at_once__is_unpacked_as_one_snapshot(server, store) -> None:
    for name, packed in (("a", GZIP), ("b", ZSTD), ("c", PLAIN)):
        server.publish(name, (packed, PLAIN))
    pulled = await asyncio.gather(*(store.pull(f"{server.address}/{name}:1") for name in ("a", "b", "c")))
    assert len({stored.lower_dirs for stored in pulled}) == 1
    assert (pulled[0].lower_dirs[0] / "file").read_bytes() == CONTENT
    assert {archives.digest(packed) for packed in (GZIP, ZSTD, PLAIN)} <= store.content.digests()


async def test_layer__twice_in_one_image__is_fetched_once_and_unpacked_twice(server, store) -> None:
    (path, _) = server.publish("twice", (GZIP, PLAIN), (GZIP, PLAIN))
    pulled = await store.pull(f"{server.address}/twice:1")
    assert len(pulled.lower_dirs) == 2
    assert [(lower_dir / "file").read_bytes() == CONTENT for lower_dir in pulled.lower_dirs] == [True, True]
    assert server.count(path) == 1


async def test_body__comes_in_small_pieces__is_taken_as_it_comes(server, store) -> None:
    small = archives.tar(archives.file("file", b"slow"))
    packed = gzip.compress(small, mtime=0)
    (path,) = server.publish("slow", (packed, small))
    server.answers[path] = faulty.trickles(packed)
    pulled = await store.pull(f"{server.address}/slow:1")
    assert (pulled.lower_dirs[0] / "file").read_bytes() == b"slow"
