"""A directory of manifests (or one file), watched: the most common source.

Three things keep it honest: events give hints that settle in a quiet period; a rescan looks now and then without
any; and a file that is being written is answered for by what it was before (``stability``), so that half of a file is
never taken for the whole.
"""

import asyncio
import contextlib
import logging
import pathlib
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from agent.kit import frozen, tasks, watch_limits
from agent.model import external_input
from agent.sources import api, change_hints, stability, tree, watch
from agent.sources import limits as source_limits

_log = logging.getLogger(__name__)


@frozen.value
class WatchIntervals:
    """When a directory is read again, and when a changed file is accepted, in seconds."""

    quiet: float = 0.03
    """Without another change for so long, a burst is over: longer than editors take from truncating to writing."""
    settle: float = 0.25
    """A burst is taken as over after so long even if it goes on."""
    rescan: float = 30.0
    """The safety net: changes without inotify events (network file systems, targets of symlinks) are seen by then."""
    late: float = 1.0
    """A changed file must rest so long where nobody can know whether it is being written (network file systems)."""
    unfinished: float = 60.0
    """After so long a file is accepted although it is open for writing."""


class DirectorySource:
    """Manifests below a path. The path may be missing, vanish and return: it is unavailable meanwhile."""

    def __init__(
        self,
        path: str,
        intervals: WatchIntervals = WatchIntervals(),
        limits: source_limits.Limits = source_limits.DEFAULT,
    ) -> None:
        """Take the path as people typed it."""
        self._shown = path
        self._top = pathlib.Path(path).absolute()
        self._intervals = intervals
        self._stability = stability.FileStability(
            stability.RestPeriods(quiet=intervals.quiet, late=intervals.late, unfinished=intervals.unfinished)
        )
        self._reader = tree.Reader(self._top, path, self._stability.accepted, limits)
        self._reading = asyncio.Lock()
        self._hints: change_hints.ChangeHints | None = None
        self._watch_report = watch_limits.Report(_log)
        self._watch: watch.PathWatch | None = None

    @property
    def name(self) -> str:
        """The path as it was typed."""
        return self._shown

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watch is not None:
            self._watch.stop()

    async def snapshot(self) -> api.SourceSnapshot:
        """Read the tree, in a thread: a file system that hangs must not stop the loop."""
        async with self._reading:
            snapshot, next_reading_at = await asyncio.to_thread(self._read)
        if next_reading_at is not None and self._hints is not None:
            asyncio.get_running_loop().call_later(max(0.0, next_reading_at - time.monotonic()), self._hints.note)
        return snapshot

    async def forget(self) -> None:
        """Do nothing: nothing is kept of a directory."""

    async def changes(self) -> AsyncIterator[None]:
        """Yield a hint after each burst of changes and at each rescan, until the iterator is closed."""
        hints = change_hints.ChangeHints(
            change_hints.QuietPeriod(self._intervals.quiet, self._intervals.settle), self._intervals.rescan
        )
        loop = asyncio.get_running_loop()

        def from_thread() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(hints.note)

        watcher = watch.PathWatch(self._top, from_thread)
        try:
            self._hints = hints
            await self._arm(watcher.start)
            self._watch = watcher
            hints.note()  # what happened before the watch was there
            async for _ in hints.settled():
                await self._arm(watcher.rearm)
                yield
        finally:
            self._watch = self._hints = None
            watcher.stop()

    async def _arm(self, how: Callable[[], None]) -> None:
        try:
            await tasks.in_thread(how)  # whoever is cancelled can stop it then: it is not half begun
        except OSError as error:
            self._watch_report.failed(self._shown, error, f"changes are found every {self._intervals.rescan:g} s")
        else:
            self._watch_report.succeeded()

    def _read(self) -> tuple[api.SourceSnapshot, float | None]:
        """Return a snapshot, and the moment at which an unsettled file may have settled."""
        readings = self._reader.read(self._has_open_writer)
        layout = self._reader.layout()
        settled = self._stability.take(readings, time.monotonic())
        revision = tree.revision(settled.files, self._shown)
        snapshot = api.SourceSnapshot(
            revision,
            settled.files,
            unsettled=settled.unsettled,
            layout=layout,
            changed_in_place=settled.changed_in_place,
            age=min((reading.age for reading in readings if reading.signature is not None), default=None),
            folder=external_input.SourceFolder(str(self._top if self._top.is_dir() else self._top.parent)),
        )
        return snapshot, settled.next_reading_at

    def _has_open_writer(self, path: pathlib.Path) -> bool:
        return self._watch is not None and self._watch.has_open_writer(path)
