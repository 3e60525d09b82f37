"""Trees on the disk: build contexts without what is left out, and root file systems of stages and images.

Nothing in them, however hostile, leads out of them: paths are opened beneath their top.
"""

import hashlib
import os
import posixpath
import stat
import threading
from collections.abc import Iterator

from agent.dockerfile import ignore
from agent.engine.build import trees
from agent.engine.kernel import api

_CHUNK = 1024 * 1024
_REMEMBERED = 200_000
"""Files whose digests are remembered."""
_RACY = 2 * 10**9
"""Nanoseconds for which a file may change again without another stamp: coarse clocks of file systems."""
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW

Stamp = tuple[int, int, int, int, int]


class Digests:
    """SHA-256 digests of files' contents, remembered by device, inode, size and times; for several threads."""

    def __init__(self) -> None:
        """Know none."""
        self._digests: dict[Stamp, str] = {}
        self._lock = threading.Lock()

    def of(self, descriptor: int, now: int) -> str:
        """Return the digest of an open file, in hexadecimal digits; ``now``: nanoseconds since the epoch.

        Raises ``OSError``.
        """
        status = os.fstat(descriptor)
        stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        with self._lock:
            remembered = self._digests.get(stamp)
        if remembered is not None:
            return remembered
        hashed = hashlib.sha256()
        while chunk := os.read(descriptor, _CHUNK):
            hashed.update(chunk)
        digest = hashed.hexdigest()
        if status.st_ctime_ns < now - _RACY:
            with self._lock:
                while len(self._digests) >= _REMEMBERED:
                    del self._digests[next(iter(self._digests))]
                self._digests[stamp] = digest
        return digest


class DiskTree:
    """A tree below an open directory. Each directory is looked at once: what changes meanwhile is not seen."""

    def __init__(
        self, kernel: api.Kernel, top: int, ignored: ignore.Ignore | None = None, *, is_context: bool = False
    ) -> None:
        """Take an open directory, which stays the caller's. Files of a context are root's, whoever has written them."""
        self._kernel = kernel
        self._top = top
        self._ignored = ignored or ignore.Ignore()
        self._is_context = is_context
        self._listings: dict[str, dict[str, trees.Status]] = {}
        self._targets: dict[str, str] = {}
        """Where links lead: what a step's key has is what is written, whatever a link is meanwhile."""

    def status(self, path: str) -> trees.Status | None:
        """Return what a path is. Raises ``OSError``."""
        if not path:
            return self._converted(os.fstat(self._top))
        folder, name = posixpath.split(path)
        return self._listing(folder).get(name)

    def names(self, path: str) -> list[str]:
        """Return the sorted names in a directory. Raises ``OSError``."""
        return sorted(self._listing(path))

    def link(self, path: str) -> str:
        """Return where a symbolic link leads. Raises ``OSError``."""
        if path not in self._targets:
            self._targets[path] = self._read_link(path)
        return self._targets[path]

    def _read_link(self, path: str) -> str:
        descriptor = self._kernel.open_in_root(self._top, path, os.O_PATH | os.O_NOFOLLOW)
        try:
            return os.readlink("", dir_fd=descriptor)
        finally:
            os.close(descriptor)

    def open(self, path: str) -> int:
        """Open a regular file to read it. Raises ``OSError``."""
        return self._kernel.open_in_root(self._top, path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)

    def _listing(self, folder: str) -> dict[str, trees.Status]:
        listing = self._listings.get(folder)
        if listing is None:
            listing = self._listings[folder] = dict(self._entries(folder))
        return listing

    def _entries(self, folder: str) -> Iterator[tuple[str, trees.Status]]:
        try:
            descriptor = self._kernel.open_in_root(self._top, folder or ".", _FOLDER)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        try:
            with os.scandir(readable) as entries:
                for entry in entries:
                    status = self._converted(entry.stat(follow_symlinks=False))
                    if not stat.S_ISSOCK(status.mode) and self._is_visible(posixpath.join(folder, entry.name), status):
                        yield entry.name, status
        finally:
            os.close(readable)

    def _is_visible(self, path: str, status: trees.Status) -> bool:
        """Return whether a path is not left out; a folder is there where anything in it is."""
        if not self._ignored.patterns or not self._ignored.leaves_out(path):
            return True
        return status.is_folder and self._ignored.may_bring_back and bool(self._listing(path))

    def _converted(self, status: os.stat_result) -> trees.Status:
        owner = (0, 0) if self._is_context else (status.st_uid, status.st_gid)
        is_linked = status.st_nlink > 1 and stat.S_ISREG(status.st_mode)
        return trees.Status(
            status.st_mode,
            *owner,
            status.st_size,
            status.st_mtime_ns,
            (status.st_dev, status.st_ino) if is_linked else None,
            (os.major(status.st_rdev), os.minor(status.st_rdev)),
        )
