"""Descriptors: what content is, how large, and its digest (image specification, "OCI Content Descriptors")."""

import dataclasses

from agent.oci import digest, document
from agent.oci import platform as platforms

_LARGEST = 1 << 50
"""Bytes, a pebibyte: what sums up to less than 64 bits, however many there are, and is more than any disk."""


@dataclasses.dataclass(frozen=True, slots=True)
class Descriptor:
    """A pointer to content."""

    media_type: str
    digest: str
    size: int
    platform: platforms.Platform | None = None
    annotations: tuple[tuple[str, str], ...] = ()

    def document(self) -> dict[str, object]:
        """Give it as JSON has it."""
        told: dict[str, object] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.annotations:
            told["annotations"] = dict(self.annotations)
        return told


def read(node: document.Node) -> Descriptor:
    """Read a descriptor. Raises ``document.Malformed``."""
    text = node.text("digest")
    try:
        digest.parse(text)
    except digest.InvalidDigest as error:
        raise document.Malformed(f"{node.place}.digest: {error}") from error
    return Descriptor(
        media_type=node.text("mediaType", default=""),
        digest=text,
        size=_size(node),
        platform=_platform(node),
        annotations=node.mapping("annotations"),
    )


def _size(node: document.Node) -> int:
    size = node.number("size")
    if size > _LARGEST:
        raise document.Malformed(f"{node.place}.size is more than {_LARGEST}")
    return size


def _platform(node: document.Node) -> platforms.Platform | None:
    told = node.child("platform")
    if not told.members:
        return None
    return platforms.Platform(told.text("os"), told.text("architecture"), told.text("variant", default=""))
