"""The size of this machine, as its kernel tells."""

import os
import pathlib
import re

from agent.kit import machine


def test_host__is_as_large_as_the_kernel_says() -> None:
    total = re.search(r"^MemTotal:\s+(\d+) kB$", pathlib.Path("/proc/meminfo").read_text(), re.MULTILINE)
    assert total is not None
    assert machine.of_host() == machine.Machine(os.cpu_count() or 0, int(total[1]) * 1024)
