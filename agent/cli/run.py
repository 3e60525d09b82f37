"""``run``: the agent."""

import asyncio
from typing import Annotated

import typer

from agent import settings
from agent.cli import apply, options


@options.with_settings("listen")
def run(
    chosen: settings.Settings,
    source: options.SourceArgument,
    once: Annotated[bool, typer.Option("--once", help="Converge once and exit, as apply does.")] = False,
) -> None:
    """Run the agent: watch SOURCE, converge, serve metrics, until it is stopped. Containers outlive it."""
    from agent import app

    if once:
        apply.converge(lambda sink: app.apply(chosen, source, sink), options.Output.TEXT, "applied")
    asyncio.run(app.run(chosen, source))
