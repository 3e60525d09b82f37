"""Images on disks that fill, and content that is collected while others bring it in or read it."""

import asyncio
import contextlib
import dataclasses
import json
import os
import pathlib
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp import web

from agent import errors
from agent.distribution.registry import client, retries
from agent.engine import engine, layout, records, usage
from agent.engine.containers import table
from agent.engine.images import collection, images
from agent.engine.volumes import volumes
from tests import archives
from tests import faulty_registry as faulty

pytestmark = pytest.mark.root

MEGABYTE = 1024 * 1024
OWNED = (("trimtab.dev/owner", "somebody"),)
THRESHOLDS = collection.Thresholds(high=85, low=50, minimum_age=0.0)


@pytest.fixture
def where(tmp_path: pathlib.Path) -> Iterator[layout.Layout]:
    """An instance on a disk of 23 MB."""
    (tmp_path / "root").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=23m", "tmpfs", tmp_path / "root"], check=True)
    try:
        directories = layout.of(tmp_path / "root", tmp_path / "run")
        directories.prepare()
        yield directories
    finally:
        subprocess.run(["umount", tmp_path / "root"], check=True)


@dataclasses.dataclass(slots=True)
class Host:
    """Images, with a registry of the test's own."""

    where: layout.Layout
    rooms: images.Deps
    images: images.Images

    @property
    def names(self) -> list[str]:
        """Return the references of the images."""
        return [image.reference for image in self.images.list()]

    async def load(self, tmp_path: pathlib.Path, number: int, labels: images.Labels = ()) -> str:
        """Load an image that takes about 4 MB, packed and unpacked, and give its name."""
        name = f"localhost/image-{number}:1"
        path = archives.stored(tmp_path / f"{number}.tar", archives.image(_layer(number, 2 * MEGABYTE)), "archive")
        await self.images.load(path, name, labels, lambda _: None)
        path.unlink()
        return name

    async def pull(self, name: str) -> images.StoredImage:
        """Pull an image."""
        return await self.images.pull(name, "", (), lambda _: None)

    def used_at(self, name: str, when: float) -> None:
        """Record that an image was used at another time."""
        self.rooms.database.execute(
            "UPDATE image_uses SET used = ? WHERE config = ?", (when, self.images.runnable(name).id)
        )

    def contained(self, name: str) -> None:
        """Create a container of an image."""
        image = self.images.runnable(name)
        body = json.dumps({"image_id": image.id, "image_config": {"diff_ids": image.config.diff_ids}})
        self.rooms.database.execute("INSERT INTO containers (id, name, body) VALUES ('1', 'web', ?)", (body,))


@contextlib.asynccontextmanager
async def opened(where: layout.Layout) -> AsyncIterator[Host]:
    """Open an instance's images; nothing else is at work there."""
    with contextlib.closing(records.Database(where.records, engine.SCHEMAS)) as database:
        async with client.RegistryClient(attempts=retries.Retries(pauses=(0.01,))) as registry:
            rooms = engine.join_images(where, engine.Options(garbage=THRESHOLDS), registry, database)
            host = Host(where, rooms, images.Images(rooms))
            host.images.recover(frozenset())
            await rooms.collector.sweep()
            yield host
            await rooms.collector.sweep()
            assert host.images.leftovers() == ()


@pytest.fixture
async def server() -> AsyncIterator[faulty.Server]:
    """A registry, which is there for longer than those who have connected with it."""
    async with faulty.served() as faulty_server:
        yield faulty_server


@pytest.fixture
async def host(where, server) -> AsyncIterator[Host]:
    del server
    async with opened(where) as opened_host:
        yield opened_host


def _layer(seed: int, size: int) -> bytes:
    return archives.tar(archives.file("data", random.Random(seed).randbytes(size)))  # noqa: S311 - the same each time


def _blobs(*numbers: int, size: int = 1000) -> list[tuple[bytes, bytes]]:
    """Return layers as (packed, plain)."""
    return [(archives.packed(plain, "gzip")[0], plain) for plain in (_layer(number, size) for number in numbers)]


async def test_free_space__disk_is_filling__the_longest_unused_go_until_there_is_room(host, tmp_path) -> None:
    names = [await host.load(tmp_path, number) for number in range(4)]
    assert await host.rooms.collector.free_space() == ()
    names.append(await host.load(tmp_path, 4))
    for position, name in enumerate([names[2], names[4], names[0], names[3], names[1]]):
        host.used_at(name, float(position))
    assert await host.rooms.collector.free_space() == tuple(sorted([names[2], names[4], names[0]]))
    assert host.names == [names[1], names[3]]
    space = host.rooms.collector.space()
    assert 0.5 <= space.available / space.size < 0.85


async def test_free_space__images_of_manifests_and_containers_and_young_ones__stay(host, tmp_path) -> None:
    owned = [await host.load(tmp_path, number, OWNED) for number in range(2)]
    contained = await host.load(tmp_path, 2)
    host.contained(contained)
    free = [await host.load(tmp_path, number) for number in (3, 4)]
    host.rooms.collector._thresholds = dataclasses.replace(THRESHOLDS, minimum_age=60.0)
    assert await host.rooms.collector.free_space() == ()
    host.rooms.collector._thresholds = THRESHOLDS
    assert await host.rooms.collector.free_space() == tuple(free)
    assert host.names == [*owned, contained]
    assert await host.rooms.collector.free_space() == ()


async def test_free_space__one_of_two_names_is_owned__the_image_stays(host, tmp_path) -> None:
    names = [await host.load(tmp_path, number) for number in range(5)]
    host.images.tag(names[0], "localhost/declared:1", OWNED)
    host.rooms.collector._thresholds = dataclasses.replace(THRESHOLDS, low=1)
    assert await host.rooms.collector.free_space() == tuple(names[1:])
    assert host.names == ["localhost/declared:1", names[0]]


async def test_image__of_a_container_that_ends__was_used_until_then(host, tmp_path) -> None:
    names = [await host.load(tmp_path, number) for number in range(3)]
    host.contained(names[0])
    for name in names:
        host.used_at(name, 1.0)
    await host.rooms.collector.free_space()
    host.rooms.database.execute("DELETE FROM containers")
    for number in (3, 4):
        host.used_at(await host.load(tmp_path, number), 2.0)
    removed = await host.rooms.collector.free_space()
    assert set(names[1:]) < set(removed)
    assert names[0] not in removed


async def test_run__a_pull_has_filled_the_disk__it_is_free_spaced_at_once_and_told(host, server, tmp_path) -> None:
    stages: asyncio.Queue = asyncio.Queue()
    names = [await host.load(tmp_path, number) for number in range(4)]
    running = asyncio.get_running_loop().create_task(host.rooms.collector.run(stages.put_nowait))
    await asyncio.sleep(0.2)
    assert stages.empty()
    server.publish("big", *_blobs(7, size=2 * MEGABYTE))
    await host.pull(f"{server.address}/big:1")
    collected = await asyncio.wait_for(stages.get(), 10)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert collected.references
    assert set(collected.references) <= set(names)
    assert f"{server.address}/big:1" in host.names


async def test_prune__whatever_room_there_is__takes_all_that_nobody_uses(host, tmp_path) -> None:
    owned, free, contained = (
        await host.load(tmp_path, 0, OWNED),
        await host.load(tmp_path, 1),
        await host.load(tmp_path, 2),
    )
    host.contained(contained)
    assert host.rooms.collector.prunable() == (free,)
    assert await host.rooms.collector.prune() == (free,)
    assert (host.names, host.rooms.collector.prunable()) == ([owned, contained], ())


async def test_usage__looked_at_after_a_broken_pull__ends_no_lease(host, server) -> None:
    first, second = server.publish("app", *_blobs(1, 2))
    right, server.answers[second] = server.answers[second], faulty.says(b"", 500)
    with pytest.raises(errors.Unavailable, match="500"):
        await host.pull(f"{server.address}/app:1")
    assert len(host.rooms.collector.holdings().prunable) == 5, (
        "manifest, config, a layer, that unpacked, and the other one's beginning"
    )
    assert host.rooms.collector.leftovers() == ()
    await host.rooms.collector.sweep()
    server.answers[second] = right
    await host.pull(f"{server.address}/app:1")
    assert server.count(first) == 1


@pytest.mark.parametrize("damage", [b"", b"{", b'{"layers": 1}', None])
@pytest.mark.parametrize("part", ["manifest", "config"])
async def test_sweep__a_document_is_damaged__the_image_is_missing_and_its_container_keeps_its_layers(
    host, tmp_path, part: str, damage: bytes | None
) -> None:
    name = await host.load(tmp_path, 1)
    host.contained(name)
    (row,) = host.rooms.database.query("SELECT manifest, config FROM images")
    path = host.rooms.content.path(row[part])
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    assert host.rooms.collector.holdings().prunable, "whoever measures the disk is told, and not refused"
    await host.rooms.collector.sweep()
    assert (host.names, len(_snapshots(host))) == ([], 1)
    assert await host.load(tmp_path, 1) == name


async def test_pull__goes_on_while_everything_else_is_collected__is_whole(host, server) -> None:
    """The layers of a pull under way, those that are there already included, are nobody's to collect."""
    gate = asyncio.Event()
    first, second = server.publish("app", *_blobs(1, 2))
    answer = server.answers[second]

    async def waits(request: web.BaseRequest) -> web.StreamResponse:
        await gate.wait()
        return await answer(request)

    server.answers[second] = waits
    pulling = asyncio.get_running_loop().create_task(host.pull(f"{server.address}/app:1"))
    async with asyncio.timeout(10):
        while not _snapshots(host):  # noqa: ASYNC110 - a row in a table
            await asyncio.sleep(0.01)
    assert server.count(first) == 1
    assert await host.rooms.collector.prune() == ()
    assert len(_snapshots(host)) == 1
    gate.set()
    pulled = await pulling
    assert [len((path / "data").read_bytes()) for path in pulled.lower_dirs] == [1000, 1000]


def _snapshots(host: Host) -> list[str]:
    return [row["directory"] for row in host.rooms.database.query("SELECT directory FROM snapshots")]


async def test_pull__breaks_off__the_next_attempt_fetches_only_what_is_missing_even_after_a_restart(
    where, server
) -> None:
    first, second = server.publish("app", *_blobs(1, 2))
    right, server.answers[second] = server.answers[second], faulty.says(b"", 500)
    async with opened(where) as host:
        with pytest.raises(errors.Unavailable, match="500"):
            await host.pull(f"{server.address}/app:1")
        await host.rooms.collector.free_space()
    async with opened(where) as host:
        server.answers[second] = right
        await host.pull(f"{server.address}/app:1")
        assert (server.count(first), list(where.leases.iterdir())) == (1, [])


async def test_usage__what_pruning_gives_back__is_what_it_is_said_to_be(host, server, tmp_path) -> None:
    volume_table = table.Table(host.rooms.database)
    first, free, contained = [await host.load(tmp_path, number) for number in range(3)]
    host.images.tag(first, "localhost/declared:1", OWNED)
    host.contained(contained)
    first_path, second = server.publish("app", *_blobs(1, 2, size=MEGABYTE))
    arrived = host.rooms.content.path(first_path.rpartition("/")[2])

    async def fails_after_the_first(request: web.BaseRequest) -> web.StreamResponse:
        while not arrived.exists():  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0.01)
        return await faulty.says(b"", 500)(request)

    server.answers[second] = fails_after_the_first
    with pytest.raises(errors.Unavailable, match="500"):
        await host.pull(f"{server.address}/app:1")
    kept = volumes.Volumes(host.where, host.rooms.database)

    async def measured() -> usage.Usage:
        return await usage.measure(host.where, host.rooms.collector, volume_table, kept)

    before, space = await measured(), host.rooms.collector.space().available
    assert (before.images.count, host.rooms.collector.prunable()) == (3, (free,))
    assert 6 * MEGABYTE < before.reclaimable < 6.2 * MEGABYTE
    await host.rooms.collector.prune()
    after = await measured()
    assert (after.images.count, after.reclaimable) == (2, 0)
    lease = 4096
    assert before.images.size - after.images.size in (before.reclaimable, before.reclaimable + lease)
    assert abs(host.rooms.collector.space().available - space - before.reclaimable) < 0.1 * MEGABYTE


async def test_prune__after_a_broken_pull__keeps_nothing_of_it(host, server) -> None:
    _, second = server.publish("app", *_blobs(1, 2))
    server.answers[second] = faulty.says(b"", 500)
    with pytest.raises(errors.Unavailable, match="500"):
        await host.pull(f"{server.address}/app:1")
    await host.rooms.collector.sweep()
    assert len(_snapshots(host)) == 1
    assert await host.rooms.collector.prune() == ()
    assert (_snapshots(host), host.rooms.content.digests(), list(host.where.leases.iterdir())) == ([], frozenset(), [])


async def test_forget__after_a_broken_pull__keeps_nothing_of_it(host, server) -> None:
    _, second = server.publish("app", *_blobs(1, 2))
    server.answers[second] = faulty.says(b"", 500)
    name = f"{server.address}/app:1"
    with pytest.raises(errors.Unavailable, match="500"):
        await host.pull(name)
    assert list(host.where.leases.iterdir())
    assert host.images.leases.forget(name)
    await host.rooms.collector.sweep()
    assert (_snapshots(host), host.rooms.content.digests(), list(host.where.leases.iterdir())) == ([], frozenset(), [])
    assert not host.images.leases.forget(name)


async def test_pull__of_many_images_at_once_that_share_layers__fetches_each_once(host, server) -> None:
    shared, *own = _blobs(*range(9))
    paths = {path for number, blob in enumerate(own) for path in server.publish(f"app-{number}", shared, blob)}
    pulled = await asyncio.gather(*(host.pull(f"{server.address}/app-{number}:1") for number in range(8)))
    common = [path for path in paths if path.endswith(archives.digest(shared[0]))]
    assert sum(server.count(path) for path in common) == 1
    assert [server.count(path) for path in paths if path not in common] == [1] * 8
    assert len({stored.lower_dirs[-1] for stored in pulled}) == 1


async def test_pull__of_one_image_under_many_names_at_once__fetches_its_config_and_layers_once(host, server) -> None:
    (layer,) = server.publish("app", *_blobs(1))
    for number in range(5):
        server.answers[f"/v2/app/manifests/{number}"] = server.answers["/v2/app/manifests/1"]
    await asyncio.gather(*(host.pull(f"{server.address}/app:{number}") for number in range(5)))
    blobs = [path for path, _ in server.asked if "/blobs/" in path]
    assert (len(blobs), server.count(layer)) == (2, 1)


HOLDER = """
import asyncio, pathlib, sys
from agent.engine import engine, layout
from agent.oci import archives

class Slow:
    def write(self, data):
        if not self.told:
            print("saving", flush=True)
            sys.stdin.readline()
        self.told = True
        self.size += len(data)
    told, size = False, 0

async def main():
    where, out = layout.of(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])), Slow()
    async with engine.looking(where, engine.Options()) as ours:
        await ours.transfer.save([sys.argv[3]], archives.ArchiveFormat.OCI, out, lambda _: None)
    print(out.size, flush=True)

asyncio.run(main())
"""


async def test_save__in_another_process_while_the_image_is_removed__is_whole(host, tmp_path) -> None:
    name = await host.load(tmp_path, 1)
    words = [sys.executable, "-c", HOLDER, str(host.where.root), str(host.where.run), name]
    process = await asyncio.create_subprocess_exec(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"saving\n"
        await host.images.remove(name)
        assert host.names == []
        total, _ = await process.communicate(b"go on\n")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0
    assert int(total) > 2 * MEGABYTE
    await host.rooms.collector.sweep()
    assert host.rooms.content.digests() == frozenset()


async def test_partial_download__that_nobody_went_on_with_for_a_day__goes(host) -> None:
    ingest = host.where.content / "ingest"
    old, new = (ingest / f"partial-sha256-{digit * 64}" for digit in "12")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    await host.rooms.collector.sweep()
    assert [path.exists() for path in (old, new)] == [False, True]
