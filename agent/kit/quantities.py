"""Durations and amounts of bytes as people write them, in Kubernetes' syntax."""

import re

_DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?", re.ASCII
)
_SECONDS = (3600.0, 60.0, 1.0, 0.001)
_SIZE = re.compile(r"(\d{1,19}(?:\.\d+)?)(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?", re.ASCII)
_FACTORS = {
    **{name: 1024**power for power, name in enumerate(("", "Ki", "Mi", "Gi", "Ti", "Pi"))},
    **{name: 1000**power for power, name in enumerate(("", "k", "M", "G", "T", "P"))},
}
_LONGEST_DURATION = 10 * 365 * 86400.0
_LARGEST_SIZE = 2**60


def seconds(text: str) -> float:
    """Read a duration (``1m30s``, ``500ms``) as seconds. Raises ``ValueError`` with what it must be."""
    match = _DURATION.fullmatch(text) if text else None
    if match is None:
        raise ValueError("a duration like 500ms, 10s or 1m30s")
    total = sum(float(part or 0) * factor for part, factor in zip(match.groups(), _SECONDS, strict=True))
    if total > _LONGEST_DURATION:
        raise ValueError("a duration of ten years at most")
    return total


def size(text: str) -> int:
    """Read an amount of bytes (``128Mi``, ``1G``, ``1048576``). Raises ``ValueError`` with what it must be."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("a quantity of bytes like 64Mi, 1G or 1048576")
    total = int(float(match[1]) * _FACTORS[match[2] or ""])
    if total > _LARGEST_SIZE:
        raise ValueError("a quantity of 1024Pi at most")
    return total
