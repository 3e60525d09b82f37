"""``logs`` and ``exec``: into one container, beside a running agent."""

import asyncio
import sys
import time
from typing import Annotated

import typer

from agent import errors, settings
from agent.cli import completion, durations, options, terminal
from agent.runtime import api

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The container's name.", autocompletion=completion.containers)
]


@options.with_settings()
def logs(
    chosen: settings.Settings,
    name: NameArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the container ends.")] = False,
    tail: Annotated[int | None, typer.Option("--tail", "-n", min=0, help="Only the last so many lines.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="10m", help="Only lines that are not older, as 10m or 1h30m.")
    ] = None,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Print what a container wrote: its stdout to stdout, its stderr to stderr."""
    start = None if since is None else time.time() - durations.seconds(since, "--since")
    asyncio.run(_print_logs(chosen, name, api.LogRequest(follow=follow, tail=tail, since=start), output))


@options.with_settings()
def execute(
    chosen: settings.Settings,
    name: NameArgument,
    command: Annotated[list[str], typer.Argument(metavar="CMD...", help="The program and its arguments.")],
    interactive: Annotated[bool, typer.Option("--interactive", "-i", help="Send stdin to it.")] = False,
    tty: Annotated[bool, typer.Option("--tty", "-t", help="Give it a terminal.")] = False,
    user: Annotated[str, typer.Option("--user", "-u", help="user[:group], by name or number.")] = "",
) -> None:
    """Run a command in a running container, and exit with its exit code."""
    from agent.cli import interactive as session

    if tty and not sys.stdin.isatty():
        raise errors.TrimtabError("stdin is not a terminal", hint="leave out -t")
    rows, columns = session.window_size()
    request = api.ExecRequest(tuple(command), tty=tty, stdin=interactive, user=user, rows=rows, columns=columns)
    raise typer.Exit(asyncio.run(_execute(chosen, name, request)))


async def _print_logs(chosen: settings.Settings, name: str, request: api.LogRequest, output: options.Output) -> None:
    from agent import app

    async with app.open_runtime(chosen, exclusive=False) as runtime:
        async for line in runtime.containers.logs(name, request):
            if output is options.Output.JSON:
                terminal.result_line({"time": line.time, "stream": line.stream, "text": line.text})
            elif line.stream == "stderr":
                terminal.note(line.text)
            else:
                terminal.result(line.text, at_once=request.follow)


async def _execute(chosen: settings.Settings, name: str, request: api.ExecRequest) -> int:
    from agent import app
    from agent.cli import interactive

    async with app.open_runtime(chosen, exclusive=False) as runtime, runtime.containers.exec(name, request) as session:
        return await interactive.attach(session, request)
