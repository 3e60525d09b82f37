"""``plan`` and ``observe``: what would change and why, and the observation that the plan is computed from."""

import pathlib
import shlex
import sys
import time
from typing import Annotated

import click

from agent import invocation, settings
from agent.agent_api import client, location, planning
from agent.cli import exits, options, terminal, typed

_TIMEOUT = 30.0
"""Seconds for the agent's answer, which comes after a look at its source and its next pass."""
_STYLES = {
    "create": "green",
    "change": "yellow",
    "replace": "yellow",
    "remove": "red",
    "wait": "cyan",
    "detail": "dim",
    "summary": "bold",
}


@options.with_settings()
def plan(
    chosen: settings.Settings,
    source: options.SourceArgument,
    invoked: invocation.Invocation,
    observed: Annotated[
        pathlib.Path | None, typed.Option("--observed", metavar="FILE", help="Plan over what `observe --json` printed.")
    ] = None,
    explain: Annotated[
        bool, typed.Option("--explain", help="Show each step, and what each object is and awaits.")
    ] = False,
    output: Annotated[
        str,
        typed.Option(
            "--output",
            "-o",
            metavar="text|json|yaml|FILE",
            help="text for people, json or yaml for programs (stable); or a file for apply, whose name has a . or a /.",
        ),
    ] = "text",
) -> None:
    """Print what would change, and why. Exits with 2 where changes are pending, with 0 where there is nothing to do.

    With --output FILE the plan is kept as well: apply FILE brings about just that, or says what has changed since.
    Beside a running agent none is kept: apply SOURCE lets that do it.

    Where an agent brings about SOURCE, it answers, by what it knows: its probes, what is under way, what has failed; a
    git repository as it was fetched last.
    """
    form, file = _destination(output)
    if file is not None:
        answer = _kept(chosen, source, observed, file, explain=explain)
    else:
        asked = _asked(chosen, source, explain=explain) if observed is None else None
        answer = asked or _computed(chosen, source, observed, explain=explain)
    if answer.declares_nothing:
        from agent.cli import convergence

        convergence.nothing_declared(invoked, anything=answer.has_objects)
    if form is not options.Output.TEXT:
        terminal.result_document(answer.plan, form)
    else:
        for line in answer.lines:
            text = terminal.printable(invoked.completed(line.text))
            terminal.result(terminal.style(text, _STYLES.get(line.style, ""), sys.stdout))
    if file is not None:
        terminal.note(terminal.printable(invoked.completed(f"kept: trimtab apply {shlex.quote(str(file))} applies it")))
    raise click.exceptions.Exit(exits.DONE if answer.is_empty else exits.CHANGES_PENDING)


def _destination(output: str) -> tuple[options.Output, pathlib.Path | None]:
    """Return in which form a plan is printed, and the file that it is kept in. Raises ``click.BadParameter``."""
    if output in set(options.Output):
        return options.Output(output), None
    if "." not in output and "/" not in output:
        names = ", ".join(options.Output)
        raise click.BadParameter(f"--output: {output!r} is not one of {names}; the name of a file has a . or a /")
    return options.Output.TEXT, pathlib.Path(output)


def _kept(
    chosen: settings.Settings, source: str, observed: pathlib.Path | None, file: pathlib.Path, *, explain: bool
) -> planning.Answer:
    """Return the plan by what the host has, once it is kept in a file. Raises ``TrimtabError``."""
    import asyncio

    from agent import saved_plans
    from agent.agent_api import preview
    from agent.cli import beside, plan_files

    if observed is not None:
        raise click.BadParameter("--output FILE keeps plans of this host, and not what --observed says of another one")
    identity = location.identity(source)
    plan_files.check_source(source, identity)
    beside.check_plan(chosen, source)
    answer = asyncio.run(saved_plans.make(chosen, identity))
    plan_files.write(file, answer.kept)
    return preview.answer(answer.desired, answer.computed, explain=explain)


def _asked(chosen: settings.Settings, source: str, *, explain: bool) -> planning.Answer | None:
    """Return the answer of an agent that brings about the same source; ``None`` where none does, or it has problems."""
    from agent.engine import layout, stamps

    stamps.check(layout.of(chosen.root, chosen.run))
    query = {"source": location.identity(source), "explain": "true" if explain else "false"}
    try:
        answer = planning.restore(client.get(chosen.run, "/v1/plan", query, _TIMEOUT))
    except (client.NoAgent, client.OtherSource, client.MayNotAsk):
        return None
    except (client.Unresponsive, ValueError) as error:  # it hangs, or is of a release that has no such path
        terminal.note(terminal.printable(f"the host is looked at instead: {error}"))
        return None
    return None if answer.problems else answer


def _computed(
    chosen: settings.Settings, source: str, observed: pathlib.Path | None, *, explain: bool
) -> planning.Answer:
    """Return the plan by what the host has, or what a file says that one has."""
    import asyncio

    from agent import app, host_plans
    from agent.agent_api import preview
    from agent.cli import observation

    desired = asyncio.run(app.read(chosen, source)).checked()
    sight = asyncio.run(app.observe(chosen)) if observed is None else observation.load(observed)
    return preview.answer(desired, host_plans.plan_for(chosen, desired, sight), explain=explain)


@options.with_settings()
def observe(
    chosen: settings.Settings,
    as_json: Annotated[bool, typed.Option("--json", help="As --output json.")] = False,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Print what is there; with --json complete, for `plan --observed FILE`, here or elsewhere."""
    import asyncio

    from agent import app
    from agent.cli import observation

    sight = asyncio.run(app.observe(chosen))
    if as_json or output is not options.Output.TEXT:
        terminal.result_document(observation.document(sight), output)
    else:
        terminal.table(*observation.rows(sight, time.time()))
