"""Exponential back-off as a pure function of how often something has failed."""


def delay(failures: int, *, initial: float, maximum: float) -> float:
    """Return the seconds to wait after so many failures in a row: 0, initial, 2 x initial, ... up to maximum.

    The first failure waits nothing, as kubelet does: a crash out of the blue is best answered at once.
    """
    if failures <= 0:
        return 0.0
    doublings = min(failures - 1, 63)
    return float(min(maximum, initial * 2**doublings))
