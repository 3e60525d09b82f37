"""Opening files that others may have exchanged for something else; reading and writing open ones."""

import errno
import fcntl
import os
import stat
import struct

PIECE = 64 * 1024
"""Bytes written at a time. For larger writes ext4 (Linux 6.16 and newer) looks for large pages, which takes up to ten
times as long as the writing itself."""


_LONG = struct.Struct("l")
_GET_VERSION = 2 << 30 | _LONG.size << 16 | ord("v") << 8 | 1
"""``FS_IOC_GETVERSION`` of all architectures but mips, ppc and sparc."""


class NoRegularFileError(OSError):
    """A path leads to a directory, a device, a pipe or a socket."""


def open_regular(path: str | os.PathLike[str], folder: int | None = None) -> int:
    """Open a regular file for reading. Raises ``OSError``, ``NoRegularFileError`` for anything else.

    Nothing else is ever opened: opening a device may do something to it (a tape rewinds, a watchdog starts). In an open
    ``folder`` the last component's link is not followed; without one it is.
    """
    nofollow = 0 if folder is None else os.O_NOFOLLOW
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC | nofollow, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise NoRegularFileError(errno.EINVAL, "this is not a regular file", os.fspath(path))
        try:
            return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError as error:  # the file is there: that must not be taken for its absence
            raise OSError(errno.EIO, "cannot be opened by /proc/self/fd", os.fspath(path)) from error
    finally:
        os.close(handle)


def generation(descriptor: int) -> int:
    """Return what tells an open file from those that had its inode number before; 0 where the file system does not say.

    ext4 and XFS give a removed file's number to the next one that is created.
    """
    try:
        number: int = _LONG.unpack(fcntl.ioctl(descriptor, _GET_VERSION, bytes(_LONG.size)))[0]
    except OSError:
        return 0
    return number


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of it, however little the disk takes at a time. Raises ``OSError``."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view[:PIECE]) :]


def read_most(descriptor: int, largest: int) -> bytes:
    """Return what is left to read, ``largest`` bytes at most. Raises ``OSError``, also where it would have to wait."""
    data = bytearray()
    while len(data) < largest and (piece := os.read(descriptor, largest - len(data))):
        data += piece
    return bytes(data)
