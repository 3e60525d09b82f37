"""Confinement of containers: Docker's defaults, and changes to them."""

import functools
import pathlib

from agent.engine.spec import container as container_spec
from agent.oci import capabilities as names

_MASKED_PATHS = (
    *("/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
    *("/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"),
    "/sys/devices/virtual/powercap",
)
_PROCESSORS = pathlib.Path("/sys/devices/system/cpu")
"""Each reveals how often it was throttled, and so what others compute (GHSA-6fw5-f8r9-fgfm)."""
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_DEVICES = (  # type, major, minor: null, zero, full, tty, urandom, random, ptys, ptmx
    *(("c", 1, 3), ("c", 1, 5), ("c", 1, 7), ("c", 5, 0), ("c", 1, 9), ("c", 1, 8)),
    *(("c", 136, None), ("c", 5, 2)),
)


def capabilities(confinement: container_spec.Confinement) -> tuple[str, ...]:
    """Return the capabilities, as ``oci.capabilities.effective`` does, of those that the agent has to give."""
    return names.effective(confinement.cap_add, confinement.cap_drop, bounding())


@functools.cache
def bounding() -> frozenset[str]:
    """Return the capabilities in the agent's own bounding set: what it can give to a container."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return names.of_mask(next(int(line.split()[1], 16) for line in lines if line.startswith("CapBnd:")))


@functools.cache
def masked_paths() -> tuple[str, ...]:
    """Return paths that reveal the host or other containers: Docker's list, with the processors that this host has."""
    return (*_MASKED_PATHS, *sorted(str(path) for path in _PROCESSORS.glob("cpu[0-9]*/thermal_throttle")))


def device_rules() -> list[dict[str, object]]:
    """Return the device cgroup's rules: all denied, but mknod and the harmless devices."""
    rules: list[dict[str, object]] = [{"allow": False, "access": "rwm"}]
    rules += [{"allow": True, "type": kind, "access": "m"} for kind in ("c", "b")]
    for kind, major, minor in _DEVICES:
        rule: dict[str, object] = {"allow": True, "type": kind, "major": major, "access": "rwm"}
        rules.append(rule if minor is None else {**rule, "minor": minor})
    return rules
