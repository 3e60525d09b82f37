"""The kernel's system calls, by libc."""

import ctypes
import errno
import fcntl
import os
import pathlib
import re
import sys

_OPENAT2 = 437
"""The system call's number, the same on every architecture (since Linux 5.6)."""
_CLONE_FS = 0x200
_RESOLVE_NO_XDEV = 0x01
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_IN_ROOT = 0x10
_RACES = 1000
"""Attempts at a path with ``..``: a rename on the host meanwhile makes openat2(2) fail with EAGAIN."""
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
        """Mount a file system."""
        words = (source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
        self._check(self._libc.mount(*words), target)

    def mount_from(self, folder: str, kind: str, target: str, flags: int, data: str) -> None:
        """Mount a file system in a thread with a working directory of its own."""

        def mounting() -> None:
            self._check(self._libc.unshare(_CLONE_FS), "unshare")
            os.chdir(folder)
            self.mount(kind, target, kind, flags, data)

        from concurrent import futures  # noqa: PLC0415 - only few need it, and each layer's process would load it

        with futures.ThreadPoolExecutor(1, "mount") as thread:
            thread.submit(mounting).result()

    def umount(self, target: str, flags: int) -> None:
        """Unmount, as umount2(2) does."""
        self._check(self._libc.umount2(target.encode(), flags), target)

    def open_in_root(self, root: int, path: str, flags: int, *, same_mount: bool = False) -> int:
        """Open beneath a directory, never out of it."""
        resolve = _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS | (_RESOLVE_NO_XDEV if same_mount else 0)
        how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve)
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
        """Flush a file system to the disk."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._check(self._libc.syncfs(descriptor), path)
        finally:
            os.close(descriptor)

    def spread(self, path: str) -> None:
        """Set the attribute where there is none."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            flags = bytearray(8)
            fcntl.ioctl(descriptor, _GET_FLAGS, flags)
            fcntl.ioctl(
                descriptor,
                _SET_FLAGS,
                (int.from_bytes(flags, sys.byteorder) | _TOP_OF_TREES).to_bytes(8, sys.byteorder),
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
