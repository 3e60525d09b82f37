"""A layer's tar stream onto the disk, as overlayfs wants it, whatever the archive tries.

Every path is resolved by the kernel inside of the layer's directory (openat2, RESOLVE_IN_ROOT): ``..``, absolute
names and links, also those that the archive itself has made, end at its top as they would in a chroot. Entries are
made under an open descriptor of their parent and never followed at their last component. Whiteouts become overlayfs'
own.
"""

import os
import pathlib
import posixpath
import shutil
import stat
import tarfile

from agent.engine import errors
from agent.engine.kernel import api
from agent.engine.layers import streams

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_XATTR = "SCHILY.xattr."
_KEPT_XATTRS = ("user.", "security.capability")
"""``trusted.`` is overlayfs' own: an archive could forge redirects with it."""
_CHUNK = 1024 * 1024
_LONGEST_PATH = 4096
_CACHED_PARENTS = 64


class Unpacker:
    """Unpacks one layer into one directory."""

    def __init__(self, kernel: api.Kernel, root: int, limits: streams.Limits) -> None:
        """Write below the open directory ``root``."""
        self._kernel = kernel
        self._root = root
        self._limits = limits
        self._times: list[tuple[str, int]] = []
        self._parents: dict[str, int] = {}

    def unpack(self, archive: tarfile.TarFile) -> None:
        """Make every entry. Raises ``errors.Refused`` (``LayerRefused``, ``LayerDamaged``)."""
        try:
            for count, entry in enumerate(archive):
                if count >= self._limits.entries:
                    raise errors.Refused(
                        f"a layer has more than {self._limits.entries} entries", reason="LayerTooLarge"
                    )
                self._entry(archive, entry)
            self._directory_times()
        except (tarfile.TarError, EOFError, UnicodeError, OverflowError) as error:
            raise errors.Refused(f"a layer is no sound tar archive: {error}", reason="LayerDamaged") from error
        finally:
            self._forget_parents()

    def _entry(self, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        path = _inside(entry.name)
        folder, name = posixpath.split(path)
        if not name:  # the root directory itself
            self._attributes_of_directory(self._root, "", entry)
            return
        parent = self._parent(folder)
        if name == _OPAQUE:
            os.setxattr(f"/proc/self/fd/{parent}", "trusted.overlay.opaque", b"y")
        elif name.startswith(_WHITEOUT):
            self._whiteout(parent, name.removeprefix(_WHITEOUT))
        else:
            self._make(archive, entry, parent, path)

    def _make(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, parent: int, path: str) -> None:
        name = posixpath.basename(path)
        if entry.isdir():
            self._directory(entry, parent, path)
            return
        self._remove(parent, name)
        if entry.issym():
            os.symlink(entry.linkname, name, dir_fd=parent)
        elif entry.islnk():
            self._hardlink(entry, parent, name)
            return
        elif entry.isfile():
            self._file(archive, entry, parent, name)
            return
        elif entry.isfifo():
            os.mkfifo(name, 0o600, dir_fd=parent)
        elif entry.ischr() or entry.isblk():
            self._device(entry, parent, name)
        else:
            raise errors.Refused(f"a layer has an entry of unknown type: {entry.name!r}", reason="LayerRefused")
        self._attributes(entry, parent, name)

    def _file(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, parent: int, name: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        target = os.open(name, flags, 0o600, dir_fd=parent)
        try:
            source = archive.extractfile(entry)
            while source is not None and (chunk := source.read(_CHUNK)):
                os.write(target, chunk)
            os.fchown(target, entry.uid, entry.gid)
            self._xattrs(entry, target)
            os.fchmod(target, stat.S_IMODE(entry.mode))
            os.utime(target, ns=_times(entry))
        finally:
            os.close(target)

    def _directory(self, entry: tarfile.TarInfo, parent: int, path: str) -> None:
        name = posixpath.basename(path)
        present = _mode(parent, name)
        if present is None or not stat.S_ISDIR(present):
            self._remove(parent, name)
            os.mkdir(name, 0o700, dir_fd=parent)
        made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            self._attributes_of_directory(made, path, entry)
        finally:
            os.close(made)

    def _attributes_of_directory(self, made: int, path: str, entry: tarfile.TarInfo) -> None:
        os.fchown(made, entry.uid, entry.gid)
        self._xattrs(entry, made)
        os.fchmod(made, stat.S_IMODE(entry.mode))
        self._times.append((path, _times(entry)[1]))

    def _hardlink(self, entry: tarfile.TarInfo, parent: int, name: str) -> None:
        folder, target = posixpath.split(_inside(entry.linkname))
        source = self._open(folder, os.O_PATH | os.O_DIRECTORY)
        try:
            os.link(target, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            raise errors.Refused(
                f"a layer links {entry.name!r} to {entry.linkname!r}: {error.strerror}", reason="LayerRefused"
            ) from error
        finally:
            os.close(source)

    def _device(self, entry: tarfile.TarInfo, parent: int, name: str) -> None:
        """Make a device node: it is dead, as root file systems are mounted ``nodev``. 0/0 would forge a whiteout."""
        number = os.makedev(entry.devmajor, entry.devminor)
        if number == 0 and entry.ischr():
            raise errors.Refused(
                f"a layer hides {entry.name!r} by a device that only overlayfs makes", reason="LayerRefused"
            )
        os.mknod(name, (stat.S_IFCHR if entry.ischr() else stat.S_IFBLK) | 0o600, number, dir_fd=parent)

    def _whiteout(self, parent: int, name: str) -> None:
        if name in {"", ".", ".."} or name.startswith(_WHITEOUT):
            raise errors.Refused(f"a layer has the senseless whiteout {name!r}", reason="LayerRefused")
        self._remove(parent, name)
        os.mknod(name, stat.S_IFCHR, 0, dir_fd=parent)

    def _attributes(self, entry: tarfile.TarInfo, parent: int, name: str) -> None:
        os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        if not entry.issym():
            pathlib.Path(f"/proc/self/fd/{parent}/{name}").chmod(stat.S_IMODE(entry.mode))
        os.utime(name, ns=_times(entry), dir_fd=parent, follow_symlinks=False)

    def _xattrs(self, entry: tarfile.TarInfo, descriptor: int) -> None:
        for key, value in entry.pax_headers.items():
            name = key.removeprefix(_XATTR)
            if key != name and name.startswith(_KEPT_XATTRS):
                os.setxattr(descriptor, name, value.encode("utf-8", "surrogateescape"))

    def _directory_times(self) -> None:
        """Set directories' times last, since making what is in them changes them."""
        for path, time in self._times:
            descriptor = self._open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            os.utime(descriptor, ns=(time, time))
            os.close(descriptor)

    def _parent(self, folder: str) -> int:
        """Give an open descriptor of an entry's parent, made where it is not there; kept open for the next entry."""
        if folder in self._parents:
            return self._parents[folder]
        if len(self._parents) >= _CACHED_PARENTS:
            self._forget_parents()
        try:
            descriptor = self._open(folder or ".", os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            above, name = posixpath.split(folder)
            os.mkdir(name, 0o755, dir_fd=self._parent(above))
            descriptor = self._open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise errors.Refused(
                f"a layer has something below {folder!r}, which is no directory in it", reason="LayerRefused"
            ) from error
        self._parents[folder] = descriptor
        return descriptor

    def _forget_parents(self) -> None:
        while self._parents:
            os.close(self._parents.popitem()[1])

    def _open(self, path: str, flags: int) -> int:
        return self._kernel.open_in_root(self._root, path or ".", flags)

    def _remove(self, parent: int, name: str) -> None:
        """Take away what stands where an entry is to be: a later entry of a name wins, as with any tar."""
        present = _mode(parent, name)
        if present is None:
            return
        if stat.S_ISDIR(present):
            _remove_tree(parent, name)
            self._forget_parents_but(parent)
        else:
            os.unlink(name, dir_fd=parent)
            if stat.S_ISLNK(present):
                self._forget_parents_but(parent)

    def _forget_parents_but(self, kept: int) -> None:
        """Forget descriptors that a replaced directory or link could have made wrong; the one in use stays open."""
        for folder in [folder for folder, descriptor in self._parents.items() if descriptor != kept]:
            os.close(self._parents.pop(folder))


def unpack(kernel: api.Kernel, stream: streams.Bounded, target: pathlib.Path, limits: streams.Limits) -> None:
    """Unpack a tar stream into an empty directory."""
    root = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with _archive(stream) as archive:
            Unpacker(kernel, root, limits).unpack(archive)
    finally:
        os.close(root)


def _archive(stream: streams.Bounded) -> tarfile.TarFile:
    try:
        return tarfile.open(
            fileobj=streams.as_file(stream), mode="r|", errors="surrogateescape", bufsize=_CHUNK, errorlevel=2
        )
    except (tarfile.TarError, EOFError) as error:
        raise errors.Refused(f"a layer is no tar archive: {error}", reason="LayerDamaged") from error


def _inside(name: str) -> str:
    """Give a name relative to the layer's top: what stands before ``..`` at the top is dropped, as a chroot does."""
    if len(name) > _LONGEST_PATH or "\0" in name:
        raise errors.Refused("a layer has an entry whose name is too long or has a NUL byte", reason="LayerRefused")
    return posixpath.normpath(f"/{name}").lstrip("/")


def _mode(parent: int, name: str) -> int | None:
    try:
        return os.lstat(name, dir_fd=parent).st_mode
    except FileNotFoundError:
        return None


def _times(entry: tarfile.TarInfo) -> tuple[int, int]:
    time = min(max(int(float(entry.mtime) * 1e9), 0), 2**62)
    return time, time


def _remove_tree(parent: int, name: str) -> None:
    shutil.rmtree(name, dir_fd=parent)
