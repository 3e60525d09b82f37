"""``system``: disk usage by kind of object, and pruning by hand."""

import asyncio
from collections.abc import Callable
from typing import Annotated

import click

from agent import settings
from agent.cli import options, peers, terminal, typed
from agent.kit import disk_space
from agent.runtime import disk


def group() -> click.Group:
    """Return the command group."""
    return peers.group("system", "See what takes room on the disk, and give some of it back.", _COMMANDS)


@options.with_settings()
def df(chosen: settings.Settings, output: options.OutputOption = options.Output.TEXT) -> None:
    """Show what images, containers and volumes take, and what prune would give back; works beside a running agent."""

    async def measured() -> tuple[disk.DiskUsage, disk_space.DiskSpace | None]:
        from agent import app

        async with app.open_runtime(chosen, exclusive=False) as runtime:
            return await runtime.disk.usage(), await runtime.disk.space()

    usage, space = asyncio.run(measured())
    if output is not options.Output.TEXT:
        terminal.result_document({"shares": usage.shares, "prunable": usage.prunable, "space": space}, output)
        return
    rows = [
        (
            share.sort.value,
            str(share.count),
            str(share.active),
            terminal.size(share.size),
            terminal.size(share.reclaimable) if share.reclaimable else "-",
        )
        for share in usage.shares
    ]
    terminal.table(("TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"), rows)
    if space is not None:
        terminal.note(_of_space(chosen, space))


@options.with_settings()
def prune(
    chosen: settings.Settings,
    dry_run: Annotated[bool, typed.Option("--dry-run", help="Remove nothing; print what would be.")] = False,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Remove images that no manifest declares and no container uses, the build cache, and what is left of downloads.

    Volumes are never removed, and on a Docker or Podman host only images that trimtab itself has replaced.
    Works beside a running agent of the native runtime.
    """

    async def pruned() -> tuple[tuple[str, ...], int]:
        from agent import app

        beside = dry_run or chosen.runtime == "native"
        async with app.open_runtime(chosen, exclusive=not beside) as runtime:
            usage = await runtime.disk.usage()
            return (usage.prunable if dry_run else await runtime.disk.prune()), _reclaimable(usage)

    removed, size = asyncio.run(pruned())
    if output is not options.Output.TEXT:
        terminal.result_document({"removed": removed, "reclaimed": size, "dryRun": dry_run}, output)
        return
    for name in removed:
        terminal.result(terminal.printable(name))
    terminal.note(f"{terminal.size(size)} {'would be reclaimed' if dry_run else 'reclaimed'}")


def _reclaimable(usage: disk.DiskUsage) -> int:
    return sum(share.reclaimable for share in usage.shares)


def _of_space(chosen: settings.Settings, space: disk_space.DiskSpace) -> str:
    used = 100 - 100 * space.available // max(space.size, 1)
    return (
        f"the disk of {chosen.root}: {terminal.size(space.size)}, {used} % in use; from {chosen.garbage.high} % on"
        " images go that nobody uses"
    )


_COMMANDS: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("df", df, "Show what takes room, and what prune would free"),
    ("prune", prune, "Remove what nothing uses"),
)
