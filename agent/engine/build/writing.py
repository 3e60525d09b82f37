"""Writing into a root file system that is being built: folders on the way, files with all that they are.

What is there already may be an image's, and hostile: a link is followed as the image will see it, and nowhere else.
"""

import contextlib
import os
import pathlib
import posixpath
import stat
from collections.abc import Iterable

from agent import errors
from agent.engine.build import disk_trees, trees
from agent.engine.bundle import destinations
from agent.engine.kernel import api
from agent.kit import files, frozen
from agent.reasons import Reason

_CHUNK = 8 * 1024 * 1024
_SMALL = 64 * 1024
"""Bytes of a file that is read and written sooner than sent."""
_KEPT = ("user.", "security.capability")
_OVERLAY = "user.overlay."
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FOLDER_MODE = 0o755
_ALL, _PLAIN = 0o7777, 0o1777
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@frozen.value
class Owner:
    """Whose a file is to be, and what may be done to it."""

    uid: int | None = None
    """``None``: as in the source."""
    gid: int | None = None
    mode: int | None = None
    keeps_rights: bool = True
    """Set-user-ID, set-group-ID and capabilities stay; not on a host that they are not for."""


_AS_IN_THE_SOURCE = Owner()


def kept_attributes(descriptor: int) -> list[tuple[str, str]]:
    """Return the extended attributes of an open file that are copied, their values in hexadecimal digits."""
    names = sorted(os.listxattr(descriptor))
    kept = (name for name in names if name.startswith(_KEPT) and not name.startswith(_OVERLAY))
    return [(name, os.getxattr(descriptor, name).hex()) for name in kept]


class Writer:
    """Writes beneath an open directory."""

    def __init__(self, kernel: api.Kernel, top: int, owner: Owner, latest: int | None) -> None:
        """Take an open directory, which stays the caller's. ``latest``: nanoseconds that nothing is newer than."""
        self._kernel = kernel
        self._top = top
        self._owner = owner
        self._latest = latest
        self._links: dict[tuple[int, int], str] = {}
        """Where a file that has more than one name in its source has been written first."""
        self._times: dict[str, int] = {}
        """Times of folders, which are set last: what is made in them changes them."""
        self._parent: tuple[str, int] | None = None
        self._is_inherited = False
        """The group of what is made in that folder is the folder's."""

    def close(self) -> None:
        """Set the times of folders, and let go. Raises ``OSError``."""
        self._leave()
        for path, time in reversed(self._times.items()):
            with contextlib.suppress(FileNotFoundError):
                descriptor = self._opened(path)
                try:
                    os.utime(descriptor, ns=(time, time))
                finally:
                    os.close(descriptor)

    def begin_source(self) -> None:
        """Begin with another source: files of different ones are never hard links of each other."""
        self._links.clear()

    def resolved(self, path: str) -> str:
        """Return a path of the image with its links followed, also those that lead to nothing yet."""
        return destinations.resolve(self._kernel, pathlib.Path(f"/proc/self/fd/{self._top}"), path).strip("/")

    def is_folder(self, path: str) -> bool | None:
        """Return whether a path without links is a directory; ``None`` where nothing is there."""
        folder, name = posixpath.split(path)
        if not name:
            return True
        try:
            descriptor = self._opened(folder)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return stat.S_ISDIR(os.lstat(name, dir_fd=descriptor).st_mode)
        except FileNotFoundError:
            return None
        finally:
            os.close(descriptor)

    def make_folders(self, path: str) -> None:
        """Make a directory at a path without links, and those above it, where they are not there.

        Raises ``errors.InvalidArgument`` where something else is in the way.
        """
        here = ""
        for part in filter(None, path.split("/")):
            folder, here = here, posixpath.join(here, part)
            descriptor = self._opened(folder)
            try:
                os.mkdir(part, 0o700, dir_fd=descriptor)
            except FileExistsError:
                if not stat.S_ISDIR(os.lstat(part, dir_fd=descriptor).st_mode):
                    raise _obstructed(here) from None
                continue
            finally:
                os.close(descriptor)
            self._settle_folder(here, self._owner.uid or 0, self._owner.gid or 0, _FOLDER_MODE)
            if self._latest is not None:
                self._times[here] = self._latest

    def folder(self, path: str, entry: trees.Entry, *, overwrites: bool) -> None:
        """Make a directory as one of the source is; one that is there gets its mode where ``overwrites``."""
        parent, name = posixpath.split(path)
        if not name:
            return
        descriptor = self._parent_of(parent)
        uid, gid, mode = self._own(entry.status)
        try:
            os.mkdir(name, 0o700, dir_fd=descriptor)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(name, dir_fd=descriptor).st_mode):
                raise _obstructed(path) from None
            if overwrites:
                self._settle_folder(path, uid, gid, mode)
            return
        self._settle_folder(path, uid, gid, mode)
        self._times[path] = self._time(entry.status.modified)

    def file(self, path: str, entry: trees.Entry, source: disk_trees.DiskTree) -> None:
        """Write a file, a link or a device as one of the source is, in place of what is there.

        Raises ``errors.InvalidArgument`` where that is a directory.
        """
        parent, name = posixpath.split(path)
        folder = self._parent_of(parent)
        status = entry.status
        first = self._links.get(status.identity) if status.identity else None
        if first is not None:
            self._free(folder, name, path)
            upper, own = posixpath.split(first)
            linked = self._opened(upper)
            try:
                os.link(own, name, src_dir_fd=linked, dst_dir_fd=folder, follow_symlinks=False)
            finally:
                os.close(linked)
            return
        if status.identity is not None:
            self._links[status.identity] = path
        if stat.S_ISREG(status.mode):
            descriptor = source.open(entry.path)
            try:
                self._regular(folder, path, descriptor, status)
            finally:
                os.close(descriptor)
            return
        self._free(folder, name, path)
        uid, gid, mode = self._own(status)
        if status.is_link:
            os.symlink(source.link(entry.path), name, dir_fd=folder)
        elif status.device == (0, 0) and stat.S_ISCHR(status.mode):
            raise errors.InvalidArgument(
                f"{entry.path} is a device that only overlayfs makes", reason=Reason.IMAGE_REFUSED
            )
        else:
            os.mknod(name, stat.S_IFMT(status.mode) | 0o600, os.makedev(*status.device), dir_fd=folder)
            os.chmod(name, mode, dir_fd=folder)
        os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)
        time = self._time(status.modified)
        os.utime(name, ns=(time, time), dir_fd=folder, follow_symlinks=False)

    def content(self, path: str, data: bytes, mode: int, modified: int) -> None:
        """Write a file that is nowhere yet, in place of what is there. ``modified``: nanoseconds since the epoch."""
        parent, name = posixpath.split(path)
        folder = self._parent_of(parent)
        self._free(folder, name, path)
        descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchown(descriptor, self._owner.uid or 0, self._owner.gid or 0)
            os.fchmod(descriptor, mode if self._owner.mode is None else self._owner.mode)
            time = self._time(modified)
            os.utime(descriptor, ns=(time, time))

    def _regular(self, folder: int, path: str, source: int, status: trees.Status) -> None:
        """Write a file. Nearly all are new, and root's: what is in the way, and owners, are looked at where need be."""
        name = posixpath.basename(path)
        try:
            target = os.open(name, _NEW_FILE, 0o600, dir_fd=folder)
        except FileExistsError:
            self._free(folder, name, path)
            target = os.open(name, _NEW_FILE, 0o600, dir_fd=folder)
        try:
            if status.size <= _SMALL:
                files.write_all(target, os.read(source, _SMALL))
            else:
                remaining = status.size
                while remaining and (count := os.sendfile(target, source, None, min(remaining, _CHUNK))):
                    remaining -= count
            _check_unchanged(path, os.fstat(source), status)
            uid, gid, mode = self._own(status)
            if (uid, gid) != (0, 0) or self._is_inherited:
                os.fchown(target, uid, gid)  # which takes set-user-ID and capabilities away: they come behind it
            os.fchmod(target, mode)
            for attribute, value in self._attributes(source):
                os.setxattr(target, attribute, bytes.fromhex(value))
            time = self._time(status.modified)
            os.utime(target, ns=(time, time))
        finally:
            os.close(target)

    def _free(self, folder: int, name: str, path: str) -> None:
        """Take away what is in a file's place."""
        try:
            is_folder = stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode)
        except FileNotFoundError:
            return
        if is_folder:
            raise errors.InvalidArgument(f"/{path} is a directory, and a file cannot replace it")
        os.unlink(name, dir_fd=folder)

    def _own(self, status: trees.Status) -> tuple[int, int, int]:
        owner = self._owner
        return (
            status.uid if owner.uid is None else owner.uid,
            status.gid if owner.gid is None else owner.gid,
            (stat.S_IMODE(status.mode) if owner.mode is None else owner.mode)
            & (_ALL if owner.keeps_rights else _PLAIN),
        )

    def _attributes(self, source: int) -> list[tuple[str, str]]:
        kept = kept_attributes(source)
        return kept if self._owner.keeps_rights else [pair for pair in kept if pair[0].startswith("user.")]

    def _settle_folder(self, path: str, uid: int, gid: int, mode: int) -> None:
        descriptor = self._opened(path)
        try:
            os.fchown(descriptor, uid, gid)
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)

    def _time(self, modified: int) -> int:
        return modified if self._latest is None else min(modified, self._latest)

    def _parent_of(self, folder: str) -> int:
        """Return a descriptor of a folder, which stays open for what comes next in it."""
        if self._parent is None or self._parent[0] != folder:
            self._leave()
            self.make_folders(folder)
            self._parent = folder, self._opened(folder)
            self._is_inherited = bool(os.fstat(self._parent[1]).st_mode & stat.S_ISGID)
        return self._parent[1]

    def _leave(self) -> None:
        if self._parent is not None:
            os.close(self._parent[1])
            self._parent = None

    def _opened(self, folder: str) -> int:
        return self._kernel.open_in_root(self._top, folder or ".", _FOLDER)


def copy_tree(
    kernel: api.Kernel,
    tree: disk_trees.DiskTree,
    entries: Iterable[trees.Entry],
    target: pathlib.Path,
    owner: Owner = _AS_IN_THE_SOURCE,
) -> None:
    """Copy entries of a tree into a directory, each directory before what is in it. It blocks."""
    top = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        writer = Writer(kernel, top, owner, None)
        for entry in entries:
            if entry.status.is_folder:
                writer.folder(entry.relative, entry, overwrites=True)
            else:
                writer.file(entry.relative, entry, tree)
        writer.close()
    finally:
        os.close(top)


def _check_unchanged(path: str, now: os.stat_result, before: trees.Status) -> None:
    """Raise ``errors.Unavailable`` where a file is another than the one whose digest the cache is to remember."""
    if (now.st_size, now.st_mtime_ns) != (before.size, before.modified):
        raise errors.Unavailable(f"what is copied to /{path} was changed meanwhile", hint="build it again")


def _obstructed(path: str) -> errors.InvalidArgument:
    return errors.InvalidArgument(f"/{path} is no directory", hint="choose another target, or remove it first")
