"""A fresh volume gets what the image has there, with the real cp; and nothing from outside of the image."""

import asyncio
import contextlib
import os
import pathlib
import stat
import subprocess
from collections.abc import Iterator

import pytest

from agent import errors
from agent.engine import layout, records
from agent.engine.kernel import linux
from agent.engine.volumes import seed, volumes
from tests import archives

pytestmark = pytest.mark.root

KERNEL = linux.LinuxKernel()


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Iterator[volumes.Volumes]:
    where = layout.of(tmp_path / "root", tmp_path / "run")
    where.prepare()
    with contextlib.closing(records.Database(where.records, (volumes.SCHEMA,))) as database:
        yield volumes.Volumes(where, database)


@pytest.fixture
def volume(store: volumes.Volumes) -> pathlib.Path:
    return store.create("data", (), 1.0).path


@pytest.fixture
def rootfs(tmp_path: pathlib.Path) -> pathlib.Path:
    """An image's files; beside them a secret that links in it point to."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_text("outside")
    top = tmp_path / "rootfs"
    (top / "srv/data/sub").mkdir(parents=True)
    (top / "srv/data/sub/file").write_text("x")
    (top / "srv/data/.hidden").write_text("y")
    (top / "srv/data/link").symlink_to("/secret/key")
    os.chown(top / "srv/data", 7, 8)
    (top / "srv/data").chmod(0o2750)
    os.chown(top / "srv/data/sub/file", 9, 10)
    (top / "srv/data/sub/file").chmod(0o4711)
    os.setxattr(top / "srv/data/sub/file", "user.note", b"kept")
    os.utime(top / "srv/data/sub/file", (1, 1))
    (top / "srv/file").write_text("no directory")
    (top / "srv/out").symlink_to(tmp_path / "secret")
    (top / "srv/up").symlink_to("../../secret")
    (top / "srv/inside").symlink_to("/srv/data")
    return top


def _around(volume: pathlib.Path) -> list[str]:
    return sorted(path.name for path in volume.parent.iterdir())


@pytest.mark.parametrize("inside", ["/srv/data", "srv/data/", "/srv/inside", "/../srv/data", "//srv//data"])
async def test_seed__directory_of_the_image__is_copied_with_all_that_it_is(rootfs, volume, inside: str) -> None:
    before = archives.descriptors()
    await seed.seed(KERNEL, rootfs, inside, volume)
    assert archives.tree(volume) == archives.tree(rootfs / "srv/data")
    assert (volume.stat().st_uid, stat.S_IMODE(volume.stat().st_mode)) == (7, 0o2750)
    assert _around(volume) == ["_data"]
    assert archives.descriptors() == before


@pytest.mark.parametrize(
    "inside", ["/srv/out", "/srv/up", "/srv/file", "/missing", "/srv/data/link", "/nul\0", "/" + "x" * 5000]
)
async def test_seed__nothing_there_or_a_link_that_leads_out__leaves_it_empty(rootfs, volume, inside: str) -> None:
    before = archives.descriptors()
    await seed.seed(KERNEL, rootfs, inside, volume)
    assert (list(volume.iterdir()), _around(volume)) == ([], ["_data"])
    assert archives.descriptors() == before


async def test_seed__volume_with_anything_in_it__is_left_alone(rootfs, volume) -> None:
    (volume / "mine").write_text("kept")
    await seed.seed(KERNEL, rootfs, "/srv/data", volume)
    assert [path.name for path in volume.iterdir()] == ["mine"]


async def test_seed__another_container_has_it_mounted_already__both_see_one_directory(rootfs, volume) -> None:
    mounted = os.open(volume, os.O_PATH | os.O_DIRECTORY)

    class WrittenMeanwhile(linux.LinuxKernel):
        def open_in_root(self, root: int, path: str, flags: int, *, same_mount: bool = False) -> int:
            """Write as the other container does: when the volume was found empty, and nothing is copied yet."""
            pathlib.Path(f"/proc/self/fd/{mounted}/link").write_text("written by the other")
            return super().open_in_root(root, path, flags, same_mount=same_mount)

    try:
        await seed.seed(WrittenMeanwhile(), rootfs, "/srv/data", volume)
        assert sorted(os.listdir(f"/proc/self/fd/{mounted}")) == [".hidden", "link", "sub"]  # noqa: PTH208 - a descriptor
        assert (volume / "link").read_text() == "written by the other"
    finally:
        os.close(mounted)


async def test_seed__two_at_once__fill_it_once(rootfs, volume) -> None:
    await asyncio.gather(*(seed.seed(KERNEL, rootfs, "/srv/data", volume) for _ in range(3)))
    assert archives.tree(volume) == archives.tree(rootfs / "srv/data")
    assert _around(volume) == ["_data"]


async def test_seed__volume_s_directory_gone__not_found(rootfs, volume) -> None:
    volume.rmdir()
    with pytest.raises(errors.NotFound) as caught:
        await seed.seed(KERNEL, rootfs, "/srv/data", volume)
    assert (caught.value.reason, _around(volume)) == ("VolumeNotFound", [])


async def test_seed__disk_full__is_unavailable_and_the_volume_stays_empty(rootfs, volume) -> None:
    (rootfs / "srv/data/large").write_bytes(bytes(512 * 1024))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", volume.parent], check=True)
    try:
        volume.mkdir()
        with pytest.raises(errors.Unavailable, match="data cannot be filled"):
            await seed.seed(KERNEL, rootfs, "/srv/data", volume)
        assert (list(volume.iterdir()), _around(volume)) == ([], ["_data"])
    finally:
        subprocess.run(["umount", volume.parent], check=True)


async def test_recover__copy_cut_short__is_taken_away(store, volume) -> None:
    (volume.parent / "seed-0123/deep").mkdir(parents=True)
    (volume / "mine").write_text("kept")
    store.recover()
    assert (_around(volume), (volume / "mine").read_text()) == (["_data"], "kept")


async def test_recover__whole_copy_half_moved__is_finished(store, volume) -> None:
    (volume.parent / "seeded/deep").mkdir(parents=True)
    (volume.parent / "seeded").chmod(0o711)
    (volume / "moved").write_text("before the crash")
    store.recover()
    assert (_around(volume), sorted(path.name for path in volume.iterdir())) == (["_data"], ["deep", "moved"])
    assert stat.S_IMODE(volume.stat().st_mode) == 0o711


async def test_remove__tree_deeper_than_any_path__is_gone(store, volume) -> None:
    archives.deep(volume / "deep", 1500)
    store.remove("data")
    assert (store.list(), volume.parent.exists()) == ((), False)


async def test_remove__links_to_elsewhere__leave_that_alone(store, volume, rootfs) -> None:
    before = archives.tree(rootfs)
    (volume / "link").symlink_to(rootfs)
    store.remove("data")
    assert archives.tree(rootfs) == before
    with pytest.raises(errors.NotFound):
        store.get("data")


async def test_create__again__keeps_the_data_and_takes_the_labels(store, volume) -> None:
    (volume / "mine").write_text("kept")
    reseeded = store.create("data", (("a", "b"),), 2.0)
    assert (reseeded.labels, reseeded.created_at, (reseeded.path / "mine").read_text()) == ((("a", "b"),), 1.0, "kept")


async def test_removal__cut_short__is_finished_by_recover(store, volume, tmp_path) -> None:
    (volume / "mine").write_text("x")
    with contextlib.closing(records.Database(tmp_path / "root/engine.sqlite", ())) as database:
        database.execute("UPDATE volumes SET removing = 1")
    assert store.list() == ()
    store.recover()
    assert not volume.parent.exists()
    assert list(store.create("data", (), 3.0).path.iterdir()) == []
