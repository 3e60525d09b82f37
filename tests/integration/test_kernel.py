"""The kernel's own promises that the engine builds on."""

import contextlib
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from agent.engine.kernel import linux

KERNEL = linux.LinuxKernel()
_RENAME = "import os\nos.mkdir('1')\nprint(flush=True)\nwhile True: os.rename('1', '2'); os.rename('2', '1')"


@pytest.fixture
def root(tmp_path: pathlib.Path) -> Iterator[int]:
    """A root with links that lead out, were they followed, beside a file that must not be reached."""
    (tmp_path / "secret").write_text("outside")
    inside = tmp_path / "root"
    (inside / "a/b").mkdir(parents=True)
    (inside / "secret").write_text("inside")
    (inside / "a/b/up").symlink_to("../../../../secret")
    (inside / "a/absolute").symlink_to("/secret")
    (inside / "a/proc").symlink_to("/proc/self/root")
    (inside / "a/loop").symlink_to("loop")
    descriptor = os.open(inside, os.O_PATH)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("path", ["../secret", "/secret", "a/b/up", "a/absolute", "a/../../../secret", "secret"])
def test_open_in_root__whatever_leads_up__ends_at_the_root(root: int, path: str) -> None:
    descriptor = KERNEL.open_in_root(root, path, os.O_RDONLY)
    with os.fdopen(descriptor) as file:
        assert (file.read(), os.get_inheritable(descriptor)) == ("inside", False)


@pytest.mark.parametrize("path", ["a/proc/etc", "missing", "a/loop", "secret/x", "sec\0ret", "secret\0"])
def test_open_in_root__nothing_there__raises_and_opens_nothing(root: int, path: str) -> None:
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - names are numbers
    with pytest.raises(OSError, match="No such file|Too many levels|Not a directory|Invalid argument"):  # noqa: RUF043
        KERNEL.open_in_root(root, path, os.O_RDONLY)
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208


@contextlib.contextmanager
def _renaming(folder: pathlib.Path) -> Iterator[None]:
    """Rename a path in another process until the context ends."""
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", _RENAME], cwd=folder, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            process.kill()


def test_open_in_root__somebody_renames_something_meanwhile__is_opened_all_the_same(root: int, tmp_path) -> None:
    with _renaming(tmp_path / "elsewhere"):
        for _ in range(5000):
            os.close(KERNEL.open_in_root(root, "a/b/up", os.O_PATH))
    assert os.readlink(f"/proc/self/fd/{root}") == str(tmp_path / "root")  # noqa: PTH115 - a descriptor's path


def test_sync__directory__leaves_nothing_open(tmp_path: pathlib.Path) -> None:
    before = len(list(pathlib.Path("/proc/self/fd").iterdir()))
    KERNEL.sync(str(tmp_path))
    assert len(list(pathlib.Path("/proc/self/fd").iterdir())) == before
    with pytest.raises(FileNotFoundError):
        KERNEL.sync(str(tmp_path / "missing"))


@pytest.mark.root
@pytest.mark.parametrize("name", ["plain", "with space", "with\ttab", "ü"])
def test_mounts__names_of_any_kind__are_told_as_they_are(tmp_path: pathlib.Path, name: str) -> None:
    target = tmp_path / name
    target.mkdir()
    KERNEL.mount("tmpfs", str(target), "tmpfs", 0, "size=4k")
    try:
        assert KERNEL.mounts()[-1] == str(target)
    finally:
        KERNEL.umount(str(target), 0)
    assert str(target) not in KERNEL.mounts()
    with pytest.raises(OSError, match="Invalid argument"):
        KERNEL.umount(str(target), 0)


def test_spread__directory__is_the_top_of_trees_where_the_file_system_knows_such_a_thing(
    tmp_path: pathlib.Path,
) -> None:
    for _ in range(2):
        linux.LinuxKernel().spread(str(tmp_path))
    kind = subprocess.run(["stat", "-f", "-c", "%T", tmp_path], check=True, capture_output=True, text=True).stdout
    attributes = subprocess.run(["lsattr", "-d", tmp_path], check=False, capture_output=True, text=True).stdout
    assert ("T" in attributes.partition(" ")[0]) == (kind == "ext2/ext3\n")


def test_spread__file_system_without_such_a_thing__changes_nothing() -> None:
    linux.LinuxKernel().spread("/proc/self")
    assert pathlib.Path("/proc/self").is_dir()
