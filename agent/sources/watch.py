"""Watching a path with ``watchdog``: what of all that happens there is a hint, and which files are being written.

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
"""Reading, our own included; and "something changed in this directory", which each change tells more exactly."""

_ABOUT_THE_TOP = (
    *(events.DirCreatedEvent, events.DirDeletedEvent, events.DirMovedEvent),
    *(events.FileCreatedEvent, events.FileDeletedEvent, events.FileMovedEvent),
)


def _without_chatter() -> None:
    """Let watchdog 7 not tell of what is as it should be."""
    # A directory came while its parent was being walked: it is watched once, as wanted.
    warnings.filterwarnings("ignore", r"Callback with id .* already exists for watch", RuntimeWarning)
    # A watch was ended while its thread was about to read.
    logging.getLogger("watchdog.observers.inotify").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return "called when the thread is inactive" not in record.getMessage()


class Watch(events.FileSystemEventHandler):
    """Watches one path. ``on_hint`` is called from watchdog's thread."""

    def __init__(self, top: pathlib.Path, on_hint: Callable[[], None]) -> None:
        """Name the path (absolute, need not exist) and who is told."""
        super().__init__()
        self._top = top
        self._on_hint = on_hint
        self._observer: observer_api.BaseObserver | None = None
        self._armed: list[tuple[str, bool, tuple[int, int]]] | None = None
        self._stale = False
        self._writing: dict[str, float] = {}

    def start(self) -> None:
        """Begin. Raises ``OSError`` where the host allows no more watches; a rescan must do then."""
        _without_chatter()
        observer = observers.Observer()
        observer.start()
        self._observer = observer
        self.rearm()

    def stop(self) -> None:
        """End; after this nothing is told any more."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None

    def rearm(self) -> None:
        """Watch what the path is now, if that is not what is watched already."""
        stale, self._stale = self._stale, False
        wanted = self._targets()
        if self._observer is None or (wanted == self._armed and not stale):
            return
        self._observer.unschedule_all()
        self._armed = None
        for path, recursive, _ in wanted:
            with contextlib.suppress(FileNotFoundError):  # gone since: the parent's watch will tell
                self._observer.schedule(self, path, recursive=recursive)
        self._armed = wanted

    def is_being_written(self, path: pathlib.Path) -> bool:
        """Tell whether somebody has written to a file and not closed it yet."""
        written = self._writing.get(os.path.realpath(path))
        return written is not None and time.monotonic() - written < _WRITING_EXPIRES

    def dispatch(self, event: events.FileSystemEvent) -> None:
        """Take an event of watchdog's; most of them say nothing to us."""
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
        """Give (path, recursively?, identity) of all that has to be watched now."""
        wanted: list[tuple[str, bool, tuple[int, int]]] = []
        parent = self._top.parent
        while not parent.is_dir():
            parent = parent.parent
        for path, recursive in ((str(parent), False), (os.path.realpath(self._top), True)):
            with contextlib.suppress(OSError):
                found = os.stat(path)  # noqa: PTH116 - a string, as watchdog takes it
                if not recursive or self._top.is_dir():
                    wanted.append((path, recursive, (found.st_dev, found.st_ino)))
        return wanted

    def _concerns_top(self, path: str) -> bool:
        """Tell whether a path is ours or lies on the way to it."""
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
