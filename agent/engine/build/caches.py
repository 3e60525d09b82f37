"""The folders of cache mounts: held while a step uses them, and removed where none has for long.

A folder is locked by whoever uses it, in whatever process that is, so that it can be removed beside a running build.
"""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

from agent.engine import layout
from agent.kit import trees

UNUSED = 30 * 24 * 3600.0
"""Seconds for which a folder is kept that no step has used."""


@contextlib.contextmanager
def used(folder: pathlib.Path) -> Iterator[None]:
    """Make a cache's folder where it is not there, and keep it from being removed; its time tells its last use."""
    while True:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:  # it was removed just now
            continue
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if os.path.lexists(folder) and os.path.samestat(os.fstat(descriptor), folder.lstat()):
            break
        os.close(descriptor)
    try:
        yield
    finally:
        os.utime(descriptor)
        os.close(descriptor)


def trim(where: layout.Layout, now: float, *, entirely: bool) -> None:
    """Remove folders that no step uses now, and none has for long; or all that none uses. It blocks."""
    for folder in sorted(where.build_caches.iterdir()) if where.build_caches.is_dir() else ():
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if entirely or now - os.fstat(descriptor).st_mtime > UNUSED:
                trees.remove(folder)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
