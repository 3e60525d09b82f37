"""Processes of containers and their ends: in the engine, or beside it without opening it."""

import os

from agent import errors
from agent.drivers.native import failures, records_view
from agent.engine.cgroups import hierarchy, tree
from agent.engine.containers import table
from agent.engine.shim import conmon, liveness
from agent.kit import process_table, tasks
from agent.kit import processes as host_processes
from agent.reasons import Reason
from agent.runtime import processes


async def top(view: records_view.RecordsView, ref: str) -> tuple[processes.ContainerProcess, ...]:
    """Return the processes in a container's cgroup. Raises ``NotFound`` and ``Conflict`` (``NotRunning``)."""
    with failures.translated():
        record = view.current(view.record(ref))
        if record.run is None:
            raise errors.Conflict(f"container {record.name} does not run", reason=Reason.NOT_RUNNING)
        cgroup = f"{view.where.cgroup}/{record.id}"
        running = await tasks.in_thread(lambda: process_table.read(tree.members(hierarchy.of_host(), cgroup)))
    return processes.of_host(running)


async def wait(view: records_view.RecordsView, ref: str) -> int | None:
    """Wait for a container's end beside the process that hears of it first. Raises as ``Processes.wait``.

    ``view`` reads records anew each time.
    """
    with failures.translated():
        record = view.record(ref)
        if record.started_at is None:
            raise errors.Conflict(f"container {record.name} has never run", reason=Reason.NOT_RUNNING)
        if record.run is None:
            return record.exit_code
        await _monitor_ended(record.run)
        ended = conmon.ending(view.where.bundles / record.id, record.id)
        return _recorded(view.record(record.id), record.run) if ended.code is None else ended.code


def _recorded(record: table.ContainerRecord, run: table.Run) -> int | None:
    """Return what was recorded of a run's end, which is before its exit file goes. Raises ``errors.Unavailable``."""
    if record.run == run:
        return None  # nobody saw it
    if record.run is None and record.phase is not table.Phase.STARTING:
        return record.exit_code
    message = f"container {record.name} has ended and been started again before its exit code was read"
    raise errors.Unavailable(message, hint="trimtab events shows what became of it", reason=Reason.UNAVAILABLE)


async def _monitor_ended(run: table.Run) -> None:
    """Wait until a monitor has ended, which it does when its container has."""
    descriptor = liveness.open_alive(run.monitor, run.monitor_started)
    if descriptor is None:
        return
    try:
        await host_processes.readable(descriptor)
    finally:
        os.close(descriptor)
