"""A declared build: what is asked of a builder for it, and how its failures are told. Reading blocks."""

import contextlib
import pathlib
from collections.abc import Iterator

from agent import errors
from agent.dockerfile import builds, caches, checks, ignore, mistake, parse
from agent.model import hostaccess, image
from agent.reasons import Reason
from agent.runtime import build_files

_LAST_LINES = 3
_LONGEST_LINE = 200


def request(source: image.BuildSource, access: hostaccess.HostAccess) -> builds.Request:
    """Read what a declared build is made of.

    Raises ``builds.BuildFailed`` for mistakes in the Dockerfile, ``errors.NotFound`` for one that cannot be read,
    ``errors.InvalidArgument``.
    """
    where = build_files.Location(pathlib.Path(source.dockerfile), pathlib.Path(source.context))
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
    if wrong := checks.refusals(parsed):
        raise _failure(wrong[0])
    try:
        ignored = where.ignored()
    except ignore.BadPattern as error:
        raise errors.InvalidArgument(f"{where.ignore_file}:{error.line}: {error.message}") from error
    arguments = dict(source.args)
    try:
        latest = build_files.epoch(arguments.pop(build_files.EPOCH, ""))
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
        cache_from=tuple(map(caches.source, source.cache_from)),
        cache_to=tuple(map(caches.target, source.cache_to)),
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
