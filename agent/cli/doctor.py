"""``doctor``: what this host lacks, and the fix of each."""

import sys

import click

from agent import settings
from agent.cli import exits, options, terminal


@options.with_settings()
def doctor(chosen: settings.Settings, output: options.OutputOption = options.Output.TEXT) -> None:
    """Check what the runtime needs of this host, by trying it; print each fix. Exits with 1 if need be.

    For the native runtime that is the kernel, cgroups and programs; for Docker and Podman, whether the engine answers.
    """
    import asyncio

    from agent.cli import examination

    checks = asyncio.run(examination.examine(chosen))
    if output is not options.Output.TEXT:
        terminal.result_document(checks, output)
    else:
        for check in checks:
            word, style = (
                ("ok", "green") if check.ok else ("missing", "red") if check.required else ("without", "yellow")
            )
            terminal.result(f"{terminal.style(f'{word:>8}', style, sys.stdout)}  {check.name}: {check.detail}")
            if not check.ok and check.fix:
                terminal.result(f"{'':>8}  {terminal.style('fix:', 'cyan', sys.stdout)} {check.fix}")
    if any(check.required and not check.ok for check in checks):
        raise click.exceptions.Exit(exits.FAILED)
