"""``run``: the agent."""

import asyncio
import shlex
from typing import Annotated

import typer

from agent import settings
from agent.cli import options, terminal


@options.with_settings("listen")
def run(
    chosen: settings.Settings,
    source: options.SourceArgument,
    once: Annotated[bool, typer.Option("--once", help="Converge once and exit, as apply does.")] = False,
) -> None:
    """Run the agent: watch SOURCE, converge, serve metrics, until it is stopped. Containers outlive it."""
    from agent import app

    if once:
        from agent.cli import convergence

        convergence.converge(lambda sink: app.apply(chosen, source, sink), options.Output.TEXT, "applied")
    asyncio.run(app.run(chosen, source))
    if chosen.runtime == "memory":
        terminal.note("stopped; what was simulated is gone")
    else:
        terminal.note(f"stopped; containers keep running. To remove them: {_removal(chosen, source)}")


def _removal(chosen: settings.Settings, source: str) -> str:
    defaults = settings.Settings()
    flags = [] if chosen.root == defaults.root else ["--root", str(chosen.root)]
    flags += [] if chosen.run_dir is None else ["--run-dir", str(chosen.run_dir)]
    return shlex.join(["trimtab", *flags, "delete", source])
