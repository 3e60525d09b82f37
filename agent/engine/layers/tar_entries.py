"""What of a file's status an entry of a tar archive says."""

import os
import stat
import tarfile

_NANOSECONDS = 10**9
TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
}
"""What an archive can hold: no sockets."""


def described(name: str, status: os.stat_result) -> tarfile.TarInfo:
    """Return the entry of what has a status, one of ``TYPES``; its size and its link's target are not set."""
    entry = tarfile.TarInfo(name)
    entry.type = TYPES[stat.S_IFMT(status.st_mode)]
    entry.mode = stat.S_IMODE(status.st_mode)
    entry.uid, entry.gid = status.st_uid, status.st_gid
    entry.mtime = status.st_mtime_ns // _NANOSECONDS
    entry.devmajor, entry.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    return entry
