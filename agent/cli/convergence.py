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
_KEPT = "what runs is left as it is. To remove it: trimtab delete, with the manifests that declared it"


def converge(work: Callable[[signals.Sink], Awaitable[once.Converged]], output: options.Output, done: str) -> NoReturn:
    """Do it with progress on stderr, print what became of it, and exit."""

    async def work_told() -> once.Converged:
        return await work(told)

    with progress.Progress() as told:
        converged = asyncio.run(work_told())
    if converged.declares_nothing:
        nothing_declared(anything=bool(converged.statuses))
    if output is options.Output.JSON:
        terminal.result_json(document(converged))
    else:
        _print(converged, done)
    raise typer.Exit(exits.DONE if converged.outcome is once.Outcome.APPLIED else exits.FAILED)


def document(converged: once.Converged) -> dict[str, object]:
    """Give it for programs; stable and documented in ``ops/docs/command-line.md``."""
    return {
        "outcome": converged.outcome,
        "revision": converged.revision,
        "timedOut": converged.timed_out,
        "unfinished": [
            {"object": str(one.key), "reason": one.reason, "message": one.message} for one in converged.unfinished
        ],
        "objects": [
            {"object": str(one.key), "detail": one.detail, "until": one.until, "conditions": one.conditions}
            for one in converged.statuses
        ],
    }


def nothing_declared(*, anything: bool) -> None:
    """Tell people who gave an empty source what that means; ``anything``: something of ours is there."""
    terminal.note("SOURCE declares nothing" + (f"; {_KEPT}" if anything else ""))


def _print(converged: once.Converged, done: str) -> None:
    for status in converged.statuses:
        ready = report.condition(status, conditions.ConditionType.READY)
        if ready.reason == _RETAINED:
            terminal.note(terminal.printable(f"{status.key}: {ready.reason}: {ready.message}"))
    for one in converged.unfinished:
        terminal.note(terminal.printable(f"{one.key}: {one.reason}: {one.message}"))
    if converged.timed_out:
        terminal.note("the time for it is over; what is under way was cut off")
    if converged.outcome is once.Outcome.APPLIED:
        terminal.result(done)
    else:
        left, whole = len(converged.unfinished), len(converged.statuses)
        terminal.result(f"not {done}: {left} of {whole} objects are not as they should be")
