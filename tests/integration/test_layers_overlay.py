"""Layers as a container sees them: unpacked for real, merged by overlayfs."""

import asyncio
import contextlib
import os
import pathlib
import stat
import tarfile
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from agent.engine import records
from agent.engine.kernel import linux
from agent.engine.snapshots import overlay, snapshots
from tests import archives

pytestmark = pytest.mark.root

KERNEL = linux.LinuxKernel()
CAPABILITY = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
"""cap_net_bind_service+ep, as setcap writes it."""


@pytest.fixture
async def room(tmp_path: pathlib.Path) -> AsyncIterator[archives.Store]:
    async with archives.opened(tmp_path / "a,b:c") as opened:
        yield opened


@contextlib.contextmanager
def _mounted(lower: tuple[pathlib.Path, ...], home: pathlib.Path) -> Iterator[pathlib.Path]:
    overlay.mount(KERNEL, lower, home / "own", home / "rootfs")
    try:
        yield home / "rootfs"
    finally:
        overlay.unmount(KERNEL, home / "rootfs")
        assert not (home / "rootfs").is_mount()


async def _merged(
    room: archives.Store, home: pathlib.Path, *layers: bytes, kind: str = "plain"
) -> dict[str, bytes | str]:
    """Load an image of these layers, mount it, and give all files with their content."""
    (home / "image.tar").write_bytes(archives.image(*layers, kind=kind).archive())
    stored = await room.load(home / "image.tar")
    with _mounted(stored.lower_dirs, home) as rootfs:
        found = archives.tree(rootfs)
    assert room.half_made() == []
    return {name: seen[5] for name, seen in found.items() if stat.S_ISREG(seen[0])}


BASE = archives.tar(
    archives.folder("d"),
    archives.file("d/one", b"1"),
    archives.folder("d/sub"),
    archives.file("d/sub/two", b"2"),
    archives.file("top", b"t"),
    archives.symlink("link", "d"),
)


@pytest.mark.parametrize("kind", ["plain", "gzip", "zstd"])
async def test_merged__layers_of_each_packing__are_stacked(room, tmp_path, kind: str) -> None:
    upper = archives.tar(archives.file("top", b"T"), archives.folder("d"), archives.file("d/three", b"3"))
    assert await _merged(room, tmp_path, BASE, upper, kind=kind) == {
        "d/one": b"1",
        "d/sub/two": b"2",
        "d/three": b"3",
        "top": b"T",
    }


@pytest.mark.parametrize(
    ("members", "left"),
    [
        ([archives.file(".wh.top"), archives.file("d/.wh.one")], {"d/sub/two"}),
        ([archives.file(".wh.d")], {"top"}),
        ([archives.file("d/sub/.wh.nothing"), archives.file(".wh.missing")], {"top", "d/one", "d/sub/two"}),
        ([archives.folder("d"), archives.file("d/.wh..wh..opq"), archives.file("d/new")], {"top", "d/new"}),
        ([archives.folder("d"), archives.file("d/new"), archives.file("d/.wh..wh..opq")], {"top", "d/new"}),
        ([archives.file(".wh..wh..opq"), archives.file("new")], {"new"}),
        ([archives.file(".wh.d"), archives.folder("d"), archives.file("d/new")], {"top", "d/new"}),
        ([archives.folder("d"), archives.file("d/new"), archives.file(".wh.d")], {"top", "d/new"}),
        ([archives.file("top"), archives.file(".wh.top")], {"top", "d/one", "d/sub/two"}),
        ([archives.file(".wh.top"), archives.file("top")], {"top", "d/one", "d/sub/two"}),
        ([archives.file(".wh.top"), archives.file(".wh.top")], {"d/one", "d/sub/two"}),
        ([archives.folder("d"), archives.symlink("l", "d"), archives.file("l/.wh.one")], {"top", "d/sub/two"}),
        ([archives.file("d", b"now a file")], {"d", "top"}),
        ([archives.symlink("d", "top")], {"top"}),
        ([archives.folder(".wh..wh.plnk"), archives.file(".wh..wh.plnk/1.2"), archives.file(".wh..wh.aufs")], None),
    ],
)
async def test_merged__whiteouts_and_replacements__hide_what_they_should(room, tmp_path, members, left) -> None:
    found = await _merged(room, tmp_path, BASE, archives.tar(*members))
    assert set(found) == (left if left is not None else {"top", "d/one", "d/sub/two"})


async def test_merged__whiteout_of_one_layer__does_not_hide_the_next_one_s(room, tmp_path) -> None:
    again = archives.tar(archives.folder("d"), archives.file("d/one", b"again"))
    found = await _merged(room, tmp_path, BASE, archives.tar(archives.file(".wh.d"), archives.file(".wh.top")), again)
    assert found == {"d/one": b"again"}


async def test_unpacked__what_programs_need__is_kept(room) -> None:
    xattrs = {"SCHILY.xattr.user.note": "kept", "SCHILY.xattr.security.capability": CAPABILITY.decode()}
    top = await room.unpacked(
        archives.tar(
            archives.file("ping", b"x", mode=0o4755, uid=12, gid=34, mtime=1500000000.25, pax_headers=xattrs),
            archives.folder("tmp", 0o1777, uid=1),
            archives.file("tmp/later"),
            archives.symlink("link", "ping", uid=5, gid=6),
            archives.special("fifo", tarfile.FIFOTYPE),
            archives.folder("./", 0o751, gid=9, mtime=1_400_000_000),
        )
    )
    found = archives.tree(top)
    assert found["ping"][:6] == (stat.S_IFREG | 0o4755, 12, 34, 1500000000_250000000, 1, b"x")
    assert found["ping"][6] == {"user.note": b"kept", "security.capability": CAPABILITY}
    assert found["tmp"][:4] == (stat.S_IFDIR | 0o1777, 1, 0, archives.THEN * 10**9)
    assert found["link"][:6] == (stat.S_IFLNK | 0o777, 5, 6, archives.THEN * 10**9, 1, "ping")
    assert found["fifo"][:4] == (stat.S_IFIFO | 0o644, 0, 0, archives.THEN * 10**9)
    assert found["."][:4] == (stat.S_IFDIR | 0o751, 0, 9, 1_400_000_000 * 10**9)


async def test_unpacked__attributes_that_are_overlayfs_own__are_dropped(room) -> None:
    forged = {
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
        "SCHILY.xattr.trusted.overlay.opaque": "y",
        "SCHILY.xattr.security.selinux": "x",
        "LIBARCHIVE.xattr.trusted.overlay.opaque": "eQ==",
    }
    top = await room.unpacked(
        archives.tar(archives.folder("d", pax_headers=forged), archives.file("f", b"x", pax_headers=forged))
    )
    assert [os.listxattr(top / name) for name in ("d", "f")] == [[], []]


async def test_mounted__device_of_an_image__cannot_be_opened(room, tmp_path) -> None:
    top = await room.unpacked(archives.tar(archives.device("zero", 1, 5)))
    with _mounted((top,), tmp_path) as rootfs, pytest.raises(PermissionError):
        (rootfs / "zero").open("rb")


async def test_ensure__asked_twice_at_once__is_unpacked_once(room) -> None:
    first, second = await asyncio.gather(room.unpacked(BASE), room.unpacked(BASE))
    assert first == second
    assert len(list(room.where.snapshots.iterdir())) == 1


class WaitingKernel(linux.LinuxKernel):
    """A kernel that opens nothing before it may."""

    def __init__(self) -> None:
        """Wait for ``go``."""
        super().__init__()
        self.reached, self.go = threading.Event(), threading.Event()

    def open_in_root(self, root: int, path: str, flags: int) -> int:
        """Wait, and open."""
        self.reached.set()
        assert self.go.wait(10)
        return super().open_in_root(root, path, flags)


async def test_ensure__cancelled_while_it_unpacks__leaves_nothing(room) -> None:
    kernel = WaitingKernel()
    blob = room.where.root / "layer"
    blob.write_bytes(BASE)
    with contextlib.closing(records.Database(room.where.records, ())) as database:
        slow = snapshots.Snapshots(room.where, database, kernel)
        told = archives.digest(BASE)
        task = asyncio.get_running_loop().create_task(archives.unpacked(slow, blob, told))
        await asyncio.to_thread(kernel.reached.wait, 10)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=0.05)
        assert not done, "it does not wait for the thread that still writes"
        kernel.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (slow.strangers(), slow.find(told)) == ([], None)
