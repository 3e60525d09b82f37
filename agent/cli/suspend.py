"""``suspend`` and ``resume``: the running agent is asked; where none runs, its journal is written."""

from collections.abc import Iterator
from typing import Annotated

import click

from agent import invocation, settings
from agent.agent_api import suspension
from agent.cli import asking, completion, flags, options, terminal, typed
from agent.model import suspension as suspensions

_TIMEOUT = 30.0
"""Seconds for the agent's answer, which comes after its next pass."""
NamesArgument = Annotated[
    list[str] | None,
    typed.Argument(
        metavar="[NAME]...", help="NAME or KIND/NAME.", callback=flags.not_blank, completion=completion.objects
    ),
]
AllOption = Annotated[bool, typed.Option("--all", help="The source, with all that it declares.")]


@options.with_settings()
def suspend(
    chosen: settings.Settings,
    invoked: invocation.Invocation,
    names: NamesArgument = None,
    everything: AllOption = False,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Let objects, or all that the source declares, be as they are until they are resumed.

    They are observed and probed, but neither changed, started again nor removed, also over restarts of the agent.
    """
    _show(_answer(chosen, _chosen_names(names, everything, "suspend"), is_suspended=True), "suspended", output, invoked)


@options.with_settings()
def resume(
    chosen: settings.Settings,
    invoked: invocation.Invocation,
    names: NamesArgument = None,
    everything: AllOption = False,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Let the agent keep objects, or the source, as declared again."""
    _show(_answer(chosen, _chosen_names(names, everything, "resume"), is_suspended=False), "resumed", output, invoked)


def _chosen_names(names: list[str] | None, everything: bool, verb: str) -> list[str]:
    """Return the names; none mean the source. Raises ``click.BadParameter``: an empty variable must not mean it."""
    if everything and names:
        raise click.BadParameter("--all goes without names")
    if not everything and not names:
        raise click.BadParameter(f"name what to {verb}, or give --all for the source with all that it declares")
    return names or []


def _answer(chosen: settings.Settings, names: list[str], *, is_suspended: bool) -> suspension.Answer:
    path = "/v1/suspend" if is_suspended else "/v1/resume"
    answer = asking.request(chosen, path, {"name": names}, _TIMEOUT, suspension.restore)
    if answer is not None:
        return answer
    import asyncio

    from agent import app

    return asyncio.run(app.set_suspended(chosen, tuple(names), is_suspended=is_suspended))


def _show(answer: suspension.Answer, word: str, output: options.Output, invoked: invocation.Invocation) -> None:
    if output is not options.Output.TEXT:
        terminal.result_document(suspension.document(answer), output)
        return
    for subject in answer.requested:
        terminal.result(f"{subject} {word}" if subject in answer.changed else f"{subject} unchanged: {word} already")
    for line in notes(answer, word):
        terminal.note(terminal.printable(invoked.completed(line)))


def notes(answer: suspension.Answer, word: str) -> Iterator[str]:
    """Yield what is to be known beside: what is still under way, and what is still suspended of what was resumed."""
    if word == "suspended":
        yield from (f"{subject}: what is under way ends first" for subject in answer.under_way)
        return
    if answer.suspensions.source is not None:
        yield "the source is still suspended, with all that it declares: trimtab resume --all"
    elif suspensions.SOURCE in answer.requested:
        yield from (f"{item.key} is still suspended: trimtab resume {item.key}" for item in answer.suspensions.objects)
