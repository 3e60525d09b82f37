"""``cp``: files out of a container, or into it, beside a running agent."""

import contextlib
import dataclasses
import functools
import posixpath
import re
import shlex
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TextIO

import click

from agent import errors, settings
from agent.cli import host_trees, options, typed
from agent.kit import files, frozen, tasks
from agent.reasons import Reason
from agent.runtime import api

_PATH_OF = re.compile(r"([^/.:][^/:]*):(.*)")
"""``NAME:PATH``; a file of this host that is called so is typed as ``./NAME:PATH``."""
_ARCHIVE = "-"
_NO_DIRECTORY = frozenset({Reason.PATH_NOT_FOUND, Reason.NOT_A_DIRECTORY})


@frozen.value
class _Location:
    """A path in a container."""

    container: str
    path: str


@options.with_settings()
def copy(
    chosen: settings.Settings,
    source: Annotated[str, typed.Argument(metavar="SOURCE", help="NAME:PATH in a container, a file or folder, or -.")],
    target: Annotated[str, typed.Argument(metavar="TARGET", help="The other one of these.")],
) -> None:
    """Copy files and folders: NAME:PATH FILE out of a container, FILE NAME:PATH into it; - is a tar archive.

    What is copied goes into TARGET where that is a folder, else it is called TARGET; of FOLDER/. all that is in it goes
    there. Links of the container lead to where they lead in it, and never out of it; those below PATH are copied as
    links, sockets and devices not at all. What goes in is root's there, and what comes out is the caller's. Volumes are
    reached too; into a stopped native container, only while no agent runs.
    """
    import asyncio

    ends = _location(source), _location(target)
    match ends:
        case _Location() as origin, None:
            goal = None if target == _ARCHIVE else host_trees.target(target)
            if goal is None:
                _check_redirected(sys.stdout, "written to", "- > FILE.tar")
            asyncio.run(_in_runtime(chosen, origin, lambda runtime: _out(runtime, origin, goal)))
        case None, _Location() as destination:
            copied = None if source == _ARCHIVE else host_trees.source(source)
            if copied is None:
                _check_redirected(sys.stdin, "read from", "- < FILE.tar")
            asyncio.run(_in_runtime(chosen, destination, lambda runtime: _into(runtime, copied, destination)))
        case _:
            raise click.BadParameter("one of both is NAME:PATH, the other a file, a folder or -")


def _location(text: str) -> _Location | None:
    """Return what is in a container. Raises ``click.BadParameter`` for a path that is not absolute."""
    parts = _PATH_OF.fullmatch(text)
    if parts is None:
        return None
    if not parts[2].startswith("/"):
        raise click.BadParameter(f"{text!r}: the path in a container begins with /")
    return _Location(parts[1], parts[2])


def _check_redirected(stream: TextIO | None, action: str, example: str) -> None:
    """Raise ``errors.TrimtabError`` for a terminal, and for a stream that is closed."""
    if stream is None or stream.isatty():
        raise errors.TrimtabError(f"an archive is not {action} a terminal", hint=f"redirect it: {example}")


async def _in_runtime(
    chosen: settings.Settings, place: _Location, work: Callable[[api.Runtime], Awaitable[None]]
) -> None:
    """Do it beside whoever keeps the instance; what only that process may do is done here where there is none."""
    from agent import app
    from agent.engine import claims, layout

    try:
        async with app.open_runtime(chosen, exclusive=False) as runtime:
            await work(runtime)
    except errors.NotFound as error:
        if error.reason is Reason.PATH_NOT_FOUND and not error.hint:
            above = posixpath.dirname(posixpath.normpath(place.path))
            error.hint = f"trimtab exec {place.container} ls -la {shlex.quote(above)} shows what is there"
        raise
    except errors.Conflict as error:
        is_kept = claims.holder(layout.of(chosen.root, chosen.run)) is not None
        if error.reason is not Reason.NOT_RUNNING or is_kept:
            raise
    else:
        return
    async with app.open_runtime(chosen, exclusive=True) as runtime:
        await work(runtime)


async def _out(runtime: api.Runtime, origin: _Location, goal: host_trees.Target | None) -> None:
    if goal is not None and not goal.name and origin.path.endswith("/."):
        goal = dataclasses.replace(goal, name=host_trees.CONTENTS)
    async with runtime.containers.copy_out(origin.container, origin.path) as pieces:
        if goal is not None:
            await host_trees.unpack(pieces, goal)
            return
        async for piece in pieces:
            try:
                await tasks.in_thread(functools.partial(files.write_all, sys.stdout.fileno(), piece))
            except BrokenPipeError:
                return
            except OSError as error:
                raise errors.TrimtabError(f"standard output cannot be written: {error.strerror}") from error


async def _into(runtime: api.Runtime, source: host_trees.Source | None, destination: _Location) -> None:
    """Copy what is typed, or the archive on standard input: into the folder that is there, else in its name's place."""
    copy_in = runtime.containers.copy_in
    if source is None:
        await copy_in(destination.container, destination.path, host_trees.standard_input())
        return
    path = destination.path.rstrip("/") or "/" if source.is_folder else destination.path
    folder, _, name = path.rpartition("/")
    try:
        async with contextlib.aclosing(host_trees.packed(source, source.name)) as pieces:
            await copy_in(destination.container, path, pieces)
    except errors.Failure as error:
        if error.reason not in _NO_DIRECTORY or not name:
            raise
        async with contextlib.aclosing(host_trees.packed(source, name)) as pieces:
            await copy_in(destination.container, folder or "/", pieces)
