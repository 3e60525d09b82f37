"""Amounts and durations as people write them: Kubernetes' quantities and Go's durations, in exact arithmetic.

The grammars are those of ``k8s.io/apimachinery/pkg/api/resource`` and of Go's ``time.ParseDuration``. A fraction of the
smallest unit is rounded up, as Kubernetes does it. Each function raises ``ValueError`` with what a text must be, as the
end of a sentence that begins with "it must be".
"""

import fractions
import math
import re

_QUANTITY = re.compile(
    r"([-+]?)([0-9]+\.?[0-9]*|\.[0-9]+)(?:([KMGTPE]i|[numkMGTPE])|[eE]([-+]?[0-9]+))?",
)
_SUFFIXES: dict[str | None, tuple[int, int]] = {
    None: (1, 1),
    **{f"{letter}i": (1024**power, 1) for power, letter in enumerate("KMGTPE", 1)},
    **{letter: (1000**power, 1) for power, letter in enumerate("kMGTPE", 1)},
    **{letter: (1, 1000**power) for power, letter in enumerate("mun", 1)},
}
"""What each multiplies by, as numerator and denominator."""
_LARGEST_EXPONENT = 60
"""Powers of ten beyond it are more, or less, than anything that is counted; computing them could take for ever."""
_LONGEST_TEXT = 100
_DURATION = re.compile(r"([-+]?)((?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h|d))+)")
_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")
_PART = re.compile(r"([0-9]*)\.?([0-9]*)([a-zµμ]+)")
_SECOND = 10**9
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
    "d": 86400 * _SECOND,
}
_LONGEST_DURATION = 10 * 365 * 86400
_LARGEST_SIZE = 2**60


def seconds(text: str, *, days: bool = False) -> float:
    """Return the seconds of a duration: ``1h30m``, ``1m30s``, ``500ms``, ``1.5s``, ``0``.

    ``days``: with the unit ``d``, a day of 24 hours, which neither Go nor Kubernetes has.
    """
    match = _DURATION.fullmatch(text) if len(text) <= _LONGEST_TEXT else None
    if match is None and text in {"0", "+0", "-0"}:
        return 0.0
    if match is None or ("d" in text and not days):
        usual = "a duration like 10m, 1h30m or 2d" if days else "a duration like 500ms, 10s or 1m30s"
        raise ValueError(f"{usual}: it has no unit, as {text}s has" if _NUMBER.fullmatch(text) else usual)
    total: int = sum(
        int(whole + part or "0") * _NANOSECONDS[unit] // 10 ** len(part)
        for whole, part, unit in _PART.findall(match[2])
    )
    if match[1] == "-" and total:
        raise ValueError("a duration of nothing at least")
    if total > _LONGEST_DURATION * _SECOND:
        raise ValueError("a duration of ten years at most")
    return total / _SECOND


def quantity(text: str) -> "fractions.Fraction | None":
    """Return what a quantity is exactly; ``None`` for a text that is none."""
    match = _QUANTITY.fullmatch(text) if len(text) <= _LONGEST_TEXT else None
    if match is None:
        return None
    sign, number, suffix, exponent = match.groups()
    value = fractions.Fraction(number if number[0] != "." else f"0{number}")
    if exponent is not None:
        power = max(-_LARGEST_EXPONENT, min(int(exponent), _LARGEST_EXPONENT))
        value *= fractions.Fraction(10) ** power
    else:
        value *= fractions.Fraction(*_SUFFIXES[suffix])
    return -value if sign == "-" else value


def size(text: str) -> int:
    """Return the bytes of a quantity (``128Mi``, ``1.5G``, ``1e9``, ``1048576``)."""
    value = quantity(text)
    if value is None:
        raise ValueError("a quantity of bytes like 64Mi, 1G or 1048576")
    total = math.ceil(value)
    if value < 0:
        raise ValueError("a quantity of nothing at least")
    if total > _LARGEST_SIZE:
        raise ValueError("a quantity of 1024Pi at most")
    return total


def thousandths(text: str) -> int | None:
    """Return the thousandths of a quantity (``0.5``, ``500m``, ``2``); ``None`` for a text that is none."""
    value = quantity(text)
    return None if value is None else math.ceil(value * 1000)
