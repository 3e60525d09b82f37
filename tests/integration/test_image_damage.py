"""Images of which somebody has taken something away on the disk: noticed at the next look, and the same again after."""

import asyncio
import contextlib
import pathlib
import shutil
from collections.abc import AsyncIterator, Iterator

import pytest

from agent import errors
from agent.engine import records
from agent.engine.images import collector
from tests import archives, registry
from tests import faulty_registry as faulty

pytestmark = pytest.mark.root

LAYER = archives.tar(archives.folder("d"), archives.file("d/f", b"first"))
SECOND = archives.tar(archives.file("d/g", b"second"))
NAME = "localhost/test:latest"


@pytest.fixture
async def server() -> AsyncIterator[faulty.Server]:
    async with faulty.served() as faulty_server:
        yield faulty_server


@pytest.fixture
async def store(server: faulty.Server, tmp_path: pathlib.Path) -> AsyncIterator[registry.Store]:
    server.publish("app", (LAYER, LAYER), (SECOND, SECOND))
    async with registry.opened(tmp_path / "store") as opened:
        yield opened


def _available(store: registry.Store) -> list[bool]:
    return [image.available for image in store.images.list()]


def _layers(store: registry.Store) -> pathlib.Path:
    return store.home / "root" / "snapshots"


async def test_pull__layers_were_removed__are_unpacked_where_they_were_and_nobody_is_asked(store, server) -> None:
    before = await store.pull(server.image)
    assert _available(store) == [True]
    for layer in _layers(store).iterdir():
        shutil.rmtree(layer)
    assert _available(store) == [False]
    with pytest.raises(errors.NotFound, match="lacks an unpacked layer"):
        store.images.runnable(server.image)
    asked = len(server.asked)
    assert await store.pull(server.image) == before
    assert (_available(store), len(server.asked)) == ([True], asked)
    assert (before.lower_dirs[1] / "d/f").read_bytes() == b"first"


async def test_pull__layers_and_a_blob_were_removed__only_that_is_fetched(store, server) -> None:
    before = await store.pull(server.image)
    shutil.rmtree(_layers(store))
    _layers(store).mkdir()
    store.content.path(archives.digest(LAYER)).unlink()
    asked = len(server.asked)
    assert await store.pull(server.image) == before
    assert [path for path, _ in server.asked[asked:]] == [f"/v2/app/blobs/{archives.digest(LAYER)}"]


@pytest.mark.parametrize("damage", [b"", LAYER[:-1], LAYER[:-1] + b"!", b"x" * len(LAYER)])
async def test_pull__a_blob_is_damaged__is_fetched_anew(store, server, damage: bytes) -> None:
    before = await store.pull(server.image)
    shutil.rmtree(before.lower_dirs[1].parent)
    store.content.path(archives.digest(LAYER)).write_bytes(damage)
    assert await store.pull(server.image) == before
    assert store.content.is_sound(archives.digest(LAYER))


@pytest.mark.parametrize("which", ["manifest", "config"])
@pytest.mark.parametrize("damage", [None, b"", b"{}"])
async def test_pull__a_document_is_damaged__is_pulled_anew(store, server, which: str, damage: bytes | None) -> None:
    before = await store.pull(server.image)
    document = archives.digest(store.images.manifest(server.image)) if which == "manifest" else before.id
    path = store.content.path(document)
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    assert _available(store) == [False]
    assert await store.pull(server.image) == before
    assert _available(store) == [True]


async def test_load__layers_were_removed_and_the_archive_too__is_the_same_image(tmp_path) -> None:
    async with archives.opened(tmp_path) as store:
        path = tmp_path / "image.tar"
        path.write_bytes(archives.image(LAYER, SECOND, kind="gzip").archive())
        before = await store.load(path)
        path.unlink()
        shutil.rmtree(before.lower_dirs[0].parent)
        assert [image.available for image in store.images.list()] == [False]
        assert await store.load(path) == before
        with pytest.raises(errors.NotFound, match="there is no archive"):
            await store.load(path)


async def test_remove__of_a_damaged_image__leaves_nothing(store, server) -> None:
    before = await store.pull(server.image)
    shutil.rmtree(before.lower_dirs[0].parent)
    await store.images.remove(server.image)
    assert (store.images.list(), list(_layers(store).iterdir())) == ((), [])


async def test_sweep__reads_documents_before_it_keeps_others_from_writing(tmp_path, monkeypatch) -> None:
    """Whoever writes a record waits for the transaction: nothing may be read or hashed in it that was there before."""
    async with archives.opened(tmp_path) as store:
        path = tmp_path / "image.tar"
        for number in range(3):
            path.write_bytes(archives.image(archives.tar(archives.file(f"f{number}"))).archive())
            await store.load(path, f"localhost/test:{number}")
        reads: list[bool] = []
        inside = [False]
        begun, read = records.Database.transaction, type(store.content).read

        @contextlib.contextmanager
        def transaction(database: records.Database) -> Iterator[None]:
            with begun(database):
                inside[0] = True
                try:
                    yield
                finally:
                    inside[0] = False

        monkeypatch.setattr(records.Database, "transaction", transaction)
        monkeypatch.setattr(type(store.content), "read", lambda *words: (reads.append(inside[0]), read(*words))[1])
        sweeping: collector.Collector = store.images.collector
        store.images._documents._parsed.clear()
        await sweeping.sweep()
        assert len(reads) == 6
        assert not any(reads)
        await asyncio.gather(sweeping.sweep(), sweeping.sweep())
        assert len(reads) == 6
