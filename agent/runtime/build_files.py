"""The files of a build on this host: the Dockerfile, and what is left out of its context. Reading blocks."""

import errno
import os
import pathlib
from collections.abc import Iterator
from typing import Self

from agent import errors
from agent.dockerfile import ignore, limits
from agent.kit import files, frozen, writers
from agent.reasons import Reason

DEFAULT_NAME = "Dockerfile"
IGNORE_NAME = ".dockerignore"
EPOCH = "SOURCE_DATE_EPOCH"
"""The argument of a build that says what nothing in the image is newer than."""
_LARGEST_IGNORE = 1024 * 1024
"""Bytes of a ``.dockerignore``."""


@frozen.value
class Location:
    """Where a build's files are."""

    dockerfile: pathlib.Path
    """Need not exist where the Dockerfile's text stands in a manifest."""
    context: pathlib.Path

    @classmethod
    def of(cls, path: str, file: str | None) -> Self:
        """Return where they are: a directory's Dockerfile, or a file that is named."""
        target = pathlib.Path(path)
        if file is not None:
            return cls(pathlib.Path(file), target)
        return cls(target / DEFAULT_NAME, target) if target.is_dir() else cls(target, target.parent)

    def read(self) -> bytes:
        """Read the Dockerfile. Raises ``errors.NotFound``."""
        try:
            return _read_most(self.dockerfile, limits.LARGEST + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "its name has a NUL"
            raise errors.NotFound(
                f"{self.dockerfile} cannot be read: {reason}",
                hint="name it: --file FILE, or dockerfile in the manifest",
                reason=Reason.CONTENT_MISSING,
            ) from error

    @property
    def ignore_files(self) -> tuple[pathlib.Path, pathlib.Path]:
        """Both files that may say what is left out; the first one counts where it is there."""
        return pathlib.Path(f"{self.dockerfile}{IGNORE_NAME}"), self.context / IGNORE_NAME

    @property
    def ignore_file(self) -> pathlib.Path:
        """What says what is left out of the context: ``NAME.dockerignore`` beside the Dockerfile, or the context's."""
        own, of_context = self.ignore_files
        return own if os.path.lexists(own) else of_context

    def ignored(self) -> ignore.Ignore:
        """Read what is left out. Raises ``errors.InvalidArgument``, ``ignore.BadPattern``."""
        return _ignored(self.ignore_file)


def epoch(text: str) -> int | None:
    """Read the value of ``SOURCE_DATE_EPOCH``; empty: none. Raises ``ValueError``."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(2**40))):
        raise ValueError(f"{EPOCH}={text[:50]} is no number of seconds")
    return int(text)


def ignored_in(context: pathlib.Path) -> ignore.Ignore:
    """Read what is left out of another context. Raises ``errors.InvalidArgument``."""
    file = context / IGNORE_NAME
    try:
        return _ignored(file)
    except ignore.BadPattern as error:
        raise errors.InvalidArgument(f"{file}:{error.line}: {error.message}") from error


def entries(context: str | os.PathLike[str], ignored: ignore.Ignore) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield what belongs to a context with its path in there, each directory before what is in it.

    Names of a directory are sorted, and no link is followed. Raises ``OSError``; a directory that has gone is passed
    over, unless it is the context itself.
    """
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(os.path.join(context, folder)) as listing:  # noqa: PTH118 - names need not be UTF-8
                listed = sorted(listing, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            if not folder:
                raise
            continue
        for entry in listed:
            path = f"{folder}/{entry.name}" if folder else entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            is_left_out = ignored.leaves_out(path)
            if not is_left_out:
                yield path, entry
            if is_folder and (not is_left_out or ignored.may_bring_back):
                waiting.append(path)


def place_in(path: str, context: str) -> str:
    """Return a path relative to a context that it lies in, by its spelling; empty: it does not, or is the context."""
    relative = os.path.relpath(path, context)
    return "" if relative in {".", ".."} or relative.startswith("../") else relative


def read_ignore_file(file: pathlib.Path) -> bytes:
    """Read a ``.dockerignore``; nothing where there is none. Raises ``errors.InvalidArgument``."""
    try:
        return _read_most(file, _LARGEST_IGNORE)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise errors.InvalidArgument(f"{file} cannot be read: {error.strerror}", hint="mend or remove it") from error


def _ignored(file: pathlib.Path) -> ignore.Ignore:
    return ignore.parse(read_ignore_file(file))


def _read_most(path: pathlib.Path, largest: int) -> bytes:
    """Read a file. Raises ``OSError``, also for one that the kernel makes up: reading some of these takes it away."""
    descriptor = files.open_regular(path)
    try:
        if writers.Writers().is_of_the_kernel(descriptor):
            raise OSError(errno.EINVAL, "it is a file that the kernel makes up", str(path))
        return files.read_most(descriptor, largest)
    finally:
        os.close(descriptor)
