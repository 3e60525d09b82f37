"""After whatever happened: what a crash cut short is finished or undone, and what nobody knows any more is taken away.

Everything that the engine makes on a host is found by where it lies or how it is called (run directory, instance in
the name), so nothing has to be remembered to be cleaned up: without a record it goes.
"""

import asyncio
import functools
import pathlib
import secrets

from agent import errors
from agent.engine import layout
from agent.engine.bundle import identity
from agent.engine.cgroups import hierarchy, tree
from agent.engine.containers import ending, lifecycle, table
from agent.engine.images import collector, images
from agent.engine.kernel import api as kernel_api
from agent.engine.network import networks
from agent.engine.shim import liveness
from agent.engine.snapshots import overlay
from agent.engine.volumes import volumes
from agent.kit import atomicfile, frozen, trees


@frozen.value(kw_only=True)
class Deps:
    """Collaborators of recovery."""

    where: layout.Layout
    kernel: kernel_api.Kernel
    images: images.Images
    networks: networks.Networks
    volumes: volumes.Volumes
    containers: lifecycle.Containers
    cleaner: ending.Cleaner
    table: table.Table


async def recover(deps: Deps) -> None:
    """Bring the instance into a state that its records describe completely; repeatable until work begins."""
    await deps.containers.recover()
    await _strangers(deps)
    running = {
        record.id: functools.partial(liveness.open_network, record.run.pid, record.run.pid_started)
        for record in deps.table.all()
        if record.run is not None
    }
    await deps.networks.restore(running)
    for container_id in running:  # those that an earlier release has started, or whose start was cut short
        overlay.unmount(deps.kernel, deps.where.bundles / container_id / "rootfs")
        former, current = deps.networks.former_nameservers(container_id), deps.networks.nameservers(container_id)
        identity.follow(deps.where.bundles / container_id / "resolv.conf", former, current)
    deps.volumes.recover()
    await asyncio.to_thread(_folders, deps.where, deps.table.ids())
    lower = (pathlib.Path(path) for record in deps.table.all() for path in record.lower_dirs)
    deps.images.recover(frozenset(path.parent.name for path in lower))
    try:
        await deps.images.collector.sweep()
    except errors.Unavailable as error:  # a disk without any room
        deps.cleaner.register.failed(collector.UNUSED, error, deps.images.collector.sweep)


def epoch(where: layout.Layout, *, read_only: bool) -> str:
    """Return the mark of the run directory's life: a reboot empties the directory, and every run of before is void."""
    mark = where.run / "epoch"
    if not mark.exists():
        if read_only:
            return ""
        atomicfile.write(mark, secrets.token_hex(8).encode(), durable=False)
    return mark.read_text()


async def leftovers(deps: Deps) -> list[str]:
    """Name everything on the host that no record accounts for; a sound instance has none. For the leak check."""
    recorded = deps.table.ids()
    running = {record.id for record in deps.table.all() if record.phase is table.Phase.RUNNING}
    leftovers = [f"bundle {name}" for name in _names(deps.where.bundles) - running]
    leftovers += [f"container directory {name}" for name in _names(deps.where.containers) - recorded]
    leftovers += [f"runtime state {name}" for name in deps.cleaner.runtime.container_ids() - running]
    host = hierarchy.of_host()
    leftovers += [f"cgroup {path}" for path in tree.below(host, deps.where.cgroup) if path.name not in running]
    if not running:
        leftovers += [f"cgroup {path}" for path in tree.itself(host, deps.where.cgroup)]
    leftovers += [f"mount {target}" for target in _mounts(deps) if pathlib.PurePath(target).parent.name not in running]
    return [*leftovers, *await deps.networks.leftovers(running), *deps.images.leftovers()]


async def _strangers(deps: Deps) -> None:
    """Take away runs of containers that have no record."""
    names = _names(deps.where.bundles) | deps.cleaner.runtime.container_ids()
    for container_id in sorted(names - deps.table.ids()):
        await deps.cleaner.attempt(container_id)
    for path in tree.below(hierarchy.of_host(), deps.where.cgroup):
        if path.name not in deps.table.ids():
            try:
                tree.remove(path)
            except OSError as error:  # what cannot go now must not keep the agent from its work
                retry = functools.partial(_removed, path)
                deps.cleaner.register.failed(f"cgroup {path.parent.name}/{path.name}", error, retry)
    if not deps.table.living():
        tree.remove_parent(hierarchy.of_host(), deps.where.cgroup)


async def _removed(path: pathlib.Path) -> None:
    tree.remove(path)


def _folders(where: layout.Layout, recorded: frozenset[str]) -> None:
    for name in _names(where.containers) - recorded:
        trees.remove(where.containers / name)
    for path in where.run.glob("exec-*"):
        trees.remove(path)


def _mounts(deps: Deps) -> list[str]:
    below = f"{deps.where.bundles}/"
    return [target for target in deps.kernel.mounts() if target.startswith(below)]


def _names(folder: pathlib.Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
