"""What every source is: a snapshot of files on request, and hints that another snapshot may differ."""

import dataclasses
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from types import TracebackType
from typing import Protocol, Self

from agent import errors


class BadSource(errors.TrimtabError):
    """A SOURCE that cannot be understood or must not be used: the one who typed it has to change it."""


class SourceUnavailable(errors.TrimtabError):
    """The source cannot be read now: nothing is known of what it declares, so nothing may be changed by it."""


@dataclasses.dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source."""

    path: str
    """As shown to people: the source as they typed it, and the way from there."""
    directory: str
    """Absolute directory that relative paths inside of the file start at."""
    data: bytes
    problem: str = ""
    """Why it was not read (too large, no permission); ``data`` is empty then."""


@dataclasses.dataclass(frozen=True, slots=True)
class SourceSnapshot:
    """All files of a source at one moment, sorted by path."""

    revision: str
    """Names the content: ``dir:sha256:<12 digits>`` for a directory, the commit for a git repository."""
    files: tuple[SourceFile, ...]


class Source(Protocol):
    """A place that manifests come from. Used as an asynchronous context manager."""

    @property
    def name(self) -> str:
        """The source as people know it, free of credentials."""

    async def snapshot(self) -> SourceSnapshot:
        """Read everything. Raises ``SourceUnavailable`` where the source cannot be read."""

    def changes(self) -> AsyncIterator[None]:
        """Give a hint whenever another snapshot may differ: settled after bursts, and now and then without a cause."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def stamp(paths: Iterable[str]) -> Mapping[str, str]:
    """Say what each archive is now (``size-mtime_ns-inode``), so that a rewritten one differs; empty where missing.

    A directory (an OCI layout) is known by its ``index.json``, which every writer replaces last.
    """
    return {path: _stamp(path) for path in paths}


def _stamp(path: str) -> str:
    try:
        found = os.stat(os.path.join(path, "index.json") if os.path.isdir(path) else path)  # noqa: PTH112, PTH116, PTH118 - strings in, strings out
    except (OSError, ValueError):
        return ""
    return f"{found.st_size}-{found.st_mtime_ns}-{found.st_ino}"
