"""``validate`` and ``render``: what SOURCE says, without looking at any runtime."""

import asyncio
import dataclasses

import typer

from agent import settings
from agent.cli import exits, options, terminal


@options.with_settings()
def validate(
    chosen: settings.Settings,
    source: options.SourceArgument,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Check SOURCE: every problem with path:line:column, and how to mend it."""
    from agent import app
    from agent.cli import problems

    reading = asyncio.run(app.read(chosen, source))
    if output is options.Output.JSON:
        terminal.result_json({"revision": reading.snapshot.revision, "problems": reading.problems})
    else:
        problems.show(reading.problems, reading.contents)
    if reading.problems:
        raise typer.Exit(exits.FAILED)
    if output is options.Output.TEXT:
        terminal.result(f"{source}: {sum(1 for _ in reading.parsed.manifests)} objects, no problems")


@options.with_settings()
def render(
    chosen: settings.Settings,
    source: options.SourceArgument,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Print what SOURCE lowers to: every object with every default filled in, logins hidden."""
    from agent import app

    read = asyncio.run(app.read(chosen, source)).checked()
    desired = dataclasses.replace(read, logins=tuple(login.hidden() for login in read.logins))
    if output is options.Output.JSON:
        terminal.result_json(desired)
    else:
        terminal.result_yaml(desired)
