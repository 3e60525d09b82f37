"""What the engine asks of the kernel."""

from typing import Protocol

MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MNT_DETACH = 2
CLONE_NEWNET = 0x40000000


class Kernel(Protocol):
    """System calls. Each raises ``OSError`` with the path that it was about."""

    def mount(self, source: str, target: str, kind: str, flags: int, data: str) -> None:
        """Put a file system into the tree."""

    def umount(self, target: str, flags: int) -> None:
        """Take a file system out of the tree."""

    def open_in_root(self, root: int, path: str, flags: int) -> int:
        """Open beneath a directory: ``path`` is resolved as if ``root`` were ``/``, links included.

        This is openat2(2) with RESOLVE_IN_ROOT: nothing in a tree, however hostile, leads out of it. The caller
        closes the descriptor.
        """

    def unshare(self, flags: int) -> None:
        """Give the calling thread namespaces of its own."""

    def enter(self, namespace: int, kind: int) -> None:
        """Move the calling thread into a namespace, given by a descriptor of it."""

    def sync(self, path: str) -> None:
        """Bring the file system that ``path`` lies on to the disk, as syncfs(2) does: cheaper than many fsyncs."""

    def spread(self, path: str) -> None:
        """Let the directories in one lie far from each other on the disk (ext4's ``T`` attribute, chattr(1)).

        Where a file system knows no such thing, nothing happens.
        """

    def mounts(self) -> tuple[str, ...]:
        """Give the targets of all mounts, innermost last."""
