"""After whatever happened: what a crash cut short is finished or undone, and what nobody knows any more is taken away.

Everything that the engine makes on a host is found by where it lies or how it is called (run directory, instance in
the name), so nothing has to be remembered to be cleaned up: without a record it goes.
"""

import asyncio
import contextlib
import dataclasses
import pathlib
import secrets

from agent.engine import errors, layout
from agent.engine.cgroups import hierarchy, tree
from agent.engine.containers import ending, lifecycle, table
from agent.engine.images import images
from agent.engine.kernel import api as kernel_api
from agent.engine.network import networks
from agent.engine.volumes import volumes
from agent.kit import atomicfile, trees


@dataclasses.dataclass(frozen=True, slots=True)
class Rooms:
    """The rooms that clean up after themselves."""

    where: layout.Layout
    kernel: kernel_api.Kernel
    images: images.Images
    networks: networks.Networks
    volumes: volumes.Volumes
    containers: lifecycle.Containers
    cleaner: ending.Cleaner
    table: table.Table


async def recover(rooms: Rooms) -> None:
    """Bring the instance into a state that its records describe completely; repeatable until work begins."""
    await rooms.containers.recover()
    await _strangers(rooms)
    running = {record.id for record in rooms.table.all() if record.phase is table.Phase.RUNNING}
    await rooms.networks.restore(running)
    rooms.volumes.recover()
    await asyncio.to_thread(_folders, rooms.where, rooms.table.ids())
    rooms.images.recover()
    with contextlib.suppress(errors.Unavailable):  # a disk without any room: it is tried again and again
        await rooms.images.collector.sweep()


def epoch(where: layout.Layout, *, read_only: bool) -> str:
    """Give the mark of the run directory's life: a reboot empties the directory, and every run of before is void."""
    mark = where.run / "epoch"
    if not mark.exists():
        if read_only:
            return ""
        atomicfile.write(mark, secrets.token_hex(8).encode(), durable=False)
    return mark.read_text()


async def leftovers(rooms: Rooms) -> list[str]:
    """Name everything on the host that no record accounts for; a sound instance has none. For the leak check."""
    known = rooms.table.ids()
    running = {record.id for record in rooms.table.all() if record.phase is table.Phase.RUNNING}
    found = [f"bundle {name}" for name in _names(rooms.where.bundles) - running]
    found += [f"container directory {name}" for name in _names(rooms.where.containers) - known]
    found += [f"runtime state {name}" for name in rooms.cleaner.runtime.known() - running]
    host = hierarchy.of_host()
    found += [f"cgroup {path}" for path in tree.below(host, rooms.where.cgroup) if path.name not in running]
    if not running:
        found += [f"cgroup {path}" for path in tree.itself(host, rooms.where.cgroup)]
    found += [f"mount {target}" for target in _mounts(rooms) if pathlib.PurePath(target).parent.name not in running]
    return [*found, *await rooms.networks.leftovers(running), *rooms.images.leftovers()]


async def _strangers(rooms: Rooms) -> None:
    """Take away runs of containers that have no record."""
    names = _names(rooms.where.bundles) | rooms.cleaner.runtime.known()
    for container_id in sorted(names - rooms.table.ids()):
        await rooms.cleaner.attempt(container_id)
    for path in tree.below(hierarchy.of_host(), rooms.where.cgroup):
        if path.name not in rooms.table.ids():
            with contextlib.suppress(OSError):  # what cannot go now must not keep the agent from its work
                tree.remove(path)
    if not rooms.table.living():
        tree.remove_parent(hierarchy.of_host(), rooms.where.cgroup)


def _folders(where: layout.Layout, known: frozenset[str]) -> None:
    for name in _names(where.containers) - known:
        trees.remove(where.containers / name)
    for path in where.run.glob("exec-*"):
        trees.remove(path)


def _mounts(rooms: Rooms) -> list[str]:
    below = f"{rooms.where.bundles}/"
    return [target for target in rooms.kernel.mounts() if target.startswith(below)]


def _names(folder: pathlib.Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
