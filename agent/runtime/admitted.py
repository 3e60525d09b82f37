"""What a runtime checks where it makes and starts containers: what no text of a manifest can tell."""

import asyncio
import contextlib
import functools
import os
import pathlib
import stat
from collections.abc import AsyncIterator, Iterable

from agent import errors
from agent.kit import lookups, tasks
from agent.model import container, hostaccess, image
from agent.oci import accounts
from agent.reasons import Reason
from agent.runtime import build_files

_HINT = "see ops/docs/admission.md"
_LOOKUPS = lookups.Lookups()
"""Of this process: what does not answer one runtime does not answer another."""


async def check_binds(access: hostaccess.HostAccess, mounts: Iterable[container.Mount]) -> None:
    """Raise ``errors.InvalidArgument`` (``BindNotAdmitted``) for a bind that leads out of what may be bound.

    Symlinks are followed on both sides, as the mount will follow them. Raises ``errors.Unavailable`` where a file
    system does not answer.
    """
    sources = _bind_sources(mounts)
    if access.roots is not None and sources:
        await _await_answers("bind source", (*sources, *access.roots), Reason.MOUNT_SOURCE_MISSING)
        await asyncio.to_thread(_check_sources, access.roots, sources)


@contextlib.asynccontextmanager
async def held_binds(
    access: hostaccess.HostAccess, mounts: Iterable[container.Mount]
) -> AsyncIterator[dict[str, tuple[int, int] | None] | None]:
    """Return device and inode of each source that is bound, after ``check_binds``; ``None``: anything may be bound.

    A source that is not there has none. They are held open meanwhile, so that nothing else gets the same inode: whoever
    mounts by name can compare with these what was mounted.
    """
    roots, sources = access.roots, _bind_sources(mounts)
    if roots is None or not sources:
        yield None if roots is None else {}
        return
    await _await_answers("bind source", (*sources, *roots), Reason.MOUNT_SOURCE_MISSING)
    with contextlib.ExitStack() as held:

        def identities() -> dict[str, tuple[int, int] | None]:
            _check_sources(roots, sources)
            return {source: _identity(source, roots, held) for source in sources}

        yield await tasks.in_thread(identities)


async def _await_answers(what: str, paths: Iterable[str], reason: Reason) -> None:
    """Look at each path where a look that hangs holds up nothing else. Raises ``errors.Unavailable`` for that."""
    for path in paths:
        try:
            await _LOOKUPS.look(path, functools.partial(_look_at, path))
        except TimeoutError as error:
            raise lookups.unanswered(what, path, reason) from error


def _look_at(path: str) -> None:
    with contextlib.suppress(OSError):  # what is missing or may not be read has answered
        pathlib.Path(path).stat()


def _bind_sources(mounts: Iterable[container.Mount]) -> list[str]:
    return [mount.source for mount in mounts if isinstance(mount, container.BindMount)]


def _check_sources(roots: tuple[str, ...], sources: list[str]) -> None:
    real_roots = [os.path.realpath(root) for root in roots]
    for source in sources:
        target = os.path.realpath(source)
        if not hostaccess.is_below(target, real_roots):
            raise _refused_bind(source, target)


def _identity(source: str, roots: Iterable[str], held: contextlib.ExitStack) -> tuple[int, int] | None:
    """Open a source from its root down, step by step and through no symlink: none may come since it was looked up."""
    target = os.path.realpath(source)
    real_roots = [root for root in map(os.path.realpath, roots) if hostaccess.is_below(target, (root,))]
    if not real_roots:
        raise _refused_bind(source, target)
    root = min(real_roots, key=len)
    steps = [step for step in os.path.relpath(target, root).split("/") if step != "."]
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(root, flags)
        held.callback(os.close, descriptor)
        for step in steps:
            descriptor = os.open(step, flags, dir_fd=descriptor)
            held.callback(os.close, descriptor)
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise _refused_bind(source, target) from None
    status = os.fstat(descriptor)
    if stat.S_ISLNK(status.st_mode):
        raise _refused_bind(source, target)
    return status.st_dev, status.st_ino


def _refused_bind(source: str, target: str) -> errors.InvalidArgument:
    leads = "" if source == target else f", which leads to {target}"
    return errors.InvalidArgument(
        f"a bind of {source}{leads} is not admitted for this source", hint=_HINT, reason=Reason.BIND_NOT_ADMITTED
    )


async def check_archive(access: hostaccess.HostAccess, path: str) -> None:
    """Raise ``errors.InvalidArgument`` (``ArchiveNotAdmitted``) for an image archive outside of what may be bound.

    Symlinks are followed on both sides, as opening it will follow them. Raises ``errors.Unavailable`` where a file
    system does not answer.
    """
    await _check_inside(access, "image archive", path, Reason.ARCHIVE_NOT_FOUND, Reason.ARCHIVE_NOT_ADMITTED)


async def check_build(access: hostaccess.HostAccess, source: image.BuildSource) -> None:
    """Raise as ``check_archive`` (``BuildNotAdmitted``) for a context or Dockerfile outside of what may be bound."""
    place = build_files.Location(pathlib.Path(source.dockerfile), pathlib.Path(source.context))
    places = [("build context", source.context), *([] if source.inline else [("Dockerfile", source.dockerfile)])]
    places += [("file of what is left out", str(path)) for path in place.ignore_files]
    for what, path in places:
        await _check_inside(access, what, path, Reason.CONTENT_MISSING, Reason.BUILD_NOT_ADMITTED)


async def _check_inside(
    access: hostaccess.HostAccess, what: str, path: str, unanswered: Reason, refused: Reason
) -> None:
    roots = access.roots
    if roots is None:
        return
    await _await_answers(what, (path, *roots), unanswered)
    target, *real_roots = await asyncio.to_thread(lambda: [os.path.realpath(candidate) for candidate in (path, *roots)])
    if not hostaccess.is_below(target, real_roots):
        leads = "" if path == target else f", which leads to {target}"
        raise errors.InvalidArgument(
            f"the {what} {path}{leads} is not admitted for this source", hint=_HINT, reason=refused
        )


def check_user(access: hostaccess.HostAccess, user: str, image_user: str) -> None:
    """Raise ``errors.InvalidArgument`` (``RunsAsRoot``) where a container would, or might, run as root."""
    if not access.refuses_root:
        return
    problem = accounts.root_problem(user or image_user)
    if problem:
        whose = "its user" if user else "its image's user"
        raise errors.InvalidArgument(
            f"{whose} {problem}: not admitted for this source",
            hint="set security.user to a number that is not 0",
            reason=Reason.RUNS_AS_ROOT,
        )
