"""The files of a build on this host: the Dockerfile, and what is left out of its context. Reading blocks."""

import contextlib
import errno
import os
import pathlib
from collections.abc import Iterator
from typing import Self

from agent import errors
from agent.dockerfile import builds, ignore, lines, mistake, parse
from agent.kit import files, frozen, writers
from agent.model import hostaccess, image
from agent.reasons import Reason

DEFAULT_NAME = "Dockerfile"
IGNORE_NAME = ".dockerignore"
EPOCH = "SOURCE_DATE_EPOCH"
"""The argument of a build that says what nothing in the image is newer than."""
_LAST_LINES = 3
_LONGEST_LINE = 200
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
            return _read_most(self.dockerfile, lines.LARGEST + 1)
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


def request(source: image.BuildSource, access: hostaccess.HostAccess) -> builds.Request:
    """Read what a declared build is made of.

    Raises ``builds.BuildFailed`` for mistakes in the Dockerfile, ``errors.NotFound`` for one that cannot be read,
    ``errors.InvalidArgument``.
    """
    where = Location(pathlib.Path(source.dockerfile), pathlib.Path(source.context))
    if source.problem:
        raise errors.InvalidArgument(
            f"the context {where.context} {source.problem}", hint="see .dockerignore", reason=Reason.BUILD_FAILED
        )
    if not where.context.is_dir():
        raise errors.NotFound(
            f"the context {where.context} is no directory",
            hint="create it, or correct context in the manifest",
            reason=Reason.CONTENT_MISSING,
        )
    text = source.inline.encode("utf-8", "surrogateescape") if source.inline else where.read()
    parsed = parse.parse(text)
    if parsed.mistakes:
        raise _failure(parsed.mistakes[0])
    try:
        ignored = where.ignored()
    except ignore.BadPattern as error:
        raise errors.InvalidArgument(f"{where.ignore_file}:{error.line}: {error.message}") from error
    arguments = dict(source.args)
    try:
        latest = epoch(arguments.pop(EPOCH, ""))
    except ValueError as error:
        raise errors.InvalidArgument(str(error), hint="give seconds since 1970") from error
    return builds.Request(
        dockerfile=parsed.dockerfile,
        source=text,
        context=builds.Context(where.context, ignored),
        file=None if source.inline else where.dockerfile,
        target=source.target,
        platform=source.platform,
        build_args=tuple(arguments.items()),
        labels=source.labels,
        pulls=source.pulls,
        network=source.network,
        registries=access.registries,
        fetches=access.fetches,
        epoch=latest,
    )


@contextlib.contextmanager
def placed(source: image.BuildSource) -> Iterator[None]:
    """Name the Dockerfile in failures of a declared build, and show what the step that failed has printed last."""
    try:
        yield
    except builds.BuildFailed as error:
        file = "dockerfileInline" if source.inline else source.dockerfile
        last = " | ".join(line.strip()[:_LONGEST_LINE] for line in error.output[-_LAST_LINES:] if line.strip())
        error.message = f"{file}:{error.position[0]}: {error.what}{last and f'; it printed last: {last}'}"
        raise
    except errors.InvalidArgument as error:
        if error.reason is Reason.BUILD_FAILED:
            error.message = f"{'dockerfileInline' if source.inline else source.dockerfile}: {error.message}"
        raise


def _failure(wrong: mistake.Mistake) -> builds.BuildFailed:
    return builds.BuildFailed(wrong.position, wrong.message, wrong.hint)


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
