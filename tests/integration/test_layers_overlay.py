"""Layers as a container sees them: unpacked for real, merged by overlayfs."""

import asyncio
import contextlib
import os
import pathlib
import shutil
import stat
import tarfile
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from agent.engine import records
from agent.engine.kernel import linux
from agent.engine.snapshots import overlay, snapshots
from agent.kit import clock, notices
from tests import archives

pytestmark = pytest.mark.root

KERNEL = linux.LinuxKernel()
CAPABILITY = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
"""cap_net_bind_service+ep, as setcap writes it."""


@pytest.fixture
async def store(tmp_path: pathlib.Path) -> AsyncIterator[archives.Store]:
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
    store: archives.Store, home: pathlib.Path, *layers: bytes, kind: str = "plain"
) -> dict[str, bytes | str]:
    """Load an image of these layers, mount it, and give all files with their content."""
    (home / "image.tar").write_bytes(archives.image(*layers, kind=kind).archive())
    stored = await store.load(home / "image.tar")
    with _mounted(stored.lower_dirs, home) as rootfs:
        entries = archives.tree(rootfs)
    assert store.leftovers() == []
    return {name: entry[5] for name, entry in entries.items() if stat.S_ISREG(entry[0])}


BASE = archives.tar(
    archives.folder("d"),
    archives.file("d/one", b"1"),
    archives.folder("d/sub"),
    archives.file("d/sub/two", b"2"),
    archives.file("top", b"t"),
    archives.symlink("link", "d"),
)


@pytest.mark.parametrize("kind", ["plain", "gzip", "zstd"])
async def test_merged__layers_of_each_packing__are_stacked(store, tmp_path, kind: str) -> None:
    upper = archives.tar(archives.file("top", b"T"), archives.folder("d"), archives.file("d/three", b"3"))
    assert await _merged(store, tmp_path, BASE, upper, kind=kind) == {
        "d/one": b"1",
        "d/sub/two": b"2",
        "d/three": b"3",
        "top": b"T",
    }


@pytest.mark.parametrize(
    ("members", "remaining"),
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
async def test_merged__whiteouts_and_replacements__hide_what_they_should(store, tmp_path, members, remaining) -> None:
    merged = await _merged(store, tmp_path, BASE, archives.tar(*members))
    assert set(merged) == (remaining if remaining is not None else {"top", "d/one", "d/sub/two"})


async def test_merged__whiteout_of_one_layer__does_not_hide_the_next_one_s(store, tmp_path) -> None:
    recreated = archives.tar(archives.folder("d"), archives.file("d/one", b"again"))
    merged = await _merged(
        store, tmp_path, BASE, archives.tar(archives.file(".wh.d"), archives.file(".wh.top")), recreated
    )
    assert merged == {"d/one": b"again"}


async def test_unpacked__what_programs_need__is_kept(store) -> None:
    xattrs = {"SCHILY.xattr.user.note": "kept", "SCHILY.xattr.security.capability": CAPABILITY.decode()}
    top = await store.unpacked(
        archives.tar(
            archives.file("ping", b"x", mode=0o4755, uid=12, gid=34, mtime=1500000000.25, pax_headers=xattrs),
            archives.folder("tmp", 0o1777, uid=1),
            archives.file("tmp/later"),
            archives.symlink("link", "ping", uid=5, gid=6),
            archives.special("fifo", tarfile.FIFOTYPE),
            archives.folder("./", 0o751, gid=9, mtime=1_400_000_000),
        )
    )
    entries = archives.tree(top)
    assert entries["ping"][:6] == (stat.S_IFREG | 0o4755, 12, 34, 1500000000_250000000, 1, b"x")
    assert entries["ping"][6] == {"user.note": b"kept", "security.capability": CAPABILITY}
    assert entries["tmp"][:4] == (stat.S_IFDIR | 0o1777, 1, 0, archives.THEN * 10**9)
    assert entries["link"][:6] == (stat.S_IFLNK | 0o777, 5, 6, archives.THEN * 10**9, 1, "ping")
    assert entries["fifo"][:4] == (stat.S_IFIFO | 0o644, 0, 0, archives.THEN * 10**9)
    assert entries["."][:4] == (stat.S_IFDIR | 0o751, 0, 9, 1_400_000_000 * 10**9)


async def test_unpacked__attributes_that_are_overlayfs_own__are_dropped(store) -> None:
    forged = {
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
        "SCHILY.xattr.trusted.overlay.opaque": "y",
        "SCHILY.xattr.security.selinux": "x",
        "LIBARCHIVE.xattr.trusted.overlay.opaque": "eQ==",
    }
    top = await store.unpacked(
        archives.tar(archives.folder("d", pax_headers=forged), archives.file("f", b"x", pax_headers=forged))
    )
    assert [os.listxattr(top / name) for name in ("d", "f")] == [[], []]


async def test_mounted__device_of_an_image__cannot_be_opened(store, tmp_path) -> None:
    top = await store.unpacked(archives.tar(archives.device("zero", 1, 5)))
    with _mounted((top,), tmp_path) as rootfs, pytest.raises(PermissionError):
        (rootfs / "zero").open("rb")


async def test_ensure__asked_twice_at_once__is_unpacked_once(store) -> None:
    first, second = await asyncio.gather(store.unpacked(BASE), store.unpacked(BASE))
    assert first == second
    assert len(list(store.where.snapshots.iterdir())) == 1


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


async def test_ensure__cancelled_while_it_unpacks__leaves_nothing(store) -> None:
    kernel = WaitingKernel()
    blob = store.where.root / "layer"
    blob.write_bytes(BASE)
    with contextlib.closing(records.Database(store.where.records, ())) as database:
        register = notices.Register(clock.SystemClock(), lambda _: None)
        slow = snapshots.Snapshots(store.where, database, kernel, register)
        diff_id = archives.digest(BASE)
        task = asyncio.get_running_loop().create_task(archives.unpacked(slow, blob, diff_id))
        await asyncio.to_thread(kernel.reached.wait, 10)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=0.05)
        assert not done, "it does not wait for the thread that still writes"
        kernel.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (slow.strangers(), slow.find(diff_id)) == ([], None)


OPEN = archives.tar(
    archives.folder("tmp", 0o1777, uid=7, gid=8, pax_headers={"SCHILY.xattr.user.kept": "yes"}),
    archives.folder("srv", 0o700, uid=5, gid=6),
    archives.folder("srv/in", 0o750, uid=5, gid=6),
    archives.symlink("away", "srv"),
)


async def _modes(store: archives.Store, home: pathlib.Path, *layers: bytes) -> dict[str, tuple[int, int, int]]:
    """Load an image of these layers, and return how its directories are: mode, owner, group."""
    (home / "image.tar").write_bytes(archives.image(*layers).archive())
    stored = await store.load(home / "image.tar")
    with _mounted(stored.lower_dirs, home) as rootfs:
        folders = [rootfs, *(path for path in rootfs.rglob("*") if path.is_dir() and not path.is_symlink())]
        status_by_name = {str(path.relative_to(rootfs)): path.stat() for path in folders}
    assert store.leftovers() == []
    return {
        name: (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) for name, status in status_by_name.items()
    }


async def test_merged__a_layer_without_entries_for_its_directories__keeps_what_is_below(store, tmp_path) -> None:
    upper = archives.tar(archives.file("tmp/a"), archives.file("srv/in/new/b"), archives.file("other/c"))
    top = archives.tar(archives.file("srv/in/new/d"), archives.file("other/e"))
    modes = await _modes(store, tmp_path, OPEN, upper, top)
    assert modes["tmp"] == (0o1777, 7, 8)
    assert (modes["srv"], modes["srv/in"]) == ((0o700, 5, 6), (0o750, 5, 6))
    assert modes["srv/in/new"] == modes["other"] == (0o755, 0, 0)


async def test_merged__an_implied_directory__keeps_times_and_attributes_too(store, tmp_path) -> None:
    upper = archives.tar(archives.file("tmp/a"))
    (tmp_path / "image.tar").write_bytes(archives.image(OPEN, upper).archive())
    stored = await store.load(tmp_path / "image.tar")
    with _mounted(stored.lower_dirs, tmp_path) as rootfs:
        assert os.getxattr(rootfs / "tmp", "user.kept") == b"yes"
        assert (rootfs / "tmp").stat().st_mtime == archives.THEN


@pytest.mark.parametrize(
    "between",
    [
        archives.tar(archives.file(".wh.srv")),
        archives.tar(archives.file(".wh.srv"), archives.folder("srv", 0o711)),
        archives.tar(archives.symlink("srv", "tmp")),
        archives.tar(archives.file("srv")),
        archives.tar(archives.file(".wh..wh..opq")),
    ],
)
async def test_merged__what_is_below_is_hidden__is_not_taken_over(store, tmp_path, between: bytes) -> None:
    modes = await _modes(store, tmp_path, OPEN, between, archives.tar(archives.file("srv/in/b")))
    assert modes["srv/in"] == (0o755, 0, 0)
    assert modes["srv"] in {(0o755, 0, 0), (0o711, 0, 0)}


async def test_merged__a_directory_whose_entry_comes_later__is_as_that_says(store, tmp_path) -> None:
    upper = archives.tar(archives.file("srv/in/b"), archives.folder("srv", 0o711, uid=1, gid=2))
    modes = await _modes(store, tmp_path, OPEN, upper)
    assert (modes["srv"], modes["srv/in"]) == ((0o711, 1, 2), (0o750, 5, 6))


async def test_merged__a_link_below__leads_nowhere(store, tmp_path) -> None:
    base = archives.tar(archives.symlink("away", str(tmp_path)), archives.folder("in", 0o700))
    modes = await _modes(store, tmp_path, base, archives.tar(archives.file("away/in/b")))
    assert modes["away"] == modes["away/in"] == (0o755, 0, 0)


async def test_merged__the_top__is_as_the_uppermost_layer_that_says_it(store, tmp_path) -> None:
    base = archives.tar(archives.folder("./", 0o711, uid=3, gid=4), archives.file("a"))
    other = archives.tar(archives.file("b"))
    assert (await _modes(store, tmp_path, base, other, other))["."] == (0o711, 3, 4)


async def test_merged__the_same_layer_over_another_one__takes_after_that(store, tmp_path) -> None:
    upper = archives.tar(archives.file("tmp/a"))
    assert (await _modes(store, tmp_path, OPEN, upper))["tmp"] == (0o1777, 7, 8)
    shutil.rmtree(tmp_path / "own")
    other = archives.tar(archives.folder("tmp", 0o700))
    assert (await _modes(store, tmp_path, other, upper))["tmp"] == (0o700, 0, 0)


@pytest.mark.parametrize("count", [127, 250])
async def test_mounted__of_a_hundred_layers_and_more__is_all_of_them(store, tmp_path, count: int) -> None:
    before = pathlib.Path.cwd()
    layers = [archives.tar(archives.file(f"f{n}"), archives.file("same", b"%d" % n)) for n in range(count)]
    merged = await _merged(store, tmp_path, *layers)
    assert merged == {**{f"f{number}": b"" for number in range(count)}, "same": b"%d" % (count - 1)}
    assert pathlib.Path.cwd() == before


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
async def test_unpacked__modes_and_owners__are_those_of_the_entries_whatever_new_files_get(store, mask: int) -> None:
    modes = (0o000, 0o600, 0o644, 0o666, 0o755, 0o777, 0o4755, 0o2755, 0o1777, 0o6777)
    files = [archives.file(f"{where}{mode:o}", mode=mode) for where in ("", "shared/", "plain/") for mode in modes]
    owned = [archives.file(f"plain/own{number}", uid=number % 3, gid=number % 2) for number in range(6)]
    layer = archives.tar(
        archives.file("first"),
        archives.folder("plain"),
        archives.folder("shared", 0o2775, gid=50),
        *files,
        *owned,
        archives.file("shared/own", gid=0),
        archives.folder("group", gid=7),
        archives.file("group/f"),
    )
    before = os.umask(mask)
    try:
        target = await store.unpacked(layer)
    finally:
        os.umask(before)
    status_by_name = {str(path.relative_to(target)): path.stat() for path in target.rglob("*")}
    for where in ("", "shared/", "plain/"):
        assert [stat.S_IMODE(status_by_name[f"{where}{mode:o}"].st_mode) for mode in modes] == list(modes)
    assert {(file.st_uid, file.st_gid) for name, file in status_by_name.items() if name.startswith("shared/")} == {
        (0, 0)
    }
    owners = [status_by_name[f"plain/own{number}"] for number in range(6)]
    assert [(file.st_uid, file.st_gid) for file in owners] == [(number % 3, number % 2) for number in range(6)]
    assert (status_by_name["group/f"].st_uid, status_by_name["group/f"].st_gid) == (0, 0)


async def test_unpacked__below_a_default_acl__modes_are_those_of_the_entries(store) -> None:
    acl = b"\x02\0\0\0" + b"".join(
        tag.to_bytes(2, "little") + permissions.to_bytes(2, "little") + b"\xff\xff\xff\xff"
        for tag, permissions in ((1, 7), (4, 5), (0x20, 0))
    )
    os.setxattr(store.where.snapshots, "system.posix_acl_default", acl)
    target = await store.unpacked(archives.tar(archives.file("f", mode=0o646), archives.file("d/f", mode=0o646)))
    assert [stat.S_IMODE((target / name).stat().st_mode) for name in ("f", "d/f")] == [0o646, 0o646]
