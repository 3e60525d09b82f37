"""Convergence for ``apply`` and ``delete``: progress on stderr, then the outcome."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import NoReturn

import click

from agent import app, invocation, settings
from agent.agent_api import application, client, location, past
from agent.cli import asking, exits, options, progress, terminal
from agent.converge import once, report, signals
from agent.kit import counts, frozen
from agent.model import conditions
from agent.reasons import Reason

_SLACK = 90.0
"""Seconds that an agent's answer may take beyond the deadline: a source may have to come to rest before."""
_KEPT = "what runs is left as it is. To remove it: trimtab delete MANIFESTS, with those that declared it"


@frozen.value
class Ending:
    """How the outcome is printed."""

    output: options.Output
    done: str
    """The word for success: ``applied`` or ``deleted``."""
    invoked: invocation.Invocation


def apply(chosen: settings.Settings, source: str, ending: Ending) -> NoReturn:
    """Bring about what a SOURCE declares: by the agent that does so where one runs; exit with the outcome's code."""
    answer = _asked(chosen, source)
    if answer is None:
        converge(lambda sink: app.apply(chosen, source, sink), ending)
    show_events(answer.events)
    if not answer.events and answer.applied_at is not None:  # it was quicker than whoever asks
        ago = terminal.age(time.time() - answer.applied_at)
        note = f"the agent has brought about {answer.converged.revision} {ago} ago: trimtab events says what was done"
        terminal.note(terminal.printable(ending.invoked.completed(note)))
    conclude(answer.converged, ending, acted=bool(answer.events))


def show_events(events: Iterable[past.Event]) -> None:
    """Print what an agent has done meanwhile, as the progress of who does it."""
    for event in events:
        name, result = f"{event.action} {event.object}", signals.Result(event.result)
        line, style = progress.finished_line(name, result, event.duration)
        terminal.note(terminal.style(terminal.printable(line), style, sys.stderr))


def _asked(chosen: settings.Settings, source: str) -> application.Answer | None:
    """Return the answer of the agent that runs; ``None`` where none does.

    Raises ``client.Refused``, also where it brings about another source, and ``reading.BadManifests``.
    """
    query = {"source": location.identity(source), "timeout": int(once.DEADLINE)}
    try:
        return asking.request(chosen, "/v1/apply", query, once.DEADLINE + _SLACK, application.restore)
    except client.MayNotAsk:  # who may not ask may not do it alone either, and is told so then
        return None
    except client.ManifestsRejected:
        asyncio.run(app.read(chosen, source)).checked()  # what is read here can be shown with its lines
        raise


def converge(work: Callable[[signals.Sink], Awaitable[once.Converged]], ending: Ending) -> NoReturn:
    """Run ``work`` with progress on stderr, print the outcome, and exit with its code."""

    async def run() -> once.Converged:
        return await work(sink)

    with progress.ConvergenceProgress(ending.invoked) as sink:
        converged = asyncio.run(run())
    conclude(converged, ending, acted=sink.has_finished)


def conclude(converged: once.Converged, ending: Ending, *, acted: bool) -> NoReturn:
    """Print the outcome, and exit with its code; ``acted``: something was done for it."""
    if converged.declares_nothing:
        nothing_declared(ending.invoked, anything=bool(converged.statuses))
    if ending.output is not options.Output.TEXT:
        terminal.result_document(application.outcome(converged), ending.output)
    else:
        _print(converged, ending, acted=acted)
    raise click.exceptions.Exit(exits.DONE if converged.outcome is once.Outcome.APPLIED else exits.FAILED)


def nothing_declared(invoked: invocation.Invocation, *, anything: bool) -> None:
    """Print what an empty source means; ``anything``: objects of ours exist."""
    terminal.note("SOURCE declares nothing" + (f"; {invoked.completed(_KEPT)}" if anything else ""))


def _print(converged: once.Converged, ending: Ending, *, acted: bool) -> None:
    for status in converged.statuses:
        ready = report.condition(status, conditions.ConditionType.READY)
        if ready.reason == Reason.RETAINED:
            message = ending.invoked.completed(ready.message)
            terminal.note(terminal.printable(f"{status.key}: {ready.reason}: {message}"))
    for unfinished in converged.unfinished:
        message = ending.invoked.completed(unfinished.message)
        terminal.note(terminal.printable(f"{unfinished.key}: {unfinished.reason}: {message}"))
    if converged.timed_out:
        terminal.note("the time for it is over; what is under way was cut off")
    if converged.outcome is once.Outcome.APPLIED:
        terminal.result(_success(converged, ending, acted=acted))
    else:
        short, whole = len(converged.unfinished), counts.counted(len(converged.statuses), "object")
        verb = "is not as it" if short == 1 else "are not as they"
        terminal.result(f"not {ending.done}: {short} of {whole} {verb} should be")


def _success(converged: once.Converged, ending: Ending, *, acted: bool) -> str:
    if converged.nothing_here:
        return f"nothing to be {ending.done}: none of it is here"
    return ending.done if acted else "nothing to change"
