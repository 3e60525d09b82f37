"""Docker's defaults for what a container may do, and changes to them."""

import functools
import pathlib

from agent.engine import errors
from agent.engine.containers import spec
from agent.oci import capabilities as names

_ALL = frozenset(names.BY_NUMBER)

MASKED_PATHS = (
    *("/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list"),
    *("/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"),
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_DEVICES = (  # type, major, minor: null, zero, full, tty, urandom, random, ptys, ptmx
    *(("c", 1, 3), ("c", 1, 5), ("c", 1, 7), ("c", 5, 0), ("c", 1, 9), ("c", 1, 8)),
    *(("c", 136, None), ("c", 5, 2)),
)


def capabilities(confinement: spec.Confinement) -> tuple[str, ...]:
    """Give the capabilities (without ``CAP_``, sorted): the defaults, less what is dropped, with what is added.

    ``ALL`` dropped and some added means just those; ``ALL`` added means all that there are to give. Raises
    ``errors.Refused`` for one that does not exist.
    """
    unknown = sorted({*confinement.cap_add, *confinement.cap_drop} - _ALL - {"ALL"})
    if unknown:
        raise errors.Refused(f"there is no capability {unknown[0]}", hint="see capabilities(7)", reason="StartFailed")
    kept = to_give() if "ALL" in confinement.cap_add else frozenset(names.DEFAULT)
    dropped = frozenset(confinement.cap_drop)
    kept = frozenset() if "ALL" in dropped else kept - dropped
    return tuple(sorted(kept | (frozenset(confinement.cap_add) - {"ALL"})))


@functools.cache
def to_give() -> frozenset[str]:
    """Give the capabilities that this kernel has and that are not taken from the agent itself: its bounding set."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    mask = next(int(line.split()[1], 16) for line in lines if line.startswith("CapBnd:"))
    return frozenset(name for number, name in enumerate(names.BY_NUMBER) if mask >> number & 1)


def device_rules() -> list[dict[str, object]]:
    """Give the device cgroup's rules: nothing, but making nodes and the harmless devices."""
    rules: list[dict[str, object]] = [{"allow": False, "access": "rwm"}]
    rules += [{"allow": True, "type": kind, "access": "m"} for kind in ("c", "b")]
    for kind, major, minor in _DEVICES:
        rule: dict[str, object] = {"allow": True, "type": kind, "major": major, "access": "rwm"}
        rules.append(rule if minor is None else {**rule, "minor": minor})
    return rules
