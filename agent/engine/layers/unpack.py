"""Unpacking of a layer's tar stream for overlayfs, safe against hostile archives.

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

from agent import errors
from agent.distribution.layers import entries, streams
from agent.engine.kernel import api
from agent.engine.layers import attributes, channel, creation, implied
from agent.kit import files, frozen
from agent.reasons import Reason

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_AUFS = ".wh..wh."
"""The prefix of aufs' own files, which old images still have; they are ignored."""
_OVERLAY_OPAQUE = "trusted.overlay.opaque"
_LONGEST_PATH = 4096
_DEEPEST = 256
"""The deepest nesting of directories, counted after links are followed."""
_CACHED_PARENTS = 64
_NAMES_KEPT = 256 * 1024 * 1024
"""Bytes of directories' names that are remembered to set their times."""
_IMPOSSIBLE = frozenset(
    {
        *(errno.EEXIST, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.EMLINK, errno.ENAMETOOLONG, errno.ENOENT),
        *(errno.ENOTDIR, errno.ENXIO, errno.EOPNOTSUPP, errno.EPERM, errno.ERANGE, errno.E2BIG),
    }
)
"""Error numbers of entries that can never be created; others are failures of the host."""
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@frozen.value
class _Folder:
    """An open directory in the layer."""

    descriptor: int
    path: str
    """The path below the layer's top, with links followed."""


class Unpacker:
    """Unpacks one layer into one directory."""

    def __init__(self, kernel: api.Kernel, root: int, limits: streams.Limits, *, is_layer: bool = True) -> None:
        """Write below the open directory ``root``. In an archive that is no layer, no name means a whiteout."""
        self._is_layer = is_layer
        self._kernel = kernel
        self._root = root
        self._limits = limits
        self._created = 0
        self._names = 0
        self._times: dict[str, int] = {}
        self._parents: dict[str, _Folder] = {}
        self._creation = creation.Creation(root)
        self._stale = False
        self._top = _path(root)
        self._implied: dict[str, None] = {}
        self._states_top = False

    def unpack(self, archive: entries.Entries) -> implied.Implied:
        """Create every entry, and return the directories that had none.

        Raises ``errors.InvalidArgument`` (``LayerRefused``, ``LayerDamaged``), ``OSError``.
        """
        try:
            for entry in archive:
                self._count()
                self._entry(archive, entry)
            self._directory_times()
        except entries.Unsound as error:
            raise errors.InvalidArgument(
                f"a layer is no sound tar archive: {error}", reason=Reason.LAYER_DAMAGED
            ) from error
        finally:
            self._forget_parents()
        return implied.Implied(tuple(self._implied), not self._states_top)

    def _count(self) -> None:
        self._created += 1
        if self._created > self._limits.entries:
            raise errors.InvalidArgument(
                f"a layer has more than {self._limits.entries} entries", reason=Reason.LAYER_TOO_LARGE
            )

    def _entry(self, archive: entries.Entries, entry: entries.Entry) -> None:
        path = _inside(entry.name)
        folder, name = posixpath.split(path)
        if not name:
            self._top_itself(entry)
            return
        if not self._is_layer:
            self._make(archive, entry, self._parent(folder), path)
            return
        if f"/{_AUFS}" in f"/{path}" and name != _OPAQUE:
            return
        if f"/{_WHITEOUT}" in f"/{folder}":
            raise errors.InvalidArgument(
                f"a layer has something below the whiteout {folder[:200]!r}", reason=Reason.LAYER_REFUSED
            )
        parent = self._parent(folder)
        if name == _OPAQUE:
            _make_opaque(parent)
        elif name.startswith(_WHITEOUT):
            self._whiteout(parent, name.removeprefix(_WHITEOUT))
        else:
            self._make(archive, entry, parent, path)

    def _top_itself(self, entry: entries.Entry) -> None:
        if entry.kind is not entries.Kind.DIRECTORY:
            raise errors.InvalidArgument(
                f"a layer has {entry.name[:200]!r} as a {entry.kind.value}", reason=Reason.LAYER_REFUSED
            )
        self._attributes_of_directory(self._root, "", entry)
        self._states_top = True

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
        attributes.of_special(entry, parent, name)

    def _file(self, archive: entries.Entries, entry: entries.Entry, parent: int, name: str) -> None:
        """Create a file. Nearly all are new, so creation is tried first: layers have thousands of them."""
        mode = self._creation.mode(entry)
        try:
            target = os.open(name, _NEW_FILE, mode, dir_fd=parent)
        except FileExistsError:
            self._remove(parent, name)
            target = os.open(name, _NEW_FILE, mode, dir_fd=parent)
        try:
            for chunk in archive.content():
                files.write_all(target, chunk)
            if not self._creation.owner_is(entry, target):
                os.fchown(target, entry.uid, entry.gid)
            attributes.set_xattrs(entry, target)
            if mode != entry.mode:
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
        directory = os.open(name, _FOLDER, dir_fd=parent)
        try:
            if present is not None and _is_whiteout(present):  # it hides the lower one, and starts empty
                _make_opaque(directory)
            if self._implied:
                self._implied.pop(self._inside_top(directory), None)
            self._attributes_of_directory(directory, path, entry)
        finally:
            os.close(directory)

    def _attributes_of_directory(self, directory: int, path: str, entry: entries.Entry) -> None:
        os.fchown(directory, entry.uid, entry.gid)
        attributes.set_xattrs(entry, directory)
        os.fchmod(directory, entry.mode)
        self._creation.directory(entry)
        self._names += 0 if path in self._times else len(path)
        if self._names > _NAMES_KEPT:
            raise errors.InvalidArgument("a layer has too many long names", reason=Reason.LAYER_TOO_LARGE)
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
            raise errors.InvalidArgument(
                f"a layer links {entry.name!r} to {entry.link!r}: {error.strerror}", reason=Reason.LAYER_REFUSED
            ) from error

    def _whiteout(self, parent: int, name: str) -> None:
        """Hide what lower layers have there; what this layer has there stays, whichever of the two came first."""
        if name in {"", ".", ".."}:
            raise errors.InvalidArgument(f"a layer has the senseless whiteout {name!r}", reason=Reason.LAYER_REFUSED)
        present = _look(parent, name)
        if present is None:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=parent)
        elif stat.S_ISDIR(present.st_mode):
            directory = os.open(name, _FOLDER, dir_fd=parent)
            try:
                _make_opaque(directory)
            finally:
                os.close(directory)

    def _directory_times(self) -> None:
        """Set directories' times last, since making what is in them changes them.

        One that has been replaced since is passed over.
        """
        for path, time in self._times.items():
            try:
                descriptor = self._open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            except OSError as error:
                if error.errno not in _IMPOSSIBLE:
                    raise
                continue
            try:
                os.utime(descriptor, ns=(time, time))
            finally:
                os.close(descriptor)

    def _parent(self, folder: str) -> int:
        """Return an open descriptor of an entry's parent, made where it is not there; kept open for the next entry."""
        try:
            return self._folder(folder).descriptor
        except OSError as error:
            if error.errno not in _IMPOSSIBLE:
                raise
            raise errors.InvalidArgument(
                f"a layer has something below {folder[:200]!r}, which is no directory in it",
                reason=Reason.LAYER_REFUSED,
            ) from error

    def _folder(self, folder: str) -> _Folder:
        if self._stale or len(self._parents) >= _CACHED_PARENTS:
            self._forget_parents()
        opened = self._parents.get(folder)
        if opened is None:
            try:
                descriptor = self._open(folder, os.O_RDONLY | os.O_DIRECTORY)
                opened = _Folder(descriptor, self._inside_top(descriptor))
            except FileNotFoundError:
                if folder.count("/") >= _DEEPEST:
                    raise _too_deep() from None
                opened = self._made_folder(folder)
            self._parents[folder] = opened
            if opened.path.count("/") >= _DEEPEST:
                raise _too_deep()
        return opened

    def _made_folder(self, folder: str) -> _Folder:
        """Make a directory that is not there, and those above it that are not."""
        upper, name = posixpath.split(folder)
        above = self._folder(upper)
        try:
            os.mkdir(name, 0o755, dir_fd=above.descriptor)
        except FileExistsError:  # a dangling link
            descriptor = self._open(folder, os.O_RDONLY | os.O_DIRECTORY)
            return _Folder(descriptor, self._inside_top(descriptor))
        self._count()
        path = posixpath.join(above.path, name)
        self._imply(path)
        return _Folder(os.open(name, _FOLDER, dir_fd=above.descriptor), path)

    def _imply(self, folder: str) -> None:
        """Remember a directory that has no entry; it may get one yet."""
        self._names += len(folder)
        if self._names > _NAMES_KEPT:
            raise errors.InvalidArgument("a layer has too many long names", reason=Reason.LAYER_TOO_LARGE)
        self._implied[folder] = None

    def _inside_top(self, descriptor: int) -> str:
        """Return where a directory is, whatever links have led to it."""
        return _path(descriptor)[len(self._top) :].lstrip("/")

    def _forget_parents(self) -> None:
        self._stale = False
        while self._parents:
            os.close(self._parents.popitem()[1].descriptor)

    def _open(self, path: str, flags: int) -> int:
        return self._kernel.open_in_root(self._root, path or ".", flags)

    def _remove(self, parent: int, name: str) -> None:
        """Remove what is in an entry's path: a later entry of a name wins, as with any tar."""
        present = _look(parent, name)
        if present is None:
            return
        if stat.S_ISDIR(present.st_mode):
            shutil.rmtree(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)
        # descriptors that a replaced directory or link makes wrong are forgotten before the next entry
        self._stale = self._stale or not stat.S_ISREG(present.st_mode)


def unpack(kernel: api.Kernel, stream: streams.Reader, target: pathlib.Path, limits: streams.Limits) -> implied.Implied:
    """Unpack a tar stream, read in pieces of any size. Raises ``InvalidArgument``, and ``OSError`` of the host."""
    root = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return Unpacker(kernel, root, limits).unpack(entries.Entries(stream))
    except OSError as error:
        if error.errno not in _IMPOSSIBLE:
            raise
        raise errors.InvalidArgument(f"a layer cannot be unpacked: {error}", reason=Reason.LAYER_REFUSED) from error
    finally:
        os.close(root)


def unpacked(
    kernel: api.Kernel, source: streams.Reader, packed: int, target: pathlib.Path, limits: streams.Limits
) -> str:
    """Unpack a layer as it was packed, of so many bytes, and return its diff id. Raises as ``unpack`` and the source.

    What it implies is noted beside ``target``.

    Another thread decompresses and hashes ahead of what is written: both take about as long.
    """
    stream = streams.Bounded(streams.decompressed(source), packed, limits)
    with channel.ahead(stream) as plain:
        notes = unpack(kernel, plain, target, limits)
        plain.drain()
    implied.write(target.parent, notes)
    return stream.digest()


def _device(entry: entries.Entry, parent: int, name: str) -> None:
    """Make a device node: it is dead, as root file systems are mounted ``nodev``. 0/0 would forge a whiteout."""
    character = entry.kind is entries.Kind.CHARACTER
    if character and entry.device == (0, 0):
        raise _forged(entry)
    os.mknod(name, (stat.S_IFCHR if character else stat.S_IFBLK) | 0o600, os.makedev(*entry.device), dir_fd=parent)


def _forged(entry: entries.Entry) -> errors.InvalidArgument:
    return errors.InvalidArgument(
        f"a layer hides {entry.name!r} by a device that only overlayfs makes", reason=Reason.LAYER_REFUSED
    )


def _too_deep() -> errors.InvalidArgument:
    return errors.InvalidArgument(
        f"a layer has more than {_DEEPEST} directories in each other", reason=Reason.LAYER_REFUSED
    )


def _make_opaque(directory: int) -> None:
    os.setxattr(directory, _OVERLAY_OPAQUE, b"y")


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _look(parent: int, name: str) -> os.stat_result | None:
    try:
        return os.lstat(name, dir_fd=parent)
    except FileNotFoundError:
        return None


def _path(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - a path that may be any bytes


def _inside(name: str) -> str:
    """Return a name relative to the layer's top: what stands before ``..`` at the top is dropped, as a chroot does."""
    if len(name) > _LONGEST_PATH:
        raise errors.InvalidArgument("a layer has an entry whose name is too long", reason=Reason.LAYER_REFUSED)
    return posixpath.normpath(f"/{name}").lstrip("/")
