"""Times as programs write them (RFC 3339, with nanoseconds where Go does), as seconds since the epoch."""

import datetime as dt

_NANOSECONDS = 9
"""Digits behind the point that count."""


def seconds(text: str) -> float | None:
    """Read a time; ``None`` for what is none, and for Go's zero time, which means "never"."""
    head, dot, tail = text.partition(".")
    zone = tail.lstrip("0123456789")
    if zone.startswith((".", ",")):
        return None
    digits = tail[: len(tail) - len(zone)][:_NANOSECONDS]
    try:
        whole = dt.datetime.fromisoformat(head + (zone if dot else "")).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    if whole <= 0:
        return None
    return whole + (int(digits) / 10 ** len(digits) if digits else 0.0)
