"""What a container has read from and written to block devices.

Version 1 counts it twice, in the throttling of devices and in the scheduler BFQ. Newer kernels count the first only on
devices that throttle somebody, so the second is looked at where the first is empty.
"""

import pathlib
from collections import defaultdict
from collections.abc import Callable

from agent.engine.cgroups import kernel_files
from agent.kit import resource_usage

DeviceName = Callable[[str], str]
"""From ``MAJOR:MINOR`` to a name."""
_COUNTERS = ("rbytes", "wbytes", "rios", "wios")
"""Of ``io.stat``, in the order of ``resource_usage.Device``."""
_V1_POLICIES = ("throttle", "bfq")


def device_name(numbers: str) -> str:
    """Return the name in /dev of a device of this host; the numbers themselves where it has none such."""
    try:
        target = pathlib.Path("/sys/dev/block", numbers).readlink()
    except (OSError, ValueError):
        return numbers
    return f"/dev/{target.name.replace('!', '/')}"  # as sysfs spells a slash


def read_v1(directory: str, name: DeviceName) -> tuple[resource_usage.Device, ...]:
    """Read a cgroup's counters. Raises ``OSError`` and ``ValueError``."""
    for policy in _V1_POLICIES:
        try:
            transferred = _operations(kernel_files.content(f"{directory}/blkio.{policy}.io_service_bytes_recursive"))
        except FileNotFoundError:
            continue  # the kernel has no such policy
        if transferred:
            requests = _operations(kernel_files.content(f"{directory}/blkio.{policy}.io_serviced_recursive"))
            return tuple(
                resource_usage.Device(
                    name(numbers),
                    read_bytes=counts.get("Read", 0),
                    written_bytes=counts.get("Write", 0),
                    reads=requests[numbers].get("Read", 0),
                    writes=requests[numbers].get("Write", 0),
                )
                for numbers, counts in sorted(transferred.items())
            )
    return ()


def read_v2(directory: str, name: DeviceName) -> tuple[resource_usage.Device, ...]:
    """Read a cgroup's counters. Raises ``OSError`` and ``ValueError``."""
    counters = _statistics(kernel_files.content(f"{directory}/io.stat"))
    return tuple(
        resource_usage.Device(name(numbers), *(counts.get(counter, 0) for counter in _COUNTERS))
        for numbers, counts in sorted(counters.items())
    )


def _operations(text: str) -> defaultdict[str, dict[str, int]]:
    """Read ``MAJOR:MINOR Operation number`` lines; the last line is a total."""
    operations: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3:  # noqa: PLR2004 - the total has two
            operations[words[0]][words[1]] = int(words[2])
    return operations


def _statistics(text: str) -> dict[str, dict[str, int]]:
    """Read ``MAJOR:MINOR key=number ...`` lines. Kernels up to 5.19 omit the line's end behind a device without any."""
    statistics: dict[str, dict[str, int]] = {}
    numbers = ""
    for word in text.split():
        key, has_value, value = word.partition("=")
        if has_value:
            statistics.setdefault(numbers, {})[key] = int(value)
        else:
            numbers = word
    return statistics
