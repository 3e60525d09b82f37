"""A tar archive unpacked into a container's tree.

Whatever runs in there may change the tree meanwhile: the directory of each entry is resolved from the container's root,
files are made anew and never opened, and owner and mode are set on what was made, by its descriptor.
"""

import contextlib
import errno
import os
import pathlib
import posixpath
import stat
import tarfile
from collections.abc import Callable, Iterator
from typing import IO, Self

from agent import errors
from agent.engine.containers import tree_reader
from agent.reasons import Reason

Adaptation = Callable[[tarfile.TarInfo], bool]
"""Changes an entry before it is placed; False leaves it out."""
_BUFFER = 64 * 1024
_NEW = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""What is the host's trouble, and no refusal of the tree."""
_BROKEN = (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError)  # type: ignore[attr-defined]  # typeshed has none
_FOLDER_MODE = 0o755
_FARTHEST_TIME = 2.0**62
"""Seconds."""


def read_archive(tree: tree_reader.Tree, path: str, source: IO[bytes], adapt: Adaptation = lambda _: True) -> None:
    """Unpack an archive in the directory at a path.

    Raises ``errors.NotFound``, ``errors.InvalidArgument``, ``errors.Conflict``, ``OSError`` and ``tarfile.TarError``.
    """
    if not stat.S_ISDIR(os.fstat(tree.open(path, 0)).st_mode):
        raise errors.InvalidArgument(f"{tree.at(path)} is no directory", reason=Reason.NOT_A_DIRECTORY)
    placing = _Placing(tree, path)
    with tarfile.open(
        fileobj=source, mode="r|", tarinfo=_Entry, encoding="utf-8", errors="surrogateescape", bufsize=_BUFFER
    ) as archive:
        while (entry := archive.next()) is not None:
            if adapt(entry):
                placing.place(archive, entry)
            archive.members = []  # type: ignore[attr-defined]  # it would remember each
    placing.finish()
    while source.read(_BUFFER):
        pass  # whoever writes it may not have ended yet


class _Entry(tarfile.TarInfo):
    """An entry whose header is sound: ``tarfile`` takes a broken one behind the first for the archive's end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile, /) -> Self:
        """Read the next header. Raises ``tarfile.ReadError`` for a broken one."""
        try:
            return super().fromtarfile(archive)
        except _BROKEN as error:
            raise tarfile.ReadError(str(error)) from error


class _Placing:
    """Puts entries where they belong."""

    def __init__(self, tree: tree_reader.Tree, top: str) -> None:
        self._tree = tree
        self._top = top
        self._times: list[tuple[str, float]] = []
        """Of directories, set last: what comes into one changes its own."""

    def place(self, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        """Put an entry in place of what has its name."""
        name = _inside(entry.name)
        if not name:
            return  # the directory itself, which stays as it is
        above, last = posixpath.split(name)
        with _refusals(self._tree, posixpath.join(self._top, name)), self._folder(above) as folder:
            if entry.islnk() and _inside(entry.linkname) == name:
                os.lstat(last, dir_fd=folder)
                return  # it is a link to itself already
            self._clear(folder, last, entry)
            self._make(archive, entry, folder, last)
        if entry.isdir():
            self._times.append((posixpath.join(self._top, name), entry.mtime))

    def finish(self) -> None:
        """Set the times of directories, as far as they are still there."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        for path, time in reversed(self._times):
            with contextlib.suppress(OSError):
                descriptor = self._tree.kernel.open_in_root(self._tree.root, path, flags)
                try:
                    _set_time(descriptor, time)
                finally:
                    os.close(descriptor)

    @contextlib.contextmanager
    def _folder(self, inside: str) -> Iterator[int]:
        """Open a directory below the top, making those on the way that are not there."""
        folder = self._open_or_make(inside)
        try:
            yield folder
        finally:
            os.close(folder)

    def _open_or_make(self, inside: str) -> int:
        folder, missing = self._deepest(inside)
        for name in missing:
            try:
                os.mkdir(name, _FOLDER_MODE, dir_fd=folder)
                below = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            finally:
                os.close(folder)
            folder = below
        return folder

    def _deepest(self, inside: str) -> tuple[int, list[str]]:
        """Open the deepest directory that is there on the way to a path; return it, and the names of those missing."""
        missing: list[str] = []
        while True:
            path = posixpath.join(self._top, inside)
            try:
                folder = self._tree.kernel.open_in_root(self._tree.root, path, os.O_PATH | os.O_DIRECTORY)
            except FileNotFoundError:
                if not inside:
                    raise
                inside, name = posixpath.split(inside)
                missing.insert(0, name)
                continue
            if os.fstat(folder).st_dev in self._tree.made_up:
                os.close(folder)
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            return folder, missing

    def _clear(self, folder: int, last: str, entry: tarfile.TarInfo) -> None:
        """Remove what has an entry's name, unless it is the same directory."""
        try:
            status = os.lstat(last, dir_fd=folder)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(status.st_mode) != entry.isdir():
            message = "a directory is there" if stat.S_ISDIR(status.st_mode) else "what is there is no directory"
            raise OSError(errno.EEXIST, message)
        if stat.S_IFMT(status.st_mode) in {stat.S_IFCHR, stat.S_IFBLK}:
            raise OSError(errno.EEXIST, "a device is there")
        if not entry.isdir():
            self._check_no_mount(folder, last)
            os.unlink(last, dir_fd=folder)

    def _check_no_mount(self, folder: int, last: str) -> None:
        """Raise ``OSError`` where something is mounted: seen from outside, removing the file takes the mount away."""
        try:
            os.close(self._tree.kernel.open_in_root(folder, last, os.O_PATH | os.O_NOFOLLOW, same_mount=True))
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise OSError(errno.EBUSY, "a file is mounted there") from error
            raise

    def _make(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, folder: int, last: str) -> None:
        if entry.isdir():
            with contextlib.suppress(FileExistsError):
                os.mkdir(last, _FOLDER_MODE, dir_fd=folder)
            _set_attributes(entry, os.open(last, _DIRECTORY, dir_fd=folder))
        elif entry.isreg():
            descriptor = os.open(last, os.O_WRONLY | _NEW, 0o600, dir_fd=folder)
            with os.fdopen(descriptor, "wb", buffering=0, closefd=False) as file:
                _write(archive, entry, file)
            _set_attributes(entry, descriptor)
        elif entry.issym():
            os.symlink(entry.linkname, last, dir_fd=folder)
            os.chown(last, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)
            time = _within_range(entry.mtime)
            os.utime(last, (time, time), dir_fd=folder, follow_symlinks=False)
        elif entry.islnk():
            self._link(entry, folder, last)
        elif entry.isfifo():
            os.mkfifo(last, 0o600, dir_fd=folder)
            _set_attributes_of_pipe(entry, os.open(last, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder))
        else:
            message = f"{entry.name!r} in the archive is neither a file, a directory, a link nor a pipe"
            raise errors.InvalidArgument(message)

    def _link(self, entry: tarfile.TarInfo, folder: int, last: str) -> None:
        above, source = posixpath.split(_inside(entry.linkname))
        with self._folder(above) as source_folder:
            os.link(source, last, src_dir_fd=source_folder, dst_dir_fd=folder, follow_symlinks=False)


def _write(archive: tarfile.TarFile, entry: tarfile.TarInfo, file: IO[bytes]) -> None:
    content = archive.extractfile(entry)
    assert content is not None  # noqa: S101 - it is a regular file
    while chunk := content.read(_BUFFER):
        view = memoryview(chunk)
        while view:
            view = view[file.write(view) :]


def _set_attributes(entry: tarfile.TarInfo, descriptor: int) -> None:
    """Set owner, mode and time, in this order: a new owner takes set-uid away. Closes the descriptor."""
    try:
        os.fchown(descriptor, entry.uid, entry.gid)
        os.fchmod(descriptor, stat.S_IMODE(entry.mode))
        _set_time(descriptor, entry.mtime)
    finally:
        os.close(descriptor)


def _set_attributes_of_pipe(entry: tarfile.TarInfo, handle: int) -> None:
    """Set the same of a pipe, which is not opened for that. Closes the handle."""
    try:
        if stat.S_ISFIFO(os.fstat(handle).st_mode):
            os.chown(f"/proc/self/fd/{handle}", entry.uid, entry.gid)
            pathlib.Path(f"/proc/self/fd/{handle}").chmod(stat.S_IMODE(entry.mode))
            _set_time(f"/proc/self/fd/{handle}", entry.mtime)
    finally:
        os.close(handle)


def _set_time(file: int | str, time: float) -> None:
    time = _within_range(time)
    os.utime(file, (time, time))


def _within_range(time: float) -> float:
    """Return a time that every system call takes; a tmpfs keeps some that are out of a float's range."""
    return max(-_FARTHEST_TIME, min(time, _FARTHEST_TIME))


@contextlib.contextmanager
def _refusals(tree: tree_reader.Tree, path: str) -> Iterator[None]:
    """Raise ``errors.Conflict`` for what the tree does not allow."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK:
            raise OSError(error.errno, f"{error.strerror}: {tree.at(path)}") from error
        message = f"{tree.at(path)} cannot be written: {error.strerror}"
        raise errors.Conflict(message) from error


def _inside(name: str) -> str:
    """Return a name relative to the top: what stands before ``..`` at the top is dropped, as a chroot does."""
    return posixpath.normpath(f"/{name}").lstrip("/")
