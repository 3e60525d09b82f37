"""``apply`` and ``delete``: converge once and come back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import typer

from agent import settings
from agent.cli import exits, options, terminal
from agent.converge import once, report, signals
from agent.model import conditions

_RETAINED = "Retained"
"""The reason of a volume that stays: people want to know that it does."""


@options.with_settings()
def apply(
    chosen: settings.Settings,
    source: options.SourceArgument,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Converge once and exit: with 0 when all that SOURCE declares is there."""
    from agent import app

    converge(lambda sink: app.apply(chosen, source, sink), output, "applied")


@options.with_settings()
def delete(
    chosen: settings.Settings,
    source: options.SourceArgument,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Remove what SOURCE declares, and nothing else. Volumes stay unless their manifest says deletionPolicy: Delete."""
    from agent import app

    converge(lambda sink: app.delete(chosen, source, sink), output, "deleted")


def converge(work: Callable[[signals.Sink], Awaitable[once.Converged]], output: options.Output, done: str) -> NoReturn:
    """Do it with progress on stderr, print what became of it, and exit."""
    from agent.cli import progress

    async def work_told() -> once.Converged:
        return await work(told)

    with progress.Progress() as told:
        converged = asyncio.run(work_told())
    if output is options.Output.JSON:
        terminal.result_json(converged)
    else:
        _print(converged, done)
    raise typer.Exit(exits.DONE if converged.outcome is once.Outcome.APPLIED else exits.FAILED)


def _print(converged: once.Converged, done: str) -> None:
    unfinished = set(converged.unfinished)
    for status in converged.statuses:
        ready = report.condition(status, conditions.ConditionType.READY)
        if status.key in unfinished or ready.reason == _RETAINED:
            terminal.note(terminal.printable(f"{status.key}: {ready.reason}: {ready.message}"))
    if converged.timed_out:
        terminal.note("the time for it is over; what is under way was cut off")
    if converged.outcome is once.Outcome.APPLIED:
        terminal.result(done)
    else:
        terminal.result(f"not {done}: {len(unfinished)} of {len(converged.statuses)} objects are not as they should be")
