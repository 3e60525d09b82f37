"""``adopt``: what an engine runs already, under manifests."""

import asyncio
import pathlib
from typing import Annotated

import click

from agent import invocation, settings
from agent.cli import exits, options, terminal, typed


@options.with_settings()
def adopt(
    chosen: settings.Settings,
    invoked: invocation.Invocation,
    directory: Annotated[pathlib.Path, typed.Argument(metavar="DIRECTORY", help="Where the manifests are written.")],
    names: Annotated[list[str] | None, typed.Argument(metavar="[NAME]...", help="Only these containers.")] = None,
    dry_run: Annotated[bool, typed.Option("--dry-run", help="Write and note nothing; say what would be done.")] = False,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Take over containers that Docker or Podman runs: their manifests are written, and they themselves stay untouched.

    Applied, the manifests plan nothing. Containers with settings that no manifest can say yet are left alone.
    """
    from agent import adoption

    done = asyncio.run(adoption.adopt(chosen, directory, tuple(names or ()), dry_run=dry_run))
    if output is not options.Output.TEXT:
        terminal.result_document(adoption.document(done), output)
    else:
        for path in done.files:
            terminal.result(terminal.printable(path))
        for container in done.skipped:
            terminal.note(terminal.printable(f"left alone: {container.name}: {'; '.join(container.reasons)}"))
        verb = "would be adopted" if dry_run else "adopted"
        terminal.note(f"{len(done.containers)} {verb}, {len(done.skipped)} left alone")
        if done.containers and not dry_run:
            terminal.note(f"from now on: {invoked.command('run', str(directory))}")
    if not done.containers:
        raise click.exceptions.Exit(exits.FAILED)
