"""Prediction of the mode and owner that the kernel gives to new files, which saves the calls that set them.

A layer has thousands of files, and most belong to root and have a mode that the umask leaves alone.
"""

import contextlib
import os
import re

from agent.distribution.layers import entries

_UMASK = re.compile(rb"^Umask:\s*([0-7]+)$", re.MULTILINE)
_PERMISSIONS = 0o777
_PRIVATE = 0o600


class Creation:
    """The mode and owner that new files of one layer get."""

    def __init__(self, root: int) -> None:
        """Read the umask and the default ACL of the layer's open directory."""
        self._withheld = _withheld(root)
        self._owner: tuple[int, int] | None = None
        self._inherits = False

    def directory(self, entry: entries.Entry) -> None:
        """Take a directory into account: a group other than root, or setgid, makes new files' groups unpredictable."""
        self._inherits = self._inherits or bool(entry.mode & 0o2000) or entry.gid != 0

    def mode(self, entry: entries.Entry) -> int:
        """Return the mode to make a file with: its own, or a private one where it has to be set afterwards."""
        return entry.mode if not entry.mode & (self._withheld | ~_PERMISSIONS) else _PRIVATE

    def owner_is(self, entry: entries.Entry, file: int) -> bool:
        """Return whether a new file already has its entry's owner."""
        if self._inherits:
            return False
        if self._owner is None:
            status = os.fstat(file)
            self._owner = (status.st_uid, status.st_gid)
        return self._owner == (entry.uid, entry.gid)


def _withheld(root: int) -> int:
    """Return the permissions that new files do not get: the umask's, and all where a default ACL decides."""
    with contextlib.suppress(OSError):  # there is none
        if os.getxattr(root, "system.posix_acl_default"):
            return _PERMISSIONS
    with contextlib.suppress(OSError):
        with open("/proc/self/status", "rb") as status:  # noqa: PTH123 - pathlib is slower than what it saves
            match = _UMASK.search(status.read())
        if match:
            return int(match[1], 8)
    return _PERMISSIONS
