"""``validate`` and ``render``: what SOURCE declares, without any runtime."""

import asyncio
import dataclasses
from typing import assert_never

import click

from agent import settings
from agent.cli import exits, options, terminal
from agent.kit import counts
from agent.model import state


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
    if output is not options.Output.TEXT:
        terminal.result_document({"revision": reading.snapshot.revision, "problems": reading.problems}, output)
    else:
        problems.show(reading.problems, reading.contents)
    if reading.problems:
        raise click.exceptions.Exit(exits.FAILED)
    if output is options.Output.TEXT:
        objects = counts.counted(sum(1 for _ in reading.parsed.manifests), "object")
        terminal.result(f"{source}: {objects}, no problems")


@options.with_settings()
def render(
    chosen: settings.Settings,
    source: options.SourceArgument,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Print what SOURCE lowers to: every object with every default filled in, logins and values of Secrets hidden.

    With --output yaml, print manifests that mean the same and can be applied again: one file of what many say, without
    defaults. They hold the values of environments, and no Secret.
    """
    from agent import app

    read = asyncio.run(app.read(chosen, source)).checked()
    desired = dataclasses.replace(read, logins=tuple(login.hidden() for login in read.logins), secrets=())
    match output:
        case options.Output.YAML:
            _print_manifests(desired)
        case options.Output.JSON:
            terminal.result_json(desired)
        case options.Output.TEXT:
            terminal.result_yaml(desired)
        case _:
            assert_never(output)


def _print_manifests(desired: state.DesiredState) -> None:
    from agent.manifests import write

    terminal.write(write.text(write.documents(desired)))
    references = (variable.secret for config in desired.containers for variable in config.secret_env)
    for name in dict.fromkeys((*(login.secret for login in desired.logins), *references)):
        message = f"Secret/{name} is left out, as passwords are not printed: keep its manifest beside these"
        terminal.note(terminal.printable(message))
