"""Mount points that a run makes in a root file system: they are nobody's files, and go with the run."""

import contextlib
import os
import pathlib
import posixpath
import stat
from collections.abc import Iterator, Sequence

from agent.engine.bundle import destinations
from agent.engine.kernel import api
from agent.kit import frozen

_SYSTEM_FOLDERS = ("dev", "proc", "sys")


@frozen.value
class _Stub:
    """A mount point that was not there."""

    folder: str
    name: str

    @property
    def depth(self) -> int:
        """Return how many names its path has."""
        return posixpath.join(self.folder, self.name).count("/")


def make_system_folders(rootfs: pathlib.Path) -> None:
    """Make the folders that every container has something mounted on; they stay, and are the same whatever runs it."""
    for name in _SYSTEM_FOLDERS:
        path = rootfs / name
        if not os.path.lexists(path):
            path.mkdir()
            path.chmod(0o755)


@contextlib.contextmanager
def cleaned(kernel: api.Kernel, rootfs: pathlib.Path, paths: Sequence[str]) -> Iterator[None]:
    """Remove what was not there before the block of mount points and the folders on the way, where it is empty still.

    The folders that were there keep their times.
    """
    top = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        missing = list(dict.fromkeys(stub for path in paths for stub in _missing(kernel, rootfs, top, path)))
        times = {stub.folder: _times(kernel, top, stub.folder) for stub in missing}
        yield
        for stub in sorted(missing, key=lambda stub: stub.depth, reverse=True):
            _remove(kernel, top, stub, times[stub.folder])
    finally:
        os.close(top)


def _missing(kernel: api.Kernel, rootfs: pathlib.Path, top: int, path: str) -> Iterator[_Stub]:
    """Yield what is not there of a mount point, itself first."""
    resolved = destinations.resolve(kernel, rootfs, path)
    while resolved != "/" and _opened(kernel, top, resolved) is None:
        folder, name = posixpath.split(resolved)
        yield _Stub(folder, name)
        resolved = folder


def _opened(kernel: api.Kernel, top: int, path: str) -> os.stat_result | None:
    """Return what a path is; ``None`` where nothing is there."""
    try:
        descriptor = kernel.open_in_root(top, path, os.O_PATH | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _times(kernel: api.Kernel, top: int, folder: str) -> tuple[int, int] | None:
    status = _opened(kernel, top, folder)
    return None if status is None else (status.st_atime_ns, status.st_mtime_ns)


def _remove(kernel: api.Kernel, top: int, stub: _Stub, times: tuple[int, int] | None) -> None:
    with contextlib.suppress(OSError):  # the command may have made anything of it
        folder = kernel.open_in_root(top, stub.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            status = os.lstat(stub.name, dir_fd=folder)
            if stat.S_ISDIR(status.st_mode):
                os.rmdir(stub.name, dir_fd=folder)
            elif stat.S_ISREG(status.st_mode) and not status.st_size:
                os.unlink(stub.name, dir_fd=folder)
            if times is not None:
                os.utime(folder, ns=times)
        finally:
            os.close(folder)
