"""A layer's tar stream onto the disk, as overlayfs wants it, whatever the archive tries.

Every path is resolved by the kernel inside of the layer's directory (openat2, RESOLVE_IN_ROOT): ``..``, absolute
names and links, also those that the archive itself has made, end at its top as they would in a chroot. Entries are
made under an open descriptor of their parent and never followed at their last component. Whiteouts become overlayfs'
own.
"""

import errno
import os
import pathlib
import posixpath
import shutil
import stat

from agent.engine import errors
from agent.engine.kernel import api
from agent.engine.layers import channel, entries, streams
from agent.kit import files

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_AUFS = ".wh..wh."
"""What aufs kept for itself, and old images still have in them: nobody's files."""
_OVERLAY_OPAQUE = "trusted.overlay.opaque"
_LONGEST_PATH = 4096
_DEEPEST = 256
"""Directories in each other; the names of a path do not tell, as links lead deeper."""
_CACHED_PARENTS = 64
_NAMES_KEPT = 256 * 1024 * 1024
"""Bytes of directories' names that are remembered to set their times."""
_OF_THE_LAYER = frozenset(
    {
        *(errno.EEXIST, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.EMLINK, errno.ENAMETOOLONG, errno.ENOENT),
        *(errno.ENOTDIR, errno.ENXIO, errno.EOPNOTSUPP, errno.EPERM, errno.ERANGE, errno.E2BIG),
    }
)
"""What the kernel says to an entry that can never be made; anything else is the host's trouble."""
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Unpacker:
    """Unpacks one layer into one directory."""

    def __init__(self, kernel: api.Kernel, root: int, limits: streams.Limits) -> None:
        """Write below the open directory ``root``."""
        self._kernel = kernel
        self._root = root
        self._limits = limits
        self._made = 0
        self._names = 0
        self._times: dict[str, int] = {}
        self._parents: dict[str, int] = {}
        self._stale = False
        self._top = _depth(root)

    def unpack(self, archive: entries.Entries) -> None:
        """Make every entry. Raises ``errors.Refused`` (``LayerRefused``, ``LayerDamaged``), ``OSError``."""
        try:
            for entry in archive:
                self._count()
                self._entry(archive, entry)
            self._directory_times()
        except entries.Unsound as error:
            raise errors.Refused(f"a layer is no sound tar archive: {error}", reason="LayerDamaged") from error
        finally:
            self._forget_parents()

    def _count(self) -> None:
        self._made += 1
        if self._made > self._limits.entries:
            raise errors.Refused(f"a layer has more than {self._limits.entries} entries", reason="LayerTooLarge")

    def _entry(self, archive: entries.Entries, entry: entries.Entry) -> None:
        path = _inside(entry.name)
        folder, name = posixpath.split(path)
        if not name:
            self._top_itself(entry)
            return
        if f"/{_AUFS}" in f"/{path}" and name != _OPAQUE:
            return
        if f"/{_WHITEOUT}" in f"/{folder}":
            raise errors.Refused(f"a layer has something below the whiteout {folder[:200]!r}", reason="LayerRefused")
        parent = self._parent(folder)
        if name == _OPAQUE:
            _make_opaque(parent)
        elif name.startswith(_WHITEOUT):
            self._whiteout(parent, name.removeprefix(_WHITEOUT))
        else:
            self._make(archive, entry, parent, path)

    def _top_itself(self, entry: entries.Entry) -> None:
        if entry.kind is not entries.Kind.DIRECTORY:
            raise errors.Refused(f"a layer has {entry.name[:200]!r} as a {entry.kind.value}", reason="LayerRefused")
        self._attributes_of_directory(self._root, "", entry)

    def _make(self, archive: entries.Entries, entry: entries.Entry, parent: int, path: str) -> None:
        name = posixpath.basename(path)
        if entry.kind is entries.Kind.DIRECTORY:
            self._directory(entry, parent, path)
            return
        if entry.kind is entries.Kind.FILE:
            self._file(archive, entry, parent, name)
            return
        self._remove(parent, name)
        match entry.kind:
            case entries.Kind.HARDLINK:
                self._hardlink(entry, parent, name)
                return
            case entries.Kind.SYMLINK:
                os.symlink(entry.link, name, dir_fd=parent)
            case entries.Kind.FIFO:
                os.mkfifo(name, 0o600, dir_fd=parent)
            case _:
                _device(entry, parent, name)
        _attributes(entry, parent, name)

    def _file(self, archive: entries.Entries, entry: entries.Entry, parent: int, name: str) -> None:
        """Make a file. Nearly all are new, so it is tried before anybody looks: layers have thousands of them."""
        try:
            target = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
        except FileExistsError:
            self._remove(parent, name)
            target = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
        try:
            for chunk in archive.content():
                files.write_all(target, chunk)
            os.fchown(target, entry.uid, entry.gid)
            _set_xattrs(entry, target)
            os.fchmod(target, entry.mode)
            os.utime(target, ns=(entry.time, entry.time))
        finally:
            os.close(target)

    def _directory(self, entry: entries.Entry, parent: int, path: str) -> None:
        name = posixpath.basename(path)
        present = _look(parent, name)
        if present is None or not stat.S_ISDIR(present.st_mode):
            self._remove(parent, name)
            os.mkdir(name, 0o700, dir_fd=parent)
        made = os.open(name, _FOLDER, dir_fd=parent)
        try:
            if present is not None and _is_whiteout(present):  # it hides what is below, and is there afresh
                _make_opaque(made)
            self._attributes_of_directory(made, path, entry)
        finally:
            os.close(made)

    def _attributes_of_directory(self, made: int, path: str, entry: entries.Entry) -> None:
        os.fchown(made, entry.uid, entry.gid)
        _set_xattrs(entry, made)
        os.fchmod(made, entry.mode)
        self._names += 0 if path in self._times else len(path)
        if self._names > _NAMES_KEPT:
            raise errors.Refused("a layer has too many long names", reason="LayerTooLarge")
        self._times[path] = entry.time

    def _hardlink(self, entry: entries.Entry, parent: int, name: str) -> None:
        folder, target = posixpath.split(_inside(entry.link))
        try:
            source = self._open(folder, os.O_PATH | os.O_DIRECTORY)
            try:
                if _is_whiteout(os.lstat(target, dir_fd=source)):
                    raise _forged(entry)
                os.link(target, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
            finally:
                os.close(source)
        except OSError as error:
            raise errors.Refused(
                f"a layer links {entry.name!r} to {entry.link!r}: {error.strerror}", reason="LayerRefused"
            ) from error

    def _whiteout(self, parent: int, name: str) -> None:
        """Hide what lower layers have there; what this layer has there stays, whichever of the two came first."""
        if name in {"", ".", ".."}:
            raise errors.Refused(f"a layer has the senseless whiteout {name!r}", reason="LayerRefused")
        present = _look(parent, name)
        if present is None:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=parent)
        elif stat.S_ISDIR(present.st_mode):
            made = os.open(name, _FOLDER, dir_fd=parent)
            try:
                _make_opaque(made)
            finally:
                os.close(made)

    def _directory_times(self) -> None:
        """Set directories' times last, since making what is in them changes them.

        One that has been replaced since is passed over.
        """
        for path, time in self._times.items():
            try:
                descriptor = self._open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            except OSError as error:
                if error.errno not in _OF_THE_LAYER:
                    raise
                continue
            try:
                os.utime(descriptor, ns=(time, time))
            finally:
                os.close(descriptor)

    def _parent(self, folder: str) -> int:
        """Give an open descriptor of an entry's parent, made where it is not there; kept open for the next entry."""
        if self._stale or len(self._parents) >= _CACHED_PARENTS:
            self._forget_parents()
        if folder not in self._parents:
            try:
                self._parents[folder] = descriptor = self._opened_parent(folder)
                depth = _depth(descriptor) - self._top
            except OSError as error:
                if error.errno not in _OF_THE_LAYER:
                    raise
                raise errors.Refused(
                    f"a layer has something below {folder[:200]!r}, which is no directory in it", reason="LayerRefused"
                ) from error
            if depth > _DEEPEST:
                raise _too_deep()
        return self._parents[folder]

    def _opened_parent(self, folder: str) -> int:
        try:
            return self._open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            if folder.count("/") >= _DEEPEST:
                raise _too_deep() from None
            self._make_folder(folder)
            return self._open(folder, os.O_RDONLY | os.O_DIRECTORY)

    def _make_folder(self, folder: str) -> None:
        """Make a directory that is not there, and those above it that are not."""
        upper, name = posixpath.split(folder)
        try:
            above = self._open(upper, os.O_PATH | os.O_DIRECTORY)
        except FileNotFoundError:
            self._make_folder(upper)
            above = self._open(upper, os.O_PATH | os.O_DIRECTORY)
        try:
            if _look(above, name) is None:
                self._count()
                os.mkdir(name, 0o755, dir_fd=above)
        finally:
            os.close(above)

    def _forget_parents(self) -> None:
        self._stale = False
        while self._parents:
            os.close(self._parents.popitem()[1])

    def _open(self, path: str, flags: int) -> int:
        return self._kernel.open_in_root(self._root, path or ".", flags)

    def _remove(self, parent: int, name: str) -> None:
        """Take away what stands where an entry is to be: a later entry of a name wins, as with any tar."""
        present = _look(parent, name)
        if present is None:
            return
        if stat.S_ISDIR(present.st_mode):
            shutil.rmtree(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)
        # descriptors that a replaced directory or link makes wrong are forgotten before the next entry
        self._stale = self._stale or not stat.S_ISREG(present.st_mode)


def unpack(kernel: api.Kernel, stream: streams.Reader, target: pathlib.Path, limits: streams.Limits) -> None:
    """Unpack a tar stream, read in pieces of any size. Raises ``errors.Refused``, and ``OSError`` of the host."""
    root = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        Unpacker(kernel, root, limits).unpack(entries.Entries(stream))
    except OSError as error:
        if error.errno not in _OF_THE_LAYER:
            raise
        raise errors.Refused(f"a layer cannot be unpacked: {error}", reason="LayerRefused") from error
    finally:
        os.close(root)


def unpacked(
    kernel: api.Kernel, source: streams.Reader, packed: int, target: pathlib.Path, limits: streams.Limits
) -> str:
    """Unpack a layer as it was packed, of so many bytes, and give its diff id. Raises as ``unpack``, and as the source.

    Another thread decompresses and hashes ahead of what is written: both take about as long.
    """
    stream = streams.Bounded(streams.decompressed(source), packed, limits)
    with channel.ahead(stream) as plain:
        unpack(kernel, plain, target, limits)
        plain.drain()
    return stream.digest()


def _device(entry: entries.Entry, parent: int, name: str) -> None:
    """Make a device node: it is dead, as root file systems are mounted ``nodev``. 0/0 would forge a whiteout."""
    character = entry.kind is entries.Kind.CHARACTER
    if character and entry.device == (0, 0):
        raise _forged(entry)
    os.mknod(name, (stat.S_IFCHR if character else stat.S_IFBLK) | 0o600, os.makedev(*entry.device), dir_fd=parent)


def _forged(entry: entries.Entry) -> errors.Refused:
    return errors.Refused(f"a layer hides {entry.name!r} by a device that only overlayfs makes", reason="LayerRefused")


def _attributes(entry: entries.Entry, parent: int, name: str) -> None:
    os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
    if entry.kind is not entries.Kind.SYMLINK:
        pathlib.Path(f"/proc/self/fd/{parent}/{name}").chmod(entry.mode)
    os.utime(name, ns=(entry.time, entry.time), dir_fd=parent, follow_symlinks=False)


def _set_xattrs(entry: entries.Entry, descriptor: int) -> None:
    """Keep what programs need. ``trusted.`` is overlayfs' own: an archive could forge redirects with it."""
    for name, value in entry.xattrs:
        if name == "security.capability" or name.startswith("user."):
            os.setxattr(descriptor, name, value)


def _too_deep() -> errors.Refused:
    return errors.Refused(f"a layer has more than {_DEEPEST} directories in each other", reason="LayerRefused")


def _make_opaque(directory: int) -> None:
    os.setxattr(directory, _OVERLAY_OPAQUE, b"y")


def _is_whiteout(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _look(parent: int, name: str) -> os.stat_result | None:
    try:
        return os.lstat(name, dir_fd=parent)
    except FileNotFoundError:
        return None


def _depth(descriptor: int) -> int:
    return os.readlink(f"/proc/self/fd/{descriptor}").count("/")  # noqa: PTH115 - a path that may be any bytes


def _inside(name: str) -> str:
    """Give a name relative to the layer's top: what stands before ``..`` at the top is dropped, as a chroot does."""
    if len(name) > _LONGEST_PATH:
        raise errors.Refused("a layer has an entry whose name is too long", reason="LayerRefused")
    return posixpath.normpath(f"/{name}").lstrip("/")
