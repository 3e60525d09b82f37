"""The Protocol of the system calls that the engine uses."""

from typing import Protocol

MS_RDONLY = 1
MS_NODEV = 4
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2
CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000


class Kernel(Protocol):
    """System calls. Each raises ``OSError`` with the path that it was about."""

    def mount(self, source: str, target: str, kind: str, flags: int, data: str) -> None:
        """Mount a file system."""

    def mount_from(self, folder: str, kind: str, target: str, flags: int, data: str) -> None:
        """Mount a file system whose options have paths relative to ``folder``: a page holds more of them.

        ``target`` is absolute, and the process's own working directory stays what it is.
        """

    def umount(self, target: str, flags: int) -> None:
        """Unmount a file system."""

    def open_in_root(self, root: int, path: str, flags: int, *, same_mount: bool = False) -> int:
        """Open beneath a directory: ``path`` is resolved as if ``root`` were ``/``, links included.

        This is openat2(2) with RESOLVE_IN_ROOT: nothing in a tree, however hostile, leads out of it. ``same_mount``:
        nothing that is mounted in it is entered, either (RESOLVE_NO_XDEV). The caller closes the descriptor.
        """

    def unshare(self, flags: int) -> None:
        """Move the calling thread into new namespaces."""

    def enter(self, namespace: int, kind: int) -> None:
        """Move the calling thread into a namespace, given by a descriptor of it."""

    def sync(self, path: str) -> None:
        """Flush the file system of ``path`` to the disk, as syncfs(2) does: cheaper than many fsyncs."""

    def spread(self, path: str) -> None:
        """Spread a directory's subdirectories over the disk (ext4's ``T`` attribute, chattr(1)).

        Where a file system knows no such thing, nothing happens.
        """

    def mounts(self) -> tuple[str, ...]:
        """Return the targets of all mounts, innermost last."""
