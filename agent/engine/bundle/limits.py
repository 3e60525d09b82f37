"""Limits as the runtime specification's ``linux.resources``."""

from agent.engine.cgroups import limits
from agent.engine.containers import spec


def resources(wanted: spec.Limits) -> dict[str, object]:
    """Give cpu, memory and pids limits; what is not limited is left out: a new cgroup has no limits.

    Memory limits include swap: a container does not get its limit twice.
    """
    told: dict[str, object] = {}
    if wanted.cpu_millis is not None:
        quota, period = limits.bandwidth(wanted.cpu_millis)
        told["cpu"] = {"quota": quota, "period": period}
    memory: dict[str, int] = {}
    if wanted.memory is not None:
        memory |= {"limit": wanted.memory, "swap": wanted.memory}
    if wanted.memory_reservation is not None:
        memory["reservation"] = wanted.memory_reservation
    if memory:
        told["memory"] = memory
    if wanted.pids is not None:
        told["pids"] = {"limit": wanted.pids}
    return told
