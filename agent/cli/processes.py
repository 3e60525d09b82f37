"""``top`` and ``wait``: what runs in a container, and how it ends, beside a running agent."""

from typing import Annotated

from agent import errors, settings
from agent.cli import completion, flags, options, terminal, typed
from agent.cli.containers import NameArgument
from agent.runtime import processes


@options.with_settings()
def top(chosen: settings.Settings, name: NameArgument, output: options.OutputOption = options.Output.TEXT) -> None:
    """Print the processes of a running container, with their pids on its host.

    PARENT is 0 where a process was started from outside of the container; UID is the host's number; CPU is user and
    system time so far.
    """
    import asyncio

    from agent import streams as opening

    listed = asyncio.run(opening.top(chosen, name))
    if output is not options.Output.TEXT:
        terminal.result_document([_document(process) for process in listed], output)
        return
    terminal.table(("PID", "PARENT", "UID", "CPU", "MEMORY", "COMMAND"), map(_row, listed))


@options.with_settings()
def wait(
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
) -> None:
    """Wait until the present runs of containers have ended, and print each one's exit code on a line.

    One that has ended answers at once, and it makes no difference whether it is started again meanwhile. The command
    itself exits with 0, as docker wait does: 128 + signal is printed where a container was killed by one.
    """
    import asyncio

    from agent import streams as opening
    from agent.kit import tasks

    async def waiting() -> list[int | None]:
        return await tasks.together("wait", *(opening.exit_code(chosen, name) for name in names))

    codes = asyncio.run(waiting())
    for code in codes:
        terminal.result("unknown" if code is None else str(code))
    unseen = [name for name, code in zip(names, codes, strict=True) if code is None]
    if unseen:
        message = f"nobody saw how {', '.join(unseen)} ended: the host was restarted, or the monitor was killed"
        raise errors.TrimtabError(message, hint=f"trimtab describe {unseen[0]}")


def _row(process: processes.ContainerProcess) -> tuple[str, ...]:
    numbers = (str(process.pid), str(process.parent), str(process.uid))
    return (*numbers, f"{process.cpu_seconds:.2f}s", terminal.size(process.rss), process.command)


def _document(process: processes.ContainerProcess) -> dict[str, object]:
    return {
        "pid": process.pid,
        "parent": process.parent,
        "uid": process.uid,
        "cpuSeconds": process.cpu_seconds,
        "rss": process.rss,
        "command": process.command,
    }
