"""What every source is: a snapshot of files on request, and hints that another snapshot may differ."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Protocol, Self

from agent import errors
from agent.kit import frozen
from agent.model import external_input

_POLL = 0.05
"""Seconds between two looks at a source that is being written."""


class BadSource(errors.TrimtabError):
    """A SOURCE argument that is invalid or not allowed: the user has to change it."""


class SourceUnavailable(errors.TrimtabError):
    """The source cannot be read now: nothing is known of what it declares, so nothing may be changed by it."""


@frozen.value
class SourceFile:
    """One file of a source."""

    path: str
    """As shown to people: the source as they typed it, and the path from there."""
    directory: str
    """Absolute directory that relative paths inside of the file start at."""
    data: bytes
    problem: str = ""
    """Why it was not read (too large, no permission); ``data`` is empty then."""


@frozen.value
class SourceSnapshot:
    """All files of a source at one moment, sorted by path."""

    revision: str
    """Names the content: ``dir:sha256:<12 digits>`` for a directory, the commit for a git repository."""
    files: tuple[SourceFile, ...]
    stored: bool = False
    """Whether this is an earlier run's checkout, which was not compared with the server."""
    unsettled: tuple[str, ...] = ()
    """Paths of files that are being written: they stand for what they were before, or are left out."""
    layout: str = ""
    """A fingerprint of the directories: changes when a file is created, renamed or removed, even if undone."""
    changed_in_place: Mapping[str, float] = dataclasses.field(default_factory=dict, compare=False)
    """Seconds since each file that was written anew, and not replaced by another one, was last seen to change, by path.
    Somebody may be doing it step by step, and close it in between."""
    age: float | None = dataclasses.field(default=None, compare=False)
    """Seconds since any of the files was last changed; ``None`` where that is not known."""
    atomic: bool = False
    """Whether all files changed at once (a commit): what is missing was removed, and is not just not copied yet."""
    folder: external_input.SourceFolder | None = dataclasses.field(default=None, compare=False)
    """What the files that manifests name as the source's own lie below; ``None``: each manifest's own directory."""


@frozen.value
class SourceHealth:
    """The results of the looks at a source: "unchanged" is not "unreadable". Times are seconds since the epoch."""

    last_attempt: float | None = None
    """When the last look ended, whatever its result; ``None`` before the first."""
    last_success: float | None = None
    """When the source was last read, be it unchanged and be its manifests good or bad."""
    error: str = ""
    """Why the last look failed; empty where it did not."""
    revision: str = ""
    """The revision of the last look that succeeded."""
    failures: int = 0
    """Looks in a row that failed."""

    def succeeded(self, revision: str, now: float) -> "SourceHealth":
        """Return the health after a look that read a revision."""
        return SourceHealth(now, now, "", revision, 0)

    def failed(self, error: str, now: float) -> "SourceHealth":
        """Return the health after a look that failed."""
        return SourceHealth(now, self.last_success, error, self.revision, self.failures + 1)


class Source(Protocol):
    """Where manifests come from: a directory, a file, a git ref. Used as an asynchronous context manager."""

    @property
    def name(self) -> str:
        """The source as people know it, free of credentials."""

    async def snapshot(self) -> SourceSnapshot:
        """Return all files now. Raises ``SourceUnavailable`` where the source cannot be read."""

    async def forget(self) -> None:
        """Remove what this host keeps of the source (a checkout), once it is not used any more."""

    def changes(self) -> AsyncIterator[None]:
        """Yield whenever another snapshot may differ: settled after bursts, and now and then without a cause."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


async def settled(source: Source, patience: float = 5.0) -> SourceSnapshot:
    """Return a snapshot in which nothing is being written; wait for that, so many seconds at most.

    Raises ``SourceUnavailable``, also where the source does not come to rest.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while (snapshot := await source.snapshot()).unsettled:
        if loop.time() > deadline:
            raise SourceUnavailable(
                f"{snapshot.unsettled[0]} is being written: half of it may be missing",
                hint="try again when it is finished; what a command prints must not go into its own SOURCE",
            )
        await asyncio.sleep(_POLL)
    return snapshot
