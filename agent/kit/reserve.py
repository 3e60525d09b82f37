"""Room on a disk that is kept for the moment when it is full: whoever frees a disk has to write a little first.

It is a directory of files: pieces of some hundred KiB, and empty ones for disks that have run out of inodes. They are
given up piece by piece, and made again once there is room. Many databases and package managers keep one.
"""

import contextlib
import os
import pathlib

PIECES = 4
"""How often the reserve can be given up before it has to be made again."""
PIECE = 1024**2
"""Bytes of a piece, on a disk that has at least a hundred times of all of them; less on a smaller one."""
INODES = 8
"""Files that are given up with each piece."""
_SHARE = 100
_ENOUGH = 512 * 1024
"""Bytes with which a handful of records can be written."""
_PLENTY = 4
"""The reserve is made where this many times its size is free."""


class Reserve:
    """A reserve in a directory of its own."""

    def __init__(self, path: pathlib.Path) -> None:
        """Nothing is made or given up yet."""
        self._path = path

    def restore(self) -> None:
        """Make what is missing of it, where there is plenty of room; without room nothing is done."""
        with contextlib.suppress(OSError):
            disk = os.statvfs(self._path.parent)
            piece = min(PIECE, disk.f_blocks * disk.f_frsize // _SHARE // PIECES)
            if disk.f_bavail * disk.f_frsize < _PLENTY * PIECES * piece or _is_out_of_inodes(disk, _PLENTY * PIECES):
                return
            self._path.mkdir(mode=0o700, exist_ok=True)
            for number in range(PIECES):
                _make(self._path / str(number), piece)

    def spend(self, *, leave: int = 0) -> bool:
        """Remove a piece of it where the disk is full; True where there was one. So many pieces are not touched."""
        if not is_full(self._path):
            return False
        try:
            pieces = sorted(self._path.iterdir(), key=lambda piece: piece.name, reverse=True)
        except OSError:
            return False
        spent = pieces[: max(0, len(pieces) - leave)][:1]
        for piece in spent:
            for file in (*piece.iterdir(), piece):
                with contextlib.suppress(OSError):
                    file.rmdir() if file.is_dir() else file.unlink()
        return bool(spent)


def is_full(path: pathlib.Path) -> bool:
    """Return whether the file system of this file, which need not exist, has no room left for a record."""
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _ENOUGH or _is_out_of_inodes(disk, 1)


def _make(piece: pathlib.Path, size: int) -> None:
    """Make a piece, unless it is there: a directory with a file of its size, and empty ones."""
    if piece.exists():
        return
    piece.mkdir(mode=0o700)
    for number in range(INODES):
        (piece / f"inode-{number}").touch(mode=0o600)
    with (piece / "room").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)


def _is_out_of_inodes(disk: os.statvfs_result, pieces: int) -> bool:
    return disk.f_files > 0 and disk.f_favail < pieces * (INODES + 2)
