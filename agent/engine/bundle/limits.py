"""Limits as the runtime specification's ``linux.resources``."""

from agent.engine.spec import container as container_spec
from agent.oci import cpu


def resources(requested: container_spec.Limits, pids: int | None = None) -> dict[str, object]:
    """Return cpu, memory and pids limits; what is not limited is left out: a new cgroup has no limits.

    ``pids``: the number of processes for who asks for no limit; a fork bomb would otherwise be the whole host's.

    Memory limits include swap: a container does not get its limit twice.
    """
    section: dict[str, object] = {}
    if requested.cpu_millis is not None:
        quota, period = cpu.bandwidth(requested.cpu_millis)
        section["cpu"] = {"quota": quota, "period": period}
    memory: dict[str, int] = {}
    if requested.memory is not None:
        memory |= {"limit": requested.memory, "swap": requested.memory}
    if requested.memory_reservation is not None:
        memory["reservation"] = requested.memory_reservation
    if memory:
        section["memory"] = memory
    if (processes := requested.pids or pids) is not None:
        section["pids"] = {"limit": processes}
    return section
