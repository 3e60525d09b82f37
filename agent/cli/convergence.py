"""Converging once with progress on stderr, and telling what became of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import typer

from agent.cli import exits, options, progress, terminal
from agent.converge import once, report, signals
from agent.model import conditions

_RETAINED = "Retained"
"""The reason of a volume that stays: people want to know that it does."""


def converge(work: Callable[[signals.Sink], Awaitable[once.Converged]], output: options.Output, done: str) -> NoReturn:
    """Do it with progress on stderr, print what became of it, and exit."""

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
