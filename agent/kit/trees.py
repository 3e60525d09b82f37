"""Removing a directory with all that is in it, however deep it is.

``shutil.rmtree`` keeps a stack frame and a descriptor for each level, so that a tree of a thousand levels, which takes
anybody a moment to make, could never be removed again.
"""

import contextlib
import os
import secrets
import stat


def remove(top: str | os.PathLike[str], folder: int | None = None) -> None:
    """Remove a tree, in an open folder if one is given. One that is not there is no failure; no link is followed.

    Must not race with somebody who writes in it. Raises ``OSError``, also for a mount in it, which is left as it is.
    """
    try:
        descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return
    try:
        _empty(descriptor)
    finally:
        os.close(descriptor)
    os.rmdir(top, dir_fd=folder)


def _empty(top: int) -> None:
    """Empty a directory. What is below a directory in it is moved up to it, so that it is never deep."""
    while names := os.listdir(top):
        for name in names:
            moved = _remove_or_move(name, top, top)
            if moved is not None:
                _lift(moved, top)


def _lift(name: str, top: int) -> None:
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
    try:
        for inner in os.listdir(folder):  # noqa: PTH208 - an open directory
            _remove_or_move(inner, folder, top)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=top)


def _remove_or_move(name: str, folder: int, top: int) -> str | None:
    """Remove what can be removed at once. Anything else is moved to the top, which the kernel denies to a mount."""
    if not stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
        os.unlink(name, dir_fd=folder)
        return None
    with contextlib.suppress(OSError):
        os.rmdir(name, dir_fd=folder)
        return None
    moved = secrets.token_hex(16)
    os.rename(name, moved, src_dir_fd=folder, dst_dir_fd=top)
    return moved
