"""``restart``: the running agent is asked; where none runs, the container is restarted as it was declared last."""

import math
from collections.abc import Iterator
from typing import Annotated

import click

from agent import invocation, settings
from agent.agent_api import restart as answers
from agent.cli import asking, completion, durations, exits, flags, options, terminal, typed

_SLACK = 5.0
"""Seconds that the answer may take beyond the restart itself."""


@options.with_settings()
def restart(
    chosen: settings.Settings,
    invoked: invocation.Invocation,
    names: Annotated[
        list[str],
        typed.Argument(
            metavar="NAME...",
            help="The containers' names.",
            callback=flags.not_blank,
            completion=completion.containers,
        ),
    ],
    timeout: Annotated[
        str, typed.Option("--timeout", metavar="DURATION", help="How long to wait for it, as 30s or 2m.")
    ] = "1m",
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Stop containers as they are declared to be stopped, and start them again; one that does not run is started.

    Exits with 1 where one was not restarted.
    """
    seconds = durations.positive_seconds(timeout, "--timeout")
    answer = _answer(chosen, names, seconds, invoked)
    if output is not options.Output.TEXT:
        terminal.result_document(answers.document(answer), output)
    else:
        for line in lines(answer):
            terminal.result(terminal.printable(invoked.completed(line)))
    raise click.exceptions.Exit(exits.DONE if answers.is_done(answer) else exits.FAILED)


def lines(answer: answers.Answer) -> Iterator[str]:
    """Yield a line for each container."""
    for item in answer:
        match item.result:
            case answers.Result.RESTARTED:
                yield f"{item.object} restarted"
            case answers.Result.UNDER_WAY:
                yield f"{item.object} is still being restarted"
            case answers.Result.WAITING:
                yield f"{item.object} was not restarted, it waits: {item.message}"
            case answers.Result.FAILED:
                yield f"{item.object} was not restarted: {item.message}"


def _answer(
    chosen: settings.Settings, names: list[str], seconds: float, invoked: invocation.Invocation
) -> answers.Answer:
    query = {"name": names, "timeout": math.ceil(seconds)}
    answer = asking.request(chosen, "/v1/restart", query, seconds + _SLACK, answers.restore)
    if answer is not None:
        return answer
    import asyncio

    from agent import app
    from agent.cli import progress

    with progress.ConvergenceProgress(invoked) as sink:
        return asyncio.run(app.restart(chosen, tuple(names), seconds, sink))
