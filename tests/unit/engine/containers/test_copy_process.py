"""Volumes in the tree of a container that does not run: where they are mounted, whatever a neighbour does meanwhile."""

import errno
import os
import pathlib
from collections.abc import Callable
from concurrent import futures

import pytest

from agent.engine.containers import copy_process
from agent.engine.kernel import api, linux

pytestmark = pytest.mark.root


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    """A tree, beside a volume with a file and a folder that is nobody's business."""
    for name in ("tree/shared", "volume", "outside"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "volume/file").write_text("data")
    return tmp_path / "tree"


def apart(action: Callable[[linux.LinuxKernel, int], str], tree: pathlib.Path) -> str:
    """Run something in a thread with mounts of its own, on an open tree."""

    def work() -> str:
        kernel = linux.LinuxKernel()
        kernel.unshare(api.CLONE_NEWNS)
        kernel.mount("none", "/", "", api.MS_REC | api.MS_PRIVATE, "")
        root = os.open(tree, os.O_PATH | os.O_DIRECTORY)
        try:
            return action(kernel, root)
        finally:
            os.close(root)

    with futures.ThreadPoolExecutor(1) as threads:
        return threads.submit(work).result(60)


def write(kernel: linux.LinuxKernel, root: int, path: str) -> str:
    """Write a file of a tree; return the failure's name, or what it held before."""
    try:
        descriptor = kernel.open_in_root(root, path, os.O_RDWR)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    try:
        before = os.read(descriptor, 100)
        os.write(descriptor, b"!")
        return before.decode()
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(("read_only", "outcome"), [(False, "data"), (True, "EROFS")])
def test_mount_in__a_place_that_is_missing__is_made_and_as_read_only_as_declared(
    tree: pathlib.Path, outcome: str, *, read_only: bool
) -> None:
    source = tree.parent / "volume"
    mount = {"source": str(source), "path": "/shared/a/b", "read_only": read_only}

    def copy(kernel: linux.LinuxKernel, root: int) -> str:
        copy_process.mount_in(kernel, root, mount, writable=True)
        return write(kernel, root, "/shared/a/b/file")

    assert apart(copy, tree) == outcome
    assert (source / "file").read_text() == ("data" if read_only else "data!")
    assert list((tree / "shared/a/b").iterdir()) == [], "only the thread saw the mount"


def test_mount_in__a_folder_was_exchanged_for_a_link__nothing_is_made_or_mounted_outside(tree: pathlib.Path) -> None:
    outside = tree.parent / "outside"
    (tree / "shared/a").symlink_to(outside)
    mount = {"source": str(tree.parent / "volume"), "path": "/shared/a/b", "read_only": True}

    def copy(kernel: linux.LinuxKernel, root: int) -> str:
        with pytest.raises(OSError, match=r"a|shared") as caught:
            copy_process.mount_in(kernel, root, mount, writable=True)
        return errno.errorcode[caught.value.errno or 0]

    assert apart(copy, tree) in {"ENOTDIR", "ELOOP"}
    assert list(outside.iterdir()) == []


def test_mount_in__only_to_read__makes_nothing_and_covers_what_is_there(tree: pathlib.Path) -> None:
    (tree / "shared/file").write_text("behind")
    missing = {"source": str(tree.parent / "volume"), "path": "/new", "read_only": False}
    covered = {"source": "", "path": "/shared", "read_only": False}

    def copy(kernel: linux.LinuxKernel, root: int) -> str:
        for mount in (missing, covered):
            copy_process.mount_in(kernel, root, mount, writable=False)
        return write(kernel, root, "/shared/file")

    assert apart(copy, tree) == "ENOENT"
    assert sorted(path.name for path in tree.iterdir()) == ["shared"]
