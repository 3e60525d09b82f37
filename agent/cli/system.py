"""``system``: the room that things take on the disk, and giving some of it back by hand."""

import asyncio
from collections.abc import Callable
from typing import Annotated

import typer

from agent import settings
from agent.cli import options, terminal
from agent.runtime import disk


def group() -> typer.Typer:
    """Put the group together."""
    app = typer.Typer(help="See what takes room on the disk, and give some of it back.", no_args_is_help=True)
    for name, command in _COMMANDS:
        app.command(name)(command)
    return app


@options.with_settings()
def df(chosen: settings.Settings, output: options.OutputOption = options.Output.TEXT) -> None:
    """Show what images, containers and volumes take, and what prune would give back; works beside a running agent."""

    async def measured() -> tuple[disk.DiskUsage, disk.Space | None]:
        from agent import app

        async with app.open_runtime(chosen, exclusive=False) as runtime:
            return await runtime.disk.usage(), await runtime.disk.space()

    found, space = asyncio.run(measured())
    if output is options.Output.JSON:
        terminal.result_json({"shares": found.shares, "prunable": found.prunable, "space": space})
        return
    rows = [
        (
            one.sort.value,
            str(one.count),
            str(one.active),
            terminal.size(one.size),
            terminal.size(one.reclaimable) if one.reclaimable else "-",
        )
        for one in found.shares
    ]
    terminal.table(("TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"), rows)
    if space is not None:
        terminal.note(_of_space(chosen, space))


@options.with_settings()
def prune(
    chosen: settings.Settings,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing; print what would be.")] = False,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Remove images that no manifest declares and no container uses, and what broken downloads have left.

    Volumes are never removed, and on a Docker or Podman host only images that trimtab itself has replaced.
    Works beside a running agent of the native runtime.
    """

    async def pruned() -> tuple[tuple[str, ...], int]:
        from agent import app

        beside = dry_run or chosen.runtime == "native"
        async with app.open_runtime(chosen, exclusive=not beside) as runtime:
            found = await runtime.disk.usage()
            return (found.prunable if dry_run else await runtime.disk.prune()), _reclaimable(found)

    removed, size = asyncio.run(pruned())
    if output is options.Output.JSON:
        terminal.result_json({"removed": removed, "reclaimed": size, "dryRun": dry_run})
        return
    for name in removed:
        terminal.result(terminal.printable(name))
    terminal.note(f"{terminal.size(size)} {'would be reclaimed' if dry_run else 'reclaimed'}")


def _reclaimable(found: disk.DiskUsage) -> int:
    return sum(one.reclaimable for one in found.shares)


def _of_space(chosen: settings.Settings, space: disk.Space) -> str:
    used = 100 - 100 * space.available // max(space.size, 1)
    return (
        f"the disk of {chosen.root}: {terminal.size(space.size)}, {used} % in use; from {chosen.garbage.high} % on"
        " images go that nobody uses"
    )


_COMMANDS: tuple[tuple[str, Callable[..., None]], ...] = (("df", df), ("prune", prune))
