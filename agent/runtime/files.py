"""Files in containers: the role ``Files``."""

import contextlib
from collections.abc import AsyncIterable, AsyncIterator
from typing import Protocol

from agent import errors
from agent.reasons import Reason


class Files(Protocol):
    """Trees of containers, out and in, as tar archives without compression.

    A path is absolute, and it is resolved as the container sees it: links lead to where they lead in there, and never
    out of it. Volumes are part of its tree, and so are binds while it runs; what a tmpfs has is, where the runtime
    gets at it (Docker does not). What the kernel makes up (``/proc``, ``/sys`` …) is none that can be relied on.

    Both raise ``NotFound`` (``PathNotFound`` where the container is there), ``InvalidArgument`` for a path that is
    not absolute, and where the runtime has no files (``Feature.CONTAINER_FILES``).
    """

    def copy_out(self, ref: str, path: str) -> contextlib.AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open an archive of what is at a path, in pieces of any size; leaving early ends the reading.

        It is called there by the last name of where the path leads (``/`` by one that the runtime chooses), and
        everything below it by that name and more. A link below it is a link in the archive; sockets are left out. What
        is written meanwhile may be there or not; a file that shrinks is filled up with zeros.
        """

    async def copy_in(self, ref: str, path: str, archive: AsyncIterable[bytes]) -> None:
        """Unpack an archive in the directory at a path, in place of files that have the same names.

        Owners (by number), modes and times are the archive's. Of one that fails or is cancelled half way, what was
        unpacked by then stays.

        Raises ``InvalidArgument`` for a path that is no directory (``NotADirectory``), for what is no archive, and for
        entries that are neither files, directories, links nor pipes, where the runtime makes none; ``Conflict`` where
        the tree is read-only, a directory would replace something else or something else a directory, and where a
        container that does not run can only be written to by the process that keeps it (``NotRunning``).
        """


def check_path(path: str) -> None:
    """Raise ``errors.InvalidArgument`` for a path that is not absolute."""
    if not path.startswith("/") or "\0" in path:
        raise errors.InvalidArgument(f"{path!r} is not an absolute path in a container")


def absent(path: str, name: str) -> errors.NotFound:
    """Return the error for a path that a container does not have."""
    return errors.NotFound(f"there is no {path} in container {name}", reason=Reason.PATH_NOT_FOUND)
