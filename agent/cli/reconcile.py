"""``reconcile``: the running agent looks at its source and its runtime now, as by SIGHUP, and says what it does."""

import math
from collections.abc import Iterator
from typing import Annotated

import click

from agent import errors, invocation, settings
from agent.agent_api import client, reconciliation, status
from agent.cli import durations, exits, options, terminal, typed
from agent.kit import counts


@options.with_settings()
def reconcile(
    chosen: settings.Settings,
    invoked: invocation.Invocation,
    timeout: Annotated[
        str, typed.Option("--timeout", metavar="DURATION", help="How long to wait for it, as 30s or 2m.")
    ] = "30s",
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Let the running agent look at its source and its runtime now, and print what it has begun to do.

    Exits with 1 where the source or the runtime could not be looked at.
    """
    from agent.engine import layout, stamps

    stamps.check(layout.of(chosen.root, chosen.run))
    seconds = durations.positive_seconds(timeout, "--timeout")
    answer = _ask(chosen, seconds)
    if output is not options.Output.TEXT:
        terminal.result_document(reconciliation.document(answer), output)
    else:
        for line in lines(answer):
            terminal.result(terminal.printable(invoked.completed(line)))
    raise click.exceptions.Exit(exits.DONE if answer.is_well else exits.FAILED)


def lines(answer: reconciliation.Reconciliation) -> Iterator[str]:
    """Yield the lines of an answer: the source, each action, what waits, and a summary."""
    yield from _source(answer)
    if answer.error:
        yield f"the runtime cannot be looked at: {answer.error}"
        return
    for step in answer.steps:
        yield f"{step.object}: {step.action} ({step.reason}: {step.message})"
    for item in answer.waiting:
        yield f"{item.object} waits: {item.message} ({item.reason})"
    if answer.steps or answer.under_way:
        begun, busy = counts.counted(len(answer.steps), "action"), counts.counted(len(answer.under_way), "object")
        yield f"{begun} begun, {busy} being worked on"
    elif not answer.waiting:
        yield "nothing to change"


def _source(answer: reconciliation.Reconciliation) -> Iterator[str]:
    stands = f"revision {answer.revision} stands" if answer.revision else "nothing stands"
    match answer.look:
        case status.LookResult.GOOD:
            yield f"the source was read: {stands}"
        case status.LookResult.REJECTED:
            yield f"the manifests have problems: {stands}"
            yield from (f"problem {problem}" for problem in answer.problems)
        case status.LookResult.FAILED | status.LookResult.NEVER | status.LookResult.UNKNOWN:
            yield f"the source cannot be read: {stands}: {answer.message}"


def _ask(chosen: settings.Settings, seconds: float) -> reconciliation.Reconciliation:
    """Return the agent's answer. Raises ``TrimtabError`` where there is none."""
    try:
        return reconciliation.restore(
            client.post(chosen.run, "/v1/reconcile", {"timeout": math.ceil(seconds)}, seconds)
        )
    except client.NoAgent as error:
        hint = "start one with trimtab run SOURCE, or apply once with trimtab apply SOURCE"
        raise errors.TrimtabError("no agent is running that could be asked", hint=hint) from error
    except (client.Unresponsive, ValueError) as error:
        message = f"the agent has made no pass that is known of: {error}"
        raise errors.TrimtabError(
            message, hint="trimtab status says how it is; give it longer with --timeout"
        ) from error
