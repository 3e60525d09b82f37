"""What is written above an image's layers, packed: loaded again upon the same layers, it is the same tree."""

import io
import os
import pathlib
import shutil
import socket
import stat
import tarfile

import pytest

from agent.engine.kernel import linux
from agent.engine.layers import pack
from agent.engine.snapshots import overlay
from tests import archives

pytestmark = pytest.mark.root

KERNEL = linux.LinuxKernel()
CAPABILITY = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
BASE = archives.tar(
    archives.folder("."),
    archives.folder("d", 0o750, uid=7),
    archives.file("d/one", b"1"),
    archives.folder("d/sub"),
    archives.file("d/sub/two", b"2"),
    archives.folder("gone"),
    archives.file("gone/three", b"3"),
    archives.file("top", b"t", mode=0o4755),
    archives.symlink("link", "d"),
)


def packed(folder: pathlib.Path, latest: int | None = None) -> bytes:
    """Return the layer of a directory, having checked what is said of it."""
    out = io.BytesIO()
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        result = pack.pack(descriptor, out, latest)
    finally:
        os.close(descriptor)
    assert result == (archives.digest(out.getvalue()), len(out.getvalue()))
    return out.getvalue()


def change(root: pathlib.Path) -> None:
    """Do to a tree what programs do: write, remove, replace, rename, link."""
    (root / "d/one").write_bytes(b"changed")
    (root / "d/sub/two").unlink()
    shutil.rmtree(root / "gone")
    (root / "gone").mkdir(mode=0o700)
    (root / "gone/new").write_bytes(b"n" * 100_000)
    (root / "link").unlink()
    (root / "link").symlink_to("/top/../d")
    (root / "top").chmod(0o2644)
    os.chown(root / "top", 1000, 2000)
    (root / "first").write_bytes(b"f")
    os.link(root / "first", root / "second")
    os.setxattr(root / "first", "user.note", "ä".encode())
    os.setxattr(root / "first", "security.capability", CAPABILITY)
    os.mkfifo(root / "fifo", 0o600)
    os.mknod(root / "device", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    (root / ("n" * 200)).mkdir()
    (root / ("n" * 200) / ("m" * 200)).write_bytes(b"long")
    (root / os.fsdecode(b"not\xffutf8")).write_bytes(b"x")
    (root / "empty").touch()
    for path in sorted(root.rglob("*")):
        os.utime(path, (1_700_000_000, 1_700_000_000), follow_symlinks=False)


async def test_pack__changes_of_a_tree__are_the_same_tree_when_loaded(tmp_path: pathlib.Path) -> None:
    async with archives.opened(tmp_path / "root") as store:
        (tmp_path / "image.tar").write_bytes(archives.image(BASE).archive())
        base = await store.load(tmp_path / "image.tar")
        overlay.mount(KERNEL, base.lower_dirs, tmp_path / "own", tmp_path / "rootfs")
        try:
            change(tmp_path / "rootfs")
            with socket.socket(socket.AF_UNIX) as end:
                end.bind(str(tmp_path / "rootfs/socket"))
            expected = archives.tree(tmp_path / "rootfs")
        finally:
            overlay.unmount(KERNEL, tmp_path / "rootfs")
        layer = packed(tmp_path / "own/upper")
        (tmp_path / "changed.tar").write_bytes(archives.image(BASE, layer).archive())
        changed = await store.load(tmp_path / "changed.tar")
        overlay.mount(KERNEL, changed.lower_dirs, tmp_path / "again", tmp_path / "rootfs")
        try:
            actual = archives.tree(tmp_path / "rootfs")
        finally:
            overlay.unmount(KERNEL, tmp_path / "rootfs")
    del expected["socket"], expected["."], actual["."]  # the top's time is that of the mount
    assert actual == expected
    assert {"first", "gone/new", "device", "fifo"} <= set(actual)
    assert not {"d/sub/two", "gone/three"} & set(actual)


def test_pack__marks__are_the_image_specifications(tmp_path: pathlib.Path) -> None:
    os.mknod(tmp_path / "removed", 0o600 | stat.S_IFCHR, 0)
    (tmp_path / "d").mkdir()
    os.mknod(tmp_path / "d/removed", 0o600 | stat.S_IFCHR, 0)
    os.setxattr(tmp_path / "d", "trusted.overlay.opaque", b"y")
    os.setxattr(tmp_path / "d", "trusted.overlay.origin", b"z")
    with tarfile.open(fileobj=io.BytesIO(packed(tmp_path))) as archive:
        assert archive.getnames() == [".", "d", "d/.wh..wh..opq", "d/.wh.removed", ".wh.removed"]
        assert [entry.pax_headers for entry in archive] == [{}] * 5
        assert {entry.size for entry in archive} == {0}


def test_pack__twice__gives_the_same_bytes_whatever_the_order_on_the_disk(tmp_path: pathlib.Path) -> None:
    for folder, names in (("a", "xyz"), ("b", "zxy")):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_bytes(name.encode())
            os.utime(tmp_path / folder / name, ns=(1, 1_600_000_000_123_456_789))
        os.utime(tmp_path / folder, (5, 5))
    assert packed(tmp_path / "a") == packed(tmp_path / "b")
    with tarfile.open(fileobj=io.BytesIO(packed(tmp_path / "a"))) as archive:
        assert {entry.mtime for entry in archive} == {5, 1_600_000_000}
    with tarfile.open(fileobj=io.BytesIO(packed(tmp_path / "a", latest=1000))) as archive:
        assert {entry.mtime for entry in archive} == {5, 1000}


def test_pack__deep_tree__is_written_without_recursion(tmp_path: pathlib.Path) -> None:
    folder = tmp_path
    for _ in range(300):
        folder = folder / "d"
        folder.mkdir()
    with tarfile.open(fileobj=io.BytesIO(packed(tmp_path))) as archive:
        assert len(archive.getnames()) == 301
    assert len(archives.descriptors()) < 100
