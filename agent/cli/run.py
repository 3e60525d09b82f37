"""``run``: the agent."""

import asyncio
from typing import Annotated

from agent import invocation, settings
from agent.cli import options, terminal, typed


@options.with_settings("listen")
def run(
    chosen: settings.Settings,
    source: options.SourceArgument,
    invoked: invocation.Invocation,
    once: Annotated[bool, typed.Option("--once", help="Converge once and exit, as apply does.")] = False,
) -> None:
    """Run the agent: watch SOURCE, converge, serve metrics, until it is stopped. Containers outlive it."""
    from agent import app

    if once:
        from agent.cli import convergence

        convergence.apply(chosen, source, convergence.Ending(options.Output.TEXT, "applied", invoked))
    removal = invoked.command("delete", source)
    from agent.telemetry import log_stream, logging

    with log_stream.as_stderr(logging.log_dropped) as stream:
        asyncio.run(app.run(chosen, source, removal, invoked.completed, stream.dropped))
        if chosen.runtime == "memory":
            terminal.note("stopped; what was simulated is gone")
        else:
            terminal.note(f"stopped; containers keep running. To remove them: {removal}")
