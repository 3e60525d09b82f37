"""Attributes of entries: owner, mode, times and extended attributes."""

import errno
import os
import pathlib

from agent import errors
from agent.distribution.layers import entries
from agent.reasons import Reason

_SMALLEST_BLOCK = 1024
"""Bytes: attributes of this size fit into every file system, unless the disk is full."""


def of_special(entry: entries.Entry, parent: int, name: str) -> None:
    """Set owner, mode and time of what is neither a file nor a directory."""
    os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
    if entry.kind is not entries.Kind.SYMLINK:
        pathlib.Path(f"/proc/self/fd/{parent}/{name}").chmod(entry.mode)
    os.utime(name, ns=(entry.time, entry.time), dir_fd=parent, follow_symlinks=False)


def set_xattrs(entry: entries.Entry, descriptor: int) -> None:
    """Keep what programs need. ``trusted.`` is overlayfs' own: an archive could forge redirects with it."""
    for name, value in entry.xattrs:
        if name == "security.capability" or name.startswith("user."):
            try:
                os.setxattr(descriptor, name, value)
            except OSError as error:
                raise _xattr_failure(entry, descriptor, error) from error


def _xattr_failure(entry: entries.Entry, descriptor: int, error: OSError) -> Exception:
    """Return the error for an attribute that was refused. ext4 refuses those that do not fit into a block."""
    file_system = os.fstatvfs(descriptor)
    size = sum(len(name) + len(value) for name, value in entry.xattrs)
    if (
        error.errno not in {errno.ENOSPC, errno.E2BIG}
        or size < _SMALLEST_BLOCK
        or file_system.f_bavail * file_system.f_frsize < size
    ):
        return error
    return errors.InvalidArgument(
        f"a layer has extended attributes of {size} bytes at {entry.name[:200]!r}, more than the file system keeps",
        hint="ext4 keeps 4 KiB of a file's, XFS 64 KiB of each: put --root on XFS, or make the image without them",
        reason=Reason.LAYER_REFUSED,
    )
