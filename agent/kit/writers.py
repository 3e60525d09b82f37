"""Whether anybody has a file open for writing, asked of the kernel: by a read lease, which it gives where nobody has.

``fcntl(2)``, F_SETLEASE: a read lease on a descriptor that is open for reading is refused with EAGAIN while the file is
open for writing, or mapped so. The lease is given back at once. A writer that comes in between waits for these few
microseconds; the signal by which a holder is asked for its lease is one that nobody minds.
"""

import enum
import errno
import fcntl
import os
import pathlib
import re
import signal
import stat
import time

_LOCAL = frozenset(
    {
        *("bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "ramfs", "reiserfs", "tmpfs", "xfs"),
        *("vfat", "exfat", "zfs"),
    }
)
"""File systems that nobody writes to past this kernel. What the others answer holds for this host at most."""

_OF_THE_KERNEL = frozenset(
    {
        *("proc", "sysfs", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "configfs", "bpf", "efivarfs"),
        *("pstore", "binfmt_misc", "fusectl", "nsfs", "selinuxfs", "smackfs", "devpts", "nfsd", "rpc_pipefs"),
    }
)
"""File systems whose files are made up as they are read: with sizes that are not so, or without an end."""

_POLL = 0.02
"""Seconds between two looks at a file that is being written."""
_F_SETSIG = 10
"""``F_SETSIG`` of Linux, which Python names only since 3.11 on some platforms."""


class Writer(enum.Enum):
    """What is known of a file's writers."""

    NONE = "none"
    OPEN = "open"
    UNKNOWN = "unknown"
    """The file system cannot tell (others may write through another host), or the file is not ours to ask about."""


def read_whole(path: pathlib.Path, largest: int, patience: float = 2.0) -> bytes:
    """Return a file's bytes, ``largest`` at most, once nobody writes to it; wait for that so many seconds. It blocks.

    Raises ``OSError``, ``ETXTBSY`` where somebody goes on writing. What is no regular file is read once.
    """
    deadline = time.monotonic() + patience
    while True:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            data = file.read(largest)
            writer = Writers().of(file.fileno()) if stat.S_ISREG(before.st_mode) else Writer.UNKNOWN
            after = os.fstat(file.fileno())
        same = _stamps(before) == _stamps(after)
        if not stat.S_ISREG(before.st_mode) or (same and writer is not Writer.OPEN):
            return data
        if time.monotonic() > deadline:
            raise OSError(errno.ETXTBSY, "it is being written", str(path))
        time.sleep(_POLL)


class Writers:
    """Asks about files; remembers which file systems can answer. For one thread at a time."""

    def __init__(self) -> None:
        """Know no file system yet."""
        self._types: dict[int, str] = {}

    def of(self, descriptor: int) -> Writer:
        """Return what is known of the writers of a file that is open for reading."""
        if self._type(descriptor) not in _LOCAL:
            return Writer.UNKNOWN
        try:
            fcntl.fcntl(descriptor, _F_SETSIG, signal.SIGURG)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except OSError as error:
            return Writer.OPEN if error.errno == errno.EAGAIN else Writer.UNKNOWN
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return Writer.NONE

    def is_of_the_kernel(self, descriptor: int) -> bool:
        """Return whether an open file is one of those that the kernel makes up as they are read, as in ``/proc``."""
        return self._type(descriptor) in _OF_THE_KERNEL

    def _type(self, descriptor: int) -> str:
        device = os.fstat(descriptor).st_dev
        if device not in self._types:
            self._types[device] = _file_system(descriptor)
        return self._types[device]


def _stamps(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _file_system(descriptor: int) -> str:
    """Return the type of the file system that an open file is on; empty where ``/proc`` does not tell."""
    try:
        with open(f"/proc/self/fdinfo/{descriptor}") as details:  # noqa: PTH123 - a path that is no file's name
            mount = re.search(r"^mnt_id:\s*(\d+)$", details.read(), re.MULTILINE)
        with open("/proc/self/mountinfo", errors="surrogateescape") as mounts:  # noqa: PTH123
            for line in mounts:
                fields = line.split(" ")
                if mount is not None and fields[0] == mount[1]:
                    return fields[fields.index("-") + 1]
    except (OSError, ValueError):
        pass
    return ""
