"""A directory of manifests (or one file), watched: the source of the everyday.

Three things keep it honest: events give hints that settle in a debounce window; a rescan looks now and then without
any; and a file that somebody has open for writing is answered for by what it was before, so that half of a file is
never taken for the whole.
"""

import asyncio
import contextlib
import dataclasses
import logging
import pathlib
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from agent.kit import tasks
from agent.sources import api, debounce, tree, watch

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Rhythm:
    """When a directory is looked at again, in seconds."""

    quiet: float = 0.03
    """Without another change for so long, a burst is over: longer than editors take from truncating to writing."""
    settle: float = 0.25
    """A burst is taken as over after so long even if it goes on."""
    rescan: float = 30.0
    """The safety net: what the kernel tells nobody (network file systems, targets of symlinks) is seen by then."""


class DirectorySource:
    """Manifests below a path. The path may be missing, vanish and return: it is unavailable meanwhile."""

    def __init__(self, path: str, rhythm: Rhythm = Rhythm()) -> None:
        """Take the path as people typed it."""
        self._shown = path
        self._top = pathlib.Path(path).absolute()
        self._rhythm = rhythm
        self._last: dict[str, api.SourceFile] = {}
        self._watch: watch.Watch | None = None

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
        found = await asyncio.to_thread(tree.read, self._top, self._shown, self._unfinished)
        self._last = {file.path: file for file in found}
        return api.SourceSnapshot(tree.revision(found, self._shown), found)

    async def changes(self) -> AsyncIterator[None]:
        """Give hints until nobody listens any more."""
        hints = debounce.Hints(debounce.Window(self._rhythm.quiet, self._rhythm.settle), self._rhythm.rescan)
        loop = asyncio.get_running_loop()

        def from_thread() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(hints.note)

        watcher = watch.Watch(self._top, from_thread)
        try:
            await self._arm(watcher.start)
            self._watch = watcher
            hints.note()  # what happened before the watch was there
            async for _ in hints.settled():
                await self._arm(watcher.rearm)
                yield
        finally:
            self._watch = None
            watcher.stop()

    async def _arm(self, how: Callable[[], None]) -> None:
        try:
            await tasks.in_thread(how)  # whoever is cancelled can stop it then: it is not half begun
        except OSError as error:
            _log.warning(
                "%s is not watched (%s): changes are found every %g s; raise fs.inotify.max_user_watches",
                *(self._shown, error, self._rhythm.rescan),
            )

    def _unfinished(self, entry: tree.Entry) -> tuple[api.SourceFile, ...] | None:
        """Answer for a file that is being written by what it held before."""
        if self._watch is None or not self._watch.is_being_written(entry.path):
            return None
        before = self._last.get(tree.shown_path(entry, self._shown))
        return () if before is None else (before,)
