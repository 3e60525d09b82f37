"""``doctor``: what this host lacks, and the fix of each."""

import asyncio
import sys

import typer

from agent import settings
from agent.cli import exits, options, terminal


@options.with_settings()
def doctor(chosen: settings.Settings, output: options.OutputOption = options.Output.TEXT) -> None:
    """Check kernel, cgroups, programs and permissions, by trying them; print each fix. Exits with 1 if need be."""
    from agent.engine import doctor as examination
    from agent.engine import layout

    checks = asyncio.run(examination.examine(layout.Layout(chosen.root, chosen.run)))
    if output is options.Output.JSON:
        terminal.result_json(checks)
    else:
        for check in checks:
            word, style = (
                ("ok", "green") if check.ok else ("missing", "red") if check.required else ("without", "yellow")
            )
            terminal.result(f"{terminal.style(f'{word:>8}', style, sys.stdout)}  {check.name}: {check.detail}")
            if not check.ok and check.fix:
                terminal.result(f"{'':>8}  {terminal.style('fix:', 'cyan', sys.stdout)} {check.fix}")
    if any(check.required and not check.ok for check in checks):
        raise typer.Exit(exits.FAILED)
