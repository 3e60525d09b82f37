"""Digests: ``algorithm:hex``, as the image specification's descriptors use them. Only sha256 and sha512 are known."""

import hashlib
import re

_LENGTHS = {"sha256": 64, "sha512": 128}
_FORM = re.compile(r"(sha256|sha512):([0-9a-f]+)")


class InvalidDigest(ValueError):
    """A text that is no digest."""


def parse(text: str) -> tuple[str, str]:
    """Split a digest into algorithm and hexadecimal digits. Raises ``InvalidDigest``."""
    match = _FORM.fullmatch(text)
    if match is None or len(match[2]) != _LENGTHS[match[1]]:
        raise InvalidDigest(f"{text[:100]!r} is no digest: sha256:<64 hexadecimal digits> is")
    return match[1], match[2]


def of(data: bytes) -> str:
    """Return the sha256 digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def matches(text: str, data: bytes) -> bool:
    """Return whether bytes have a digest. Raises ``InvalidDigest``."""
    algorithm, encoded = parse(text)
    return hashlib.new(algorithm, data).hexdigest() == encoded
