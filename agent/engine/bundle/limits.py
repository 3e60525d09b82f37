"""Limits as the runtime specification's ``linux.resources``."""

from agent.engine.containers import spec

_PERIOD = 100_000
"""Microseconds: the kernel's and Docker's own period."""
_SHARES = 1024


def resources(limits: spec.Limits) -> dict[str, object]:
    """Give cpu, memory and pids limits; what is not limited is said to be unlimited, so that a limit can be lifted.

    Memory limits include swap: a container does not get its limit twice.
    """
    quota = limits.cpu_millis * _PERIOD // 1000 if limits.cpu_millis else -1
    memory = limits.memory or -1
    return {
        "cpu": {"shares": _SHARES, "quota": quota, "period": _PERIOD},
        "memory": {"limit": memory, "swap": memory, "reservation": limits.memory_reservation or -1},
        "pids": {"limit": limits.pids or -1},
    }
