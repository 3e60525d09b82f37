"""``logs`` and ``exec``: one container's output and shell, beside a running agent."""

import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any

import click

from agent import errors, settings
from agent import streams as opening
from agent.cli import completion, durations, flags, options, terminal, typed
from agent.kit import turns
from agent.reasons import Reason
from agent.runtime import streams

_NOT_RUN = {Reason.COMMAND_NOT_FOUND: 127, Reason.EXEC_FAILED: 126}
"""Exit codes of shells, and of docker, for a command that is not there and for one that cannot be run."""
NameArgument = Annotated[
    str,
    typed.Argument(
        metavar="NAME", help="The container's name.", callback=flags.not_blank, completion=completion.containers
    ),
]


@options.with_settings()
def logs(  # noqa: PLR0913, PLR0917 - a command's flags
    chosen: settings.Settings,
    names: Annotated[
        list[str],
        typed.Argument(
            metavar="NAME...",
            help="The containers' names.",
            callback=flags.not_blank,
            completion=completion.containers,
        ),
    ],
    follow: Annotated[
        bool, typed.Option("--follow", "-f", help="Go on until the container ends and is not started again.")
    ] = False,
    tail: Annotated[int | None, typed.Option("--tail", "-n", min=0, help="Only the last so many lines.")] = None,
    since: Annotated[
        str | None,
        typed.Option("--since", metavar="TIME", help="Only lines since 10m or 1h30m ago, or 2026-01-31T10:00:00Z."),
    ] = None,
    timestamps: Annotated[bool, typed.Option("--timestamps", "-t", help="Print each line's time, in UTC.")] = False,
    output: options.LineOutputOption = options.LineOutput.TEXT,
) -> None:
    """Print what containers wrote: their stdout to stdout, their stderr to stderr.

    Of several containers each line stands behind its container's name. With --follow it goes on over restarts and
    replacements while an agent runs, and ends where the container is not started again. A file or pipe gets the very
    bytes; on a terminal colours pass, and other control characters are shown escaped.
    """
    start = None if since is None else durations.moment(since, "--since", time.time())
    width = max(map(len, names)) if len(names) > 1 else 0
    from agent.cli import log_output

    printer: log_output.Printer = log_output.LogPrinter(at_once=follow, form=log_output.LineFormat(width, timestamps))
    if output is options.LineOutput.JSON:
        printer = log_output.JsonPrinter()
    request = streams.LogRequest(follow=follow, tail=tail, since=start)
    _run(_print_logs(chosen, names, request, printer.print), is_direct=not follow and opening.has_records(chosen))


def _run(work: Coroutine[Any, Any, None], *, is_direct: bool) -> None:
    """Run a command; ``is_direct``: it only reads files, and needs no event loop, which takes as long to import."""
    if is_direct:
        turns.run(work)
        return
    import asyncio

    asyncio.run(work)


@options.with_settings()
def execute(  # noqa: PLR0913, PLR0917 - a command's flags
    chosen: settings.Settings,
    name: NameArgument,
    command: Annotated[list[str], typed.Argument(metavar="CMD...", help="The program and its arguments.")],
    interactive: Annotated[bool, typed.Option("--interactive", "-i", help="Send stdin to it.")] = False,
    tty: Annotated[bool, typed.Option("--tty", "-t", help="Give it a terminal.")] = False,
    user: Annotated[str, typed.Option("--user", "-u", metavar="USER", help="user[:group], by name or number.")] = "",
    env: Annotated[
        list[str] | None, typed.Option("--env", "-e", metavar="NAME=VALUE", help="A variable for it; may be repeated.")
    ] = None,
    working_dir: Annotated[
        str, typed.Option("--workdir", "-w", metavar="DIR", help="Where it starts; else as the container.")
    ] = "",
) -> None:
    """Run a command in a running container, and exit with its code: 127 if it is not found, 126 if not executable.

    With --env NAME alone, the variable is handed on as it is here. With --tty, the command gets a terminal of this
    one's size (crun sets it beside the program's start: one that asks at once may see none, and is told by SIGWINCH).
    """
    import asyncio

    from agent.cli import interactive as session

    if tty and not sys.stdin.isatty():
        raise errors.TrimtabError("stdin is not a terminal", hint="leave out -t")
    rows, columns = session.window_size()
    request = streams.ExecRequest(
        _program(command),
        tty=tty,
        stdin=interactive,
        user=user,
        working_dir=_absolute(working_dir),
        env=tuple(_variable(text) for text in env or ()),
        rows=rows,
        columns=columns,
    )
    try:
        code = asyncio.run(_execute(chosen, name, request))
    except errors.InvalidArgument as error:
        if error.reason not in _NOT_RUN:
            raise
        terminal.failure(error)
        code = _NOT_RUN[error.reason]
    raise click.exceptions.Exit(code)


def _program(words: list[str]) -> tuple[str, ...]:
    """Return the program and its arguments, without the ``--`` that docker and kubectl let stand before them."""
    program = tuple(words[1:] if words[0] == "--" else words)
    if not program:
        raise click.BadParameter("there is no program behind --")
    return program


def _variable(text: str) -> tuple[str, str]:
    """Return a variable; a bare name has the value that it has here, as in docker."""
    name, equals, value = text.partition("=")
    if not name:
        raise click.BadParameter(f"--env: {text!r} is not NAME=VALUE")
    if not equals and name not in os.environ:
        raise click.BadParameter(f"--env: {name} has no value, here neither: write {name}=VALUE")
    return name, value if equals else os.environ[name]


def _absolute(path: str) -> str:
    if path and not path.startswith("/"):
        raise click.BadParameter(f"--workdir: {path!r} is not an absolute path")
    return path


async def _print_logs(
    chosen: settings.Settings,
    names: list[str],
    request: streams.LogRequest,
    print_line: Callable[[streams.LogLine, str], None],
) -> None:
    """Print the logs, one behind the other; side by side where they are followed."""

    async def print_log(name: str) -> None:
        async for line in _followed(chosen, name, request) if request.follow else opening.logs(chosen, name, request):
            print_line(line, name)

    if request.follow:
        from agent.kit import tasks

        await tasks.together("logs", *(print_log(name) for name in names))
        return
    for name in names:
        await print_log(name)


def _followed(chosen: settings.Settings, name: str, request: streams.LogRequest) -> AsyncIterator[streams.LogLine]:
    """Return a container's lines, those of its later runs as well."""
    from agent import app
    from agent.cli import log_following
    from agent.engine import claims, layout
    from agent.runtime import api

    where = layout.of(chosen.root, chosen.run)

    def is_kept() -> bool:
        return claims.holder(where) is not None

    def open_runtime() -> contextlib.AbstractAsyncContextManager[api.Runtime]:
        return app.open_runtime(chosen, exclusive=False)

    return log_following.lines(open_runtime, name, request, is_kept)


async def _execute(chosen: settings.Settings, name: str, request: streams.ExecRequest) -> int:
    from agent.cli import interactive

    async with opening.program(chosen, name, request) as session:
        return await interactive.attach(session, request)
