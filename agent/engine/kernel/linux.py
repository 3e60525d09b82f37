"""The kernel itself, by libc."""

import ctypes
import errno
import fcntl
import os
import pathlib
import re
import sys

_OPENAT2 = 437
"""The system call's number, the same on every architecture (since Linux 5.6)."""
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_IN_ROOT = 0x10
_RACES = 1000
"""Times that a path with ``..`` is tried: any rename on the host meanwhile makes the kernel say EAGAIN."""
_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602
"""``FS_IOC_GETFLAGS``, ``FS_IOC_SETFLAGS`` of all architectures but mips, ppc and sparc."""
_TOP_OF_TREES = 0x00020000
"""``FS_TOPDIR_FL``."""
_OCTAL = re.compile(r"\\(\d{3})")


class _OpenHow(ctypes.Structure):
    """``struct open_how`` of openat2(2)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class LinuxKernel:
    """``kernel.api.Kernel`` by system calls."""

    def __init__(self) -> None:
        """Load libc; nothing is called yet."""
        self._libc = ctypes.CDLL(None, use_errno=True)

    def mount(self, source: str, target: str, kind: str, flags: int, data: str) -> None:
        """Put a file system into the tree."""
        words = (source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
        self._check(self._libc.mount(*words), target)

    def umount(self, target: str, flags: int) -> None:
        """Unmount, as umount2(2) does."""
        self._check(self._libc.umount2(target.encode(), flags), target)

    def open_in_root(self, root: int, path: str, flags: int) -> int:
        """Open beneath a directory, never out of it."""
        how = _OpenHow(flags | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
        encoded = os.fsencode(path)
        if b"\0" in encoded:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        for _ in range(_RACES):
            descriptor = self._libc.syscall(_OPENAT2, root, encoded, ctypes.byref(how), ctypes.sizeof(how))
            if descriptor >= 0 or ctypes.get_errno() != errno.EAGAIN:
                break
        return self._check(descriptor, path)

    def unshare(self, flags: int) -> None:
        """Leave namespaces, for the calling thread."""
        self._check(self._libc.unshare(flags), "unshare")

    def enter(self, namespace: int, kind: int) -> None:
        """Move the calling thread into a namespace."""
        self._check(self._libc.setns(namespace, kind), "setns")

    def sync(self, path: str) -> None:
        """Bring a file system to the disk."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._check(self._libc.syncfs(descriptor), path)
        finally:
            os.close(descriptor)

    def spread(self, path: str) -> None:
        """Set the attribute where there is none."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            told = bytearray(8)
            fcntl.ioctl(descriptor, _GET_FLAGS, told)
            fcntl.ioctl(
                descriptor, _SET_FLAGS, (int.from_bytes(told, sys.byteorder) | _TOP_OF_TREES).to_bytes(8, sys.byteorder)
            )
        except OSError as error:
            if error.errno not in {errno.ENOTTY, errno.EOPNOTSUPP, errno.EPERM, errno.EINVAL}:
                raise
        finally:
            os.close(descriptor)

    def mounts(self) -> tuple[str, ...]:
        """Read /proc/self/mountinfo."""
        lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        return tuple(_OCTAL.sub(lambda code: chr(int(code[1], 8)), line.split()[4]) for line in lines)

    def _check(self, result: int, path: str) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return result
