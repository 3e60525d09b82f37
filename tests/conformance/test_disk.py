"""What a runtime says of the room that its objects take, and what it gives back: what is this instance's, no more."""

import asyncio

from agent.model import container, image
from agent.runtime import disk
from tests import archives, builders

NAME = "localhost/busybox:latest"
OTHER = "localhost/shop/other:2"


async def shares(harness) -> dict[disk.Sort, disk.Share]:
    """Return the share of each sort."""
    return {share.sort: share for share in (await harness.runtime.disk.usage()).shares}


def counted(shares_by_sort: dict[disk.Sort, disk.Share]) -> list[tuple[int, int]]:
    """Return (count, active) of images, containers and volumes."""
    return [(shares_by_sort[sort].count, shares_by_sort[sort].active) for sort in disk.Sort]


def is_whole_host(harness) -> bool:
    """Return whether all images belong to the instance, so that undeclared ones are nobody's."""
    return harness.engine is None


async def test_usage__nothing_is_there__is_nothing(harness) -> None:
    for record in await harness.runtime.images.list():
        await harness.runtime.images.remove(record.reference)
    usage = await harness.runtime.disk.usage()
    assert counted({share.sort: share for share in usage.shares}) == [(0, 0)] * 3
    assert (usage.prunable, await harness.runtime.disk.prune()) == ((), ())


async def test_usage__things_are_made_used_and_written__is_told(harness) -> None:
    assert counted(await shares(harness)) == [(1, 0), (0, 0), (0, 0)]
    for name in ("data", "spare"):
        await harness.runtime.volumes.create(builders.volume_config(name), ())
    mounts = (container.VolumeMount("data", "/data", read_only=False),)
    writes = "dd if=/dev/zero of=/data/file bs=1M count=3; dd if=/dev/zero of=/file bs=1M count=2; sleep 60"
    identity = await harness.running(harness.config("web", ("/bin/sh", "-c", writes), mounts=mounts))
    await harness.create(harness.config("other"))
    assert counted(await shares(harness)) == [(1, 1), (2, 1), (2, 1)]
    if harness.world is None:
        async with asyncio.timeout(10):
            while not await is_counted(harness):  # noqa: ASYNC110 - observed from outside on purpose
                await asyncio.sleep(0.05)
    await harness.runtime.containers.remove(identity)
    assert counted(await shares(harness)) == [(1, 1), (1, 0), (2, 0)]


async def is_counted(harness) -> bool:
    """Return whether what the container writes is counted."""
    by_sort = await shares(harness)
    megabyte = 1024 * 1024
    sizes = [by_sort[sort].size for sort in disk.Sort]
    return sizes[0] > megabyte // 2 and sizes[1] >= 2 * megabyte and sizes[2] >= 3 * megabyte


async def test_space__is_that_of_the_disk_or_not_told(harness) -> None:
    space = await harness.runtime.disk.space()
    if harness.name == "native":
        assert space is not None
        assert 0 < space.available <= space.size
    else:
        assert space is None


async def test_prune__what_is_declared_or_used__stays(harness) -> None:
    await harness.create(harness.config("web"))
    before = await harness.runtime.images.list()
    usage = await harness.runtime.disk.usage()
    assert (usage.prunable, [share.reclaimable for share in usage.shares]) == ((), [0, 0, 0])
    assert await harness.runtime.disk.prune() == ()
    assert await harness.runtime.images.list() == before


async def test_prune__nobodys_image__goes_where_no_one_else_can_have_brought_it(harness) -> None:
    await harness.runtime.images.tag(NAME, OTHER)
    assert await harness.runtime.disk.prune() == ()  # it is the same image as the declared one
    await harness.runtime.images.remove(NAME)
    expected = (OTHER,) if is_whole_host(harness) else ()
    assert (await harness.runtime.disk.usage()).prunable == expected
    assert ((await shares(harness))[disk.Sort.IMAGES].reclaimable > 0) is is_whole_host(harness)
    assert await harness.runtime.disk.prune() == expected
    references = [image.reference for image in await harness.runtime.images.list()]
    assert references == ([] if is_whole_host(harness) else [OTHER])


async def test_prune__an_image_that_was_replaced_while_a_container_used_it__goes_when_that_is_gone(
    harness, tmp_path
) -> None:
    identity = await harness.create(harness.config("web"))
    path = tmp_path / "other.tar"
    path.write_bytes(archives.image(archives.tar(archives.file("f", bytes(50_000)))).archive())
    config = image.ImageConfig("busybox", NAME, image.ArchiveSource(str(path), "2"))
    await harness.runtime.images.ensure(config, builders.labels_for(config), lambda _: None)
    assert await harness.runtime.disk.prune() == ()
    assert (await harness.observe(identity)).state is container.ContainerState.CREATED
    if harness.engine:  # behind our back: whoever removes a container through us has swept already
        await harness.runtime.engine.ask(f"containers/{identity}", "container", method="DELETE")
    else:
        await harness.runtime.containers.remove(identity)
    usage = await harness.runtime.disk.usage()
    if harness.engine:  # our own engine sweeps by itself, maybe just now
        assert usage.shares[0].reclaimable > 1_000_000
    assert await harness.runtime.disk.prune() == usage.prunable
    usage = await harness.runtime.disk.usage()
    assert (usage.shares[0].count, usage.shares[0].reclaimable, usage.prunable) == (1, 0, ())
    assert len(await harness.runtime.images.list()) == 1
