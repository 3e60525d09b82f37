"""Trees are removed, however they were made."""

import contextlib
import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from agent.engine.kernel import linux
from agent.kit import trees
from tests import archives


def test_remove__all_sorts_of_things__are_gone_and_links_are_not_followed(tmp_path: pathlib.Path) -> None:
    outside = tmp_path / "outside"
    (outside / "kept").mkdir(parents=True)
    (outside / "kept/file").write_text("x")
    before = archives.tree(outside)
    top = tmp_path / "top"
    for folder in ("a/b/c", "a/d", "e"):
        (top / folder).mkdir(parents=True)
        (top / folder / "file").write_text("x")
    (top / "a/link").symlink_to(outside)
    (top / "a/b/up").symlink_to("../../../outside/kept")
    os.mkfifo(top / "e/fifo")
    trees.remove(top)
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert archives.tree(outside) == before


def test_remove__deeper_than_any_path__is_gone(tmp_path: pathlib.Path) -> None:
    archives.deep(tmp_path / "top", 3000)
    before = archives.descriptors()
    trees.remove(tmp_path / "top")
    assert list(tmp_path.iterdir()) == []
    assert archives.descriptors() == before


def test_remove__missing__is_no_failure(tmp_path: pathlib.Path) -> None:
    trees.remove(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "file"])
def test_remove__no_directory__is_refused_and_left(tmp_path: pathlib.Path, kind: str) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    target = tmp_path / "target"
    if kind == "link":
        target.symlink_to(kept)
    else:
        target.write_text("x")
    with pytest.raises(OSError, match="Not a directory"):
        trees.remove(target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "target"]


@contextlib.contextmanager
def _mounted(source: pathlib.Path, target: pathlib.Path) -> Iterator[None]:
    subprocess.run(["mount", "--bind", source, target], check=True)
    try:
        yield
    finally:
        (mount_point,) = [path for path in linux.LinuxKernel().mounts() if path.startswith(f"{source.parent}/")]
        subprocess.run(["umount", mount_point], check=True)  # its parents may have been moved


@pytest.mark.root
@pytest.mark.parametrize("directory", ["mount", "a/mount", "a/b/mount"])
def test_remove__mount_inside__is_left_with_what_is_in_it(tmp_path: pathlib.Path, directory: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("x")
    inner = tmp_path / "top" / directory
    inner.mkdir(parents=True)
    with _mounted(outside, inner):
        with pytest.raises(OSError, match="busy"):
            trees.remove(tmp_path / "top")
        assert (outside / "file").read_text() == "x"
