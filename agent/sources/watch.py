"""Watching a path with ``watchdog``: which events are hints, and which files are being written.

The path is watched together with its parent, so that a directory that is renamed away, a symlink that is switched to
another release, or a file that an editor replaces is seen as well. Where the path is missing, its nearest existing
ancestor is watched until it returns.
"""

import contextlib
import logging
import os
import pathlib
import time
import warnings
from collections.abc import Callable

from watchdog import events, observers
from watchdog.observers import api as observer_api

from agent.sources import files

_WRITING_EXPIRES = 5.0
"""Seconds after the last write at which a file that is still open is read as it is: a program that never closes its
file must not hide it for ever."""

_IGNORED = (events.FileOpenedEvent, events.FileClosedNoWriteEvent, events.DirModifiedEvent)
"""Events of reading, our own included; and changes of a directory, which have more exact events of their own."""

_ABOUT_THE_TOP = (
    *(events.DirCreatedEvent, events.DirDeletedEvent, events.DirMovedEvent),
    *(events.FileCreatedEvent, events.FileDeletedEvent, events.FileMovedEvent),
)


def without_chatter() -> None:
    """Silence watchdog 7's warnings about normal conditions."""
    # A directory came while its parent was being walked: it is watched once, as intended.
    warnings.filterwarnings("ignore", r"Callback with id .* already exists for watch", RuntimeWarning)
    # A watch was ended while its thread was about to read.
    logging.getLogger("watchdog.observers.inotify").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return "called when the thread is inactive" not in record.getMessage()


class PathWatch(events.FileSystemEventHandler):
    """Watches one path. ``on_hint`` is called from watchdog's thread."""

    def __init__(self, top: pathlib.Path, on_hint: Callable[[], None]) -> None:
        """Take the path (absolute, need not exist) and the callback for hints."""
        super().__init__()
        self._top = top
        self._on_hint = on_hint
        self._observer: observer_api.BaseObserver | None = None
        self._armed: list[tuple[str, bool, tuple[int, int]]] | None = None
        self._stale = False
        self._stopped = True
        self._writing: dict[str, float] = {}

    def start(self) -> None:
        """Start watching. Raises ``OSError`` where the host allows no more watches; ``rearm`` tries again."""
        without_chatter()
        self._stopped = False
        self.rearm()

    def stop(self) -> None:
        """Stop watching; ``on_hint`` is not called any more."""
        self._stopped = True
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None

    def rearm(self) -> None:
        """Watch what the path is now, if that is not what is watched already. Raises as ``start``."""
        if self._stopped:
            return
        if self._observer is None:
            observer = observers.Observer()
            observer.start()
            self._observer = observer
        stale, self._stale = self._stale, False
        targets = self._targets()
        if targets == self._armed and not stale:
            return
        self._armed = None
        self._observer.unschedule_all()
        for path, recursive, _ in targets:
            with contextlib.suppress(FileNotFoundError):  # removed since: the parent's watch reports it
                self._observer.schedule(self, path, recursive=recursive)
        self._armed = targets

    def has_open_writer(self, path: pathlib.Path) -> bool:
        """Return whether a program has written to a file and not closed it yet."""
        written_at = self._writing.get(os.path.realpath(path))
        return written_at is not None and time.monotonic() - written_at < _WRITING_EXPIRES

    def dispatch(self, event: events.FileSystemEvent) -> None:
        """Take an event of watchdog's, and call ``on_hint`` where it may change the snapshot."""
        if isinstance(event, _IGNORED):
            return
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        self._note_writing(event, paths)
        if isinstance(event, _ABOUT_THE_TOP) and any(self._concerns_top(path) for path in paths):
            self._stale = True  # a new directory may have the inode number of the old one
            self._on_hint()
        elif any(self._is_relevant(event, path) for path in paths):
            self._on_hint()

    def _targets(self) -> list[tuple[str, bool, tuple[int, int]]]:
        """Return (path, recursive, identity) of everything that has to be watched now."""
        targets: list[tuple[str, bool, tuple[int, int]]] = []
        parent = self._top.parent
        while not parent.is_dir():
            parent = parent.parent
        for path, recursive in ((str(parent), False), (os.path.realpath(self._top), True)):
            with contextlib.suppress(OSError):
                status = os.stat(path)  # noqa: PTH116 - a string, as watchdog takes it
                if not recursive or self._top.is_dir():
                    targets.append((path, recursive, (status.st_dev, status.st_ino)))
        return targets

    def _concerns_top(self, path: str) -> bool:
        """Return whether a path is the watched one, or one of its parents."""
        return path in {str(self._top), os.path.realpath(self._top)} or pathlib.Path(path) in self._top.parents

    def _note_writing(self, event: events.FileSystemEvent, paths: list[str]) -> None:
        if isinstance(event, events.FileModifiedEvent):
            if files.is_manifest(os.path.basename(paths[0])):  # noqa: PTH119 - strings throughout
                self._writing[paths[0]] = time.monotonic()
        elif not isinstance(event, events.FileAttribEvent):
            for path in paths:
                self._writing.pop(path, None)

    def _is_relevant(self, event: events.FileSystemEvent, path: str) -> bool:
        real_top = os.path.realpath(self._top)
        if path.startswith(real_top + os.sep) and self._top.is_dir():
            parts = pathlib.PurePath(path[len(real_top) + 1 :]).parts
        elif self._top.is_file() and os.path.dirname(path) == str(self._top.parent):  # noqa: PTH120
            name = os.path.basename(path)  # noqa: PTH119
            return name == self._top.name or files.is_volume_switch(name)
        else:
            return False
        if any(files.is_ignored(part) and not files.is_volume_switch(part) for part in parts):
            return False
        # Files that are not manifests count once they are whole: archives are stamped, data of containers is not ours.
        return files.is_manifest(parts[-1]) or not isinstance(event, events.FileModifiedEvent)
