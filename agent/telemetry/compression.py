"""Compression of a scrape where its client accepts it: text of which most is labels shrinks to a small part. Pure."""

from isal import isal_zlib

GZIP = "gzip"
_LEVEL = 1
"""Of isal's four: several times as fast as zlib's fastest, and smaller."""
_GZIP_FORMAT = 31
"""``wbits`` of a gzip header and trailer around the largest window (zlib.h, deflateInit2)."""
_NAMES = (GZIP, "x-gzip")
"""One encoding: recipients take the second for the first (RFC 9110, 8.4.1.3)."""


def is_gzip_accepted(accept_encoding: str) -> bool:
    """Return whether an ``Accept-Encoding`` header allows gzip, and does not like the plain text better.

    Nothing is compressed for clients that do not name gzip or ``*``; a weight that is no number counts as 0
    (RFC 9110, 12.5.3).
    """
    weights = dict(map(_weighted, accept_encoding.lower().split(",")))
    gzip = next((weights[name] for name in _NAMES if name in weights), weights.get("*", 0.0))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def gzipped(body: bytes) -> bytes:
    """Return a body in gzip's format, the same for the same: its header has no time."""
    compressed: bytes = isal_zlib.compress(body, _LEVEL, _GZIP_FORMAT)
    return compressed


def _weighted(part: str) -> tuple[str, float]:
    """Return the encoding and the weight of one part: 1 where it has none, else from 0 to 1."""
    name, *parameters = part.split(";")
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            return name.strip(), _weight(value.strip())
    return name.strip(), 1.0


def _weight(text: str) -> float:
    """Return a weight as the grammar has it, with at most three decimals; 0 for everything else."""
    whole, _, decimals = text.partition(".")
    is_number = whole in {"0", "1"} and (not decimals or (decimals.isascii() and decimals.isdigit()))
    weight = float(f"{whole}.{decimals or 0}") if is_number and len(decimals) <= 3 else 0.0  # noqa: PLR2004
    return weight if weight <= 1 else 0.0
