"""Watching external inputs with ``watchdog``, wherever on the host they lie.

A build's context is watched with all that is below it. A file is watched through the directory that it lies in, which
tells of a file that is replaced, removed or created as well; where that is missing, through its nearest ancestor. What
cannot be watched is looked at now and then.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping

from watchdog import events, observers
from watchdog.observers import api as observer_api

from agent.kit import watch_limits
from agent.model.external_input import ExternalInput, InputKind
from agent.sources import build_contexts, watch

MOST_DIRECTORIES = 16
"""Directories that are watched; the inputs of others are looked at now and then. Each takes two threads, and
one of the 128 inotify instances that Linux gives a user."""
_EVENTS: list[type[events.FileSystemEvent]] = [
    *(events.FileClosedEvent, events.FileCreatedEvent, events.FileDeletedEvent, events.FileMovedEvent),
    *(events.DirCreatedEvent, events.DirDeletedEvent, events.DirMovedEvent),
]
"""Each writing of a large archive is none: it counts once it is whole."""

_log = logging.getLogger(__name__)


class InputWatch(events.FileSystemEventHandler):
    """Watches paths that may change from time to time. ``on_hint`` is called from watchdog's thread."""

    def __init__(self, on_hint: Callable[[], None]) -> None:
        """Begin without paths: nothing is watched, and no thread runs."""
        super().__init__()
        self._on_hint = on_hint
        self._observer: observer_api.BaseObserver | None = None
        self._watches: dict[str, tuple[tuple[int, int, bool], observer_api.ObservedWatch]] = {}
        """The directory's identity, whether all below it counts, and its watch, by the directory's path."""
        self._relevant: frozenset[str] = frozenset()
        self._contexts: tuple[build_contexts.Rules, ...] = ()
        self._report = watch_limits.Report(_log)

    def follow(self, inputs: Iterable[ExternalInput]) -> None:
        """Watch these inputs (they need not exist), and no others any more. It blocks."""
        declared = list(inputs)
        contexts = [build_contexts.rules_of(external) for external in declared if external.kind is InputKind.BUILD]
        paths = [path for external in declared for path in (external.path, external.dockerfile) if path]
        every = {spelling for path in paths for spelling in (path, os.path.realpath(path))}
        trees = {context.context for context in contexts}
        directories: dict[str, tuple[int, int, bool]] = {}
        for path in sorted(every):
            for directory in _directories(path):
                status = os.stat(directory)  # noqa: PTH116 - strings, as watchdog takes them
                directories[directory] = (status.st_dev, status.st_ino, directory in trees)
        self._contexts = tuple(contexts)
        kept = dict(sorted(directories.items())[:MOST_DIRECTORIES])
        self._relevant = frozenset(ancestor for path in every for ancestor in _ancestors(path))
        for directory, (identity, observed) in list(self._watches.items()):
            if kept.get(directory) != identity:
                self._unwatch(directory, observed)
        refused: dict[str, OSError] = {}
        for directory, identity in kept.items():
            if directory not in self._watches:
                try:
                    self._watch(directory, identity)
                except OSError as error:
                    refused[directory] = error
        self._tell(refused)

    def stop(self) -> None:
        """Stop watching; ``on_hint`` is not called any more."""
        self._relevant, self._contexts = frozenset(), ()
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None

    def dispatch(self, event: events.FileSystemEvent) -> None:
        """Take an event of watchdog's, and call ``on_hint`` where it is about an input."""
        for path in (os.fsdecode(path) for path in (event.src_path, event.dest_path) if path):
            if self._is_relevant(path):
                self._on_hint()
                return

    def _is_relevant(self, path: str) -> bool:
        if path in self._relevant or (os.path.basename(path) == "index.json" and _parent(path) in self._relevant):  # noqa: PTH119
            return True
        return any(context.includes(path) for context in self._contexts)

    def _watch(self, directory: str, identity: tuple[int, int, bool]) -> None:
        """Watch a directory. Raises ``OSError`` where the kernel allows no more; one that was removed is none."""
        if self._observer is None:
            watch.without_chatter()
            observer = observers.Observer()
            observer.start()
            self._observer = observer
        with contextlib.suppress(FileNotFoundError):
            observed = self._observer.schedule(self, directory, recursive=identity[2], event_filter=_EVENTS)
            self._watches[directory] = identity, observed

    def _tell(self, refused: Mapping[str, OSError]) -> None:
        """Say what could not be watched; it is tried once more at the next look."""
        for directory, error in refused.items():
            self._report.failed(directory, error, "its files are looked at now and then")
        if not refused:
            self._report.succeeded()

    def _unwatch(self, directory: str, observed: observer_api.ObservedWatch) -> None:
        del self._watches[directory]
        if self._observer is not None:
            self._observer.unschedule(observed)


def _directories(path: str) -> Iterable[str]:
    """Return the existing directories whose events tell of a path: its own, where it is one, and its parent's."""
    if os.path.isdir(path):  # noqa: PTH112
        yield path
    parent = _parent(path)
    while not os.path.isdir(parent) and parent != "/":  # noqa: PTH112
        parent = _parent(parent)
    yield parent


def _ancestors(path: str) -> Iterable[str]:
    while path != "/":
        yield path
        path = _parent(path)


def _parent(path: str) -> str:
    return os.path.dirname(path) or "/"  # noqa: PTH120
