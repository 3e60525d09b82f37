"""Trees on the disk, while somebody changes them."""

import os
import pathlib

from agent.engine.build import disk_trees
from agent.engine.kernel import linux


def test_link__is_exchanged_meanwhile__leads_where_it_led(tmp_path: pathlib.Path) -> None:
    """What is written is then what the step's key has: a later build must not find another link under it."""
    (tmp_path / "current").symlink_to("releases/1")
    top = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        tree = disk_trees.DiskTree(linux.LinuxKernel(), top, is_context=True)
        assert tree.link("current") == "releases/1"
        (tmp_path / "new").symlink_to("releases/2")
        (tmp_path / "new").rename(tmp_path / "current")
        assert tree.link("current") == "releases/1"
        assert disk_trees.DiskTree(linux.LinuxKernel(), top, is_context=True).link("current") == "releases/2"
    finally:
        os.close(top)
