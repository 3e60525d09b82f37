"""The size of a machine."""

import os

from agent.kit import frozen


@frozen.value
class Machine:
    """What a machine has."""

    cores: int
    """Logical ones that are online."""
    memory: int
    """Bytes of RAM that the kernel manages (``MemTotal``)."""


def of_host() -> Machine:
    """Look at this machine."""
    return Machine(os.sysconf("SC_NPROCESSORS_ONLN"), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
