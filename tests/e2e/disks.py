"""Small disks: an instance whose root is a file system of its own, and one that is full to the last byte."""

import contextlib
import os
import pathlib
import subprocess
from collections.abc import Iterator

from tests.e2e import command


@contextlib.contextmanager
def root_of(native: command.Trimtab, size: str) -> Iterator[pathlib.Path]:
    """Mount a root of so many bytes for the instance; its objects are deleted before the root is unmounted."""
    root = native.home / "root"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "trimtab-test", root], check=True)
    try:
        yield root
    finally:
        deleted = native("delete", native.home / "manifests")
        subprocess.run(["umount", root], check=True)
        assert deleted.returncode == 0, deleted.stderr


@contextlib.contextmanager
def full_disk(root: pathlib.Path) -> Iterator[None]:
    """Fill the root, for as long as the context lasts."""
    filler = root / "filler"
    with filler.open("wb") as file:
        while (free := os.statvfs(root)).f_bavail:
            with contextlib.suppress(OSError):  # somebody has been quicker
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), free.f_bavail * free.f_bsize)
    try:
        yield
    finally:
        filler.unlink()
