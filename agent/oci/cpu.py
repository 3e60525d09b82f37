"""Limits of CPU time, as the kernel and the runtime specification have them: a quota in each period."""

PERIOD = 100_000
"""Microseconds over which CPU time is limited: the kernel's and Docker's own choice."""
_LONG_PERIOD = 1_000_000
_LEAST_QUOTA = 1000
"""Microseconds: the kernel and engines refuse less in a period, so small limits are given over the longest one."""
_MILLI = 1000


def bandwidth(millis: int) -> tuple[int, int]:
    """Return the quota and the period, in microseconds, of thousandths of a core."""
    period = PERIOD if millis * PERIOD // _MILLI >= _LEAST_QUOTA else _LONG_PERIOD
    return millis * period // _MILLI, period


def millis(quota: int, period: int) -> int:
    """Return the thousandths of a core of a quota and a period."""
    return quota * _MILLI // period
