"""Disks without room."""

import contextlib
import itertools
import os
import pathlib


def fill(folder: pathlib.Path) -> pathlib.Path:
    """Leave not a byte on a disk, and return the file that takes them."""
    filler = folder / f"filler-{os.urandom(4).hex()}"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    return filler


def use_inodes(folder: pathlib.Path) -> pathlib.Path:
    """Leave not an inode on a disk, and return the directory whose files take them."""
    top = folder / f"inodes-{os.urandom(4).hex()}"
    top.mkdir()
    with contextlib.suppress(OSError):
        for number in itertools.count():
            (top / str(number)).touch()
    return top
