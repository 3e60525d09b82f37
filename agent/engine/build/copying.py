"""COPY and ADD: what is named in a tree, written where the image has it."""

import os
import posixpath
import stat
import time
from collections.abc import Iterator, Sequence
from typing import IO

from agent import errors
from agent.distribution.layers import entries, streams
from agent.dockerfile import evaluate, ignore
from agent.engine.build import disk_trees, fetching, trees, writing
from agent.engine.kernel import api
from agent.engine.layers import unpack
from agent.kit import frozen
from agent.reasons import Reason

_DOCUMENT_MODE = 0o644
_DOWNLOAD_MODE = 0o600
_BLOCK = 512


@frozen.value
class Selection:
    """One thing that is copied, with all that is below it."""

    path: str
    """In its tree, without links."""
    name: str
    """What it is called where it comes to lie in a directory."""
    folder: str
    """Where it comes to lie below the target, with ``--parents``; empty otherwise."""
    entries: tuple[trees.Entry, ...]

    @property
    def is_folder(self) -> bool:
        """Return whether it is a directory, whose contents are copied."""
        return self.entries[0].status.is_folder


def select(tree: trees.Tree, step: evaluate.CopyStep, sources: Sequence[str]) -> tuple[Selection, ...]:
    """Return what some sources of a step are in a tree, in their order.

    Raises ``errors.NotFound`` for what is not there, ``errors.InvalidArgument`` for a bad pattern, ``OSError``.
    """
    try:
        excluded = ignore.of([(0, pattern) for pattern in step.sources.excluded])
        return tuple(selection for source in sources for selection in _selected(tree, source, excluded, step))
    except ignore.BadPattern as error:
        raise errors.InvalidArgument(f"{error.message}", hint="see the reference of Dockerfiles on patterns") from error
    except trees.TooManyLinks as error:
        raise errors.InvalidArgument(f"the links of {error} lead in a circle") from error


def _selected(tree: trees.Tree, source: str, excluded: ignore.Ignore, step: evaluate.CopyStep) -> Iterator[Selection]:
    paths = trees.matching(tree, source) if trees.has_wildcards(source) else [posixpath.normpath(f"/{source}")[1:]]
    for path in paths:
        resolved = trees.resolve(tree, path)
        entries_below = tuple(trees.below(tree, resolved, excluded))
        if not entries_below:
            raise errors.NotFound(
                f"there is no {path or '/'} to copy{' in ' + step.stage if step.stage else ' in the context'}",
                hint="" if step.stage else "it may be left out by .dockerignore",
                reason=Reason.CONTENT_MISSING,
            )
        folder = posixpath.dirname(resolved) if step.keeps_parents else ""
        yield Selection(resolved, posixpath.basename(path), folder, entries_below)


def described(
    tree: disk_trees.DiskTree, selections: tuple[Selection, ...], digests: disk_trees.Digests
) -> Iterator[object]:
    """Yield what the cache's key has of what is copied: all but times. Raises ``OSError``."""
    now = time.time_ns()
    for selection in selections:
        links: dict[tuple[int, int], str] = {}
        yield selection.name, selection.folder, selection.is_folder
        for entry in selection.entries:
            status = entry.status
            first = links.setdefault(status.identity, entry.relative) if status.identity else entry.relative
            content: object = None
            if status.is_link:
                content = tree.link(entry.path)
            elif stat.S_ISREG(status.mode):
                descriptor = tree.open(entry.path)
                try:
                    content = digests.of(descriptor, now), writing.kept_attributes(descriptor)
                finally:
                    os.close(descriptor)
            elif not status.is_folder:
                content = status.device
            linked = first if first != entry.relative else ""
            yield entry.relative, status.mode, status.uid, status.gid, linked, content


class Copying:
    """Writes what a step copies into a root file system. It blocks: for threads."""

    def __init__(self, kernel: api.Kernel, top: int, step: evaluate.CopyStep, writer: writing.Writer) -> None:
        """Take the open root file system."""
        self._kernel = kernel
        self._top = top
        self._step = step
        self._target = step.sources.target
        self._writer = writer

    def documents(self) -> None:
        """Write the files whose content stands in the Dockerfile."""
        for document in self._step.sources.documents:
            data = document.content.encode("utf-8", "surrogateescape")
            self._writer.content(self._place(document.name, is_folder=False), data, _DOCUMENT_MODE, time.time_ns())

    def tree(self, tree: disk_trees.DiskTree, selections: tuple[Selection, ...], limits: streams.Limits) -> None:
        """Write what was selected of a tree; ADD unpacks archives.

        Raises ``errors.InvalidArgument`` where something is in the way, ``OSError``.
        """
        for selection in selections:
            if self._unpacks(tree, selection):
                with _content(tree, selection.path) as file:
                    self.archive(file, selection.entries[0].status.size, limits)
            elif self._step.keeps_parents:
                self._with_parents(tree, selection)
            else:
                self._copy(tree, selection, self._place(selection.name, is_folder=selection.is_folder))

    def archive(self, file: IO[bytes], size: int, limits: streams.Limits) -> None:
        """Unpack an archive into the target."""
        target = self._writer.resolved(self._target)
        self._writer.make_folders(target)
        folder = self._kernel.open_in_root(self._top, target or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            stream = streams.Bounded(streams.decompressed(file), size, limits)
            unpack.Unpacker(self._kernel, folder, limits, is_layer=False).unpack(entries.Entries(stream))
        finally:
            os.close(folder)

    def download(self, download: fetching.Download, limits: streams.Limits) -> None:
        """Write a file or a repository that comes from elsewhere; a file is unpacked where the step says so."""
        if download.is_repository:
            self._repository(download)
            return
        if self._step.unpacks:
            with download.path.open("rb") as file:
                if is_archive(file):
                    self.archive(file, download.path.stat().st_size, limits)
                    return
        folder = os.open(download.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            status = trees.Status(stat.S_IFREG | _DOWNLOAD_MODE, 0, 0, download.path.stat().st_size, download.modified)
            entry = trees.Entry(download.path.name, "", status)
            target = self._place(download.name, is_folder=False)
            self._writer.file(target, entry, disk_trees.DiskTree(self._kernel, folder))
        finally:
            os.close(folder)

    def _repository(self, download: fetching.Download) -> None:
        folder = os.open(download.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            tree = disk_trees.DiskTree(self._kernel, folder, is_context=True)
            entries_below = tuple(trees.below(tree, "", ignore.Ignore()))
            self._copy(tree, Selection("", "", "", entries_below), self._place("", is_folder=True))
        finally:
            os.close(folder)

    def _place(self, name: str, *, is_folder: bool) -> str:
        """Return the path without links that something is written to."""
        target = self._writer.resolved(self._target)
        if is_folder:
            return target
        if self._target.endswith("/") or self._writer.is_folder(target):
            return self._writer.resolved(posixpath.join(f"/{target}", name)) if name else target
        return target

    def _with_parents(self, tree: disk_trees.DiskTree, selection: Selection) -> None:
        top = self._writer.resolved(self._target)
        self._writer.make_folders(top)
        parts = selection.path.split("/")
        for count in range(1, len(parts)):
            path = "/".join(parts[:count])
            status = tree.status(path)
            if status is not None:
                self._writer.folder(posixpath.join(top, path), trees.Entry(path, "", status), overwrites=False)
        self._copy(tree, selection, posixpath.join(top, selection.path))

    def _copy(self, tree: disk_trees.DiskTree, selection: Selection, target: str) -> None:
        self._writer.begin_source()
        if selection.is_folder:  # its contents are copied, and not what it is itself
            self._writer.make_folders(target)
        for entry in selection.entries:
            path = posixpath.join(target, entry.relative) if entry.relative else target
            if not entry.status.is_folder:
                self._writer.file(path, entry, tree)
            elif entry.relative:
                self._writer.folder(path, entry, overwrites=True)

    def _unpacks(self, tree: disk_trees.DiskTree, selection: Selection) -> bool:
        if not self._step.is_add or self._step.unpacks is False or not stat.S_ISREG(selection.entries[0].status.mode):
            return False
        with _content(tree, selection.path) as file:
            return is_archive(file)


def is_archive(file: IO[bytes]) -> bool:
    """Return whether a file begins with a tar archive's first entry, packed or not; its position is the same then."""
    try:
        block = streams.as_file(streams.decompressed(file)).read(_BLOCK)
    except errors.InvalidArgument:
        block = b""
    file.seek(0)
    return len(block) == _BLOCK and entries.is_header(block)


def _content(tree: disk_trees.DiskTree, path: str) -> IO[bytes]:
    return os.fdopen(tree.open(path), "rb")
