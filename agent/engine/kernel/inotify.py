"""inotify by libc: a descriptor that becomes readable when something happens in one of some directories."""

import contextlib
import ctypes
import errno
import os
import pathlib
from collections.abc import Iterable, Mapping

_CHANGES = 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800
"""Written, attributes, closed after writing, moved, created, deleted; the directory itself gone or moved."""
_ONLY_DIRECTORIES = 0x01000000
_MOST = 1 << 16
_LIMITS = frozenset({errno.ENOSPC, errno.ENOMEM})


class Inotify:
    """Watches directories, not what lies below them. Limits of the kernel make it watch fewer."""

    def __init__(self) -> None:
        """Watch nothing yet. Raises ``OSError`` where the user has no instance left."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def watch(self, folders: Iterable[pathlib.Path]) -> Mapping[pathlib.Path, OSError]:
        """Watch directories, too; one that is watched already stays so, and one that is not there is none.

        Returns those that the kernel's limits leave out, with the error.
        """
        refused = {}
        for folder in folders:
            watch = self._libc.inotify_add_watch(self.descriptor, os.fsencode(folder), _CHANGES | _ONLY_DIRECTORIES)
            number = ctypes.get_errno()
            if watch < 0 and number in _LIMITS:
                refused[folder] = OSError(number, os.strerror(number))
        return refused

    def drain(self) -> None:
        """Discard pending events: whoever is woken reads the state itself."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.descriptor, _MOST):
                pass

    def close(self) -> None:
        """Watch no longer."""
        with contextlib.suppress(OSError):
            os.close(self.descriptor)
