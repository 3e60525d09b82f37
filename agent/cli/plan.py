"""``plan`` and ``observe``: what would change and why, and the observation that it was made from."""

import asyncio
import pathlib
import sys
import time
from typing import Annotated

import typer

from agent import settings
from agent.cli import exits, options, terminal

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
    observed: Annotated[
        pathlib.Path | None, typer.Option("--observed", metavar="FILE", help="Plan over what `observe --json` printed.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show each step, and what every object is.")] = False,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Print what would change, and why. Exits with 2 where changes are pending, with 0 where there is nothing to do."""
    from agent import app
    from agent.cli import convergence, observation
    from agent.plan import render

    desired = asyncio.run(app.read(chosen, source)).checked()
    sight = asyncio.run(app.observe(chosen)) if observed is None else observation.load(observed)
    computed = app.plan_for(desired, sight)
    if not any(True for _ in desired):
        convergence.nothing_declared(anything=bool(computed.buckets))
    if output is options.Output.JSON:
        terminal.result_json(render.document(computed))
    else:
        for line in render.lines(computed, explain=explain):
            terminal.result(terminal.style(terminal.printable(line.text), _STYLES.get(line.style, ""), sys.stdout))
    raise typer.Exit(exits.DONE if computed.empty else exits.CHANGES_PENDING)


@options.with_settings()
def observe(
    chosen: settings.Settings,
    as_json: Annotated[bool, typer.Option("--json", help="As --output json.")] = False,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Print what is there; with --json complete, for `plan --observed FILE`, here or elsewhere."""
    from agent import app
    from agent.cli import observation

    sight = asyncio.run(app.observe(chosen))
    if as_json or output is options.Output.JSON:
        terminal.result_json(observation.document(sight))
    else:
        terminal.table(*observation.rows(sight, time.time()))
