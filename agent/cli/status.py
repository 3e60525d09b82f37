"""``status``: the running agent, its source and every object; without an agent, the state of the host."""

import dataclasses
from typing import Annotated, assert_never

import click

from agent import invocation, settings
from agent.agent_api import client, status_client
from agent.agent_api import status as statuses
from agent.cli import completion, exits, flags, options, terminal, typed


@options.with_settings()
def status(
    chosen: settings.Settings,
    invoked: invocation.Invocation,
    names: Annotated[
        list[str] | None,
        typed.Argument(
            metavar="[NAME]...",
            help="Only these objects: NAME or KIND/NAME.",
            callback=flags.not_blank,
            completion=completion.objects,
        ),
    ] = None,
    output: options.TableOutputOption = options.TableOutput.TEXT,
    watch: options.WatchOption = False,
) -> None:
    """Print whether an agent runs, how its source, the host and every object are. Exits with 1 where it is not well.

    With --output wide, containers have their instances (ready and declared), image, ports and addresses. The age is the
    object's own where its runtime says when it was created, and else that of its readiness.
    """
    from agent.engine import layout, stamps

    stamps.check(layout.of(chosen.root, chosen.run))
    answer = read_status(chosen)
    if names:
        _check_names(answer, names)
        answer = _only(answer, names)
    if watch:
        from agent.cli import status_watch

        first = iter([answer])
        status_watch.watch(lambda: next(first, None) or _only(read_status(chosen), names or []), output, invoked)
    _print(answer, output, invoked)
    raise click.exceptions.Exit(exits.DONE if answer.is_well else exits.FAILED)


def _print(answer: statuses.Status, output: options.TableOutput, invoked: invocation.Invocation) -> None:
    from agent.agent_api import status_json
    from agent.cli import status_view

    match output:
        case options.TableOutput.TEXT | options.TableOutput.WIDE:
            status_view.show(answer, invoked, is_wide=output is options.TableOutput.WIDE)
        case options.TableOutput.NAME:
            for item in answer.objects:
                terminal.result(terminal.printable(str(item.key)))
        case options.TableOutput.JSON | options.TableOutput.YAML:
            terminal.result_document(status_json.document(answer), output)
        case _:
            assert_never(output)


def _check_names(answer: statuses.Status, names: list[str]) -> None:
    """Raise ``names.UnknownObject`` for a name that no object has."""
    from agent.agent_api import names as spelling

    for name in names:
        if not any(spelling.is_named(item.key, name) for item in answer.objects):
            raise spelling.unknown(name, spelling.nearest(name, [item.key for item in answer.objects]))


def _only(answer: statuses.Status, names: list[str]) -> statuses.Status:
    """Return the status with the named objects alone; without names, all of it."""
    from agent.agent_api import names as spelling

    named = (item for item in answer.objects if any(spelling.is_named(item.key, name) for name in names))
    return dataclasses.replace(answer, objects=tuple(named)) if names else answer


def read_status(chosen: settings.Settings) -> statuses.Status:
    """Return the agent's answer, or the state of the host if there is none."""
    try:
        return status_client.read(chosen.run)
    except client.NoAgent:
        return _status_of_host(chosen, "")
    except client.Unresponsive as error:
        return _status_of_host(chosen, error.message)


def _status_of_host(chosen: settings.Settings, unresponsive: str) -> statuses.Status:
    import asyncio

    from agent import host_status
    from agent.engine import claims, layout

    holder = claims.holder(layout.of(chosen.root, chosen.run))
    if unresponsive:
        who = "" if holder is None else f" (process {holder})"
        state, reason = statuses.AgentState.UNRESPONSIVE, statuses.TroubleReason.AGENT_UNRESPONSIVE
        message = f"the agent{who} hangs: {unresponsive}"
    elif holder is not None:
        state, reason = statuses.AgentState.BUSY, statuses.TroubleReason.AGENT_BUSY
        message = f"process {holder} is at work here and answers no questions: a command, or an agent that is starting"
    else:
        state, reason = statuses.AgentState.ABSENT, statuses.TroubleReason.AGENT_ABSENT
        message = "no agent is running: nothing keeps this so"
    agent = statuses.AgentStatus(state, holder)
    return asyncio.run(host_status.read_status(chosen, agent, statuses.Trouble(reason, message)))
