"""What has been halted behind our back: a monitor that was stopped (SIGSTOP), a container that was frozen.

Neither ends anything, so that no event tells of it, and the container looks like one that runs. Both are looked for at
each relist, in a thread, and let go on: nothing that is declared is ever halted.
"""

import contextlib
import os
import signal
from collections.abc import Iterable

from agent.engine.cgroups import freezer, hierarchy
from agent.engine.containers import table
from agent.engine.shim import liveness
from agent.kit import frozen


@frozen.value
class Candidate:
    """A container that runs."""

    id: str
    cgroup: str
    monitor: int
    monitor_started: int | None


def candidate(record: table.ContainerRecord, parent: str) -> Candidate | None:
    """Return what of a container may be halted; ``None`` where it does not run. ``parent``: the instance's cgroup."""
    if record.run is None:
        return None
    return Candidate(record.id, f"{parent}/{record.id}", record.run.monitor, record.run.monitor_started)


def resume(host: hierarchy.Hierarchy, candidates: Iterable[Candidate | None]) -> dict[str, str]:
    """Let go on whatever was halted; return what that was, by container id. Blocks for some file reads a container."""
    resumed: dict[str, list[str]] = {}
    for candidate in filter(None, candidates):
        with contextlib.suppress(OSError):  # it has just ended
            if _continue(candidate):
                resumed.setdefault(candidate.id, []).append("its monitor was stopped")
        with contextlib.suppress(OSError):
            if freezer.thaw(host, candidate.cgroup):
                resumed.setdefault(candidate.id, []).append("its cgroup was frozen")
    return {id: ", ".join(reasons) for id, reasons in resumed.items()}


def _continue(candidate: Candidate) -> bool:
    if not liveness.is_stopped(candidate.monitor):
        return False
    descriptor = liveness.open_alive(candidate.monitor, candidate.monitor_started)
    if descriptor is None:
        return False
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGCONT)
    finally:
        os.close(descriptor)
    return True
