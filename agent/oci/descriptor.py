"""Descriptors: what content is, how large, and its digest (image specification, "OCI Content Descriptors")."""

from agent.kit import frozen
from agent.oci import digest, document
from agent.oci import platform as platforms

_LARGEST = 1 << 50
"""Bytes, a pebibyte: what sums up to less than 64 bits, however many there are, and is more than any disk."""


@frozen.value
class Descriptor:
    """A pointer to content."""

    media_type: str
    digest: str
    size: int
    platform: platforms.Platform | None = None
    annotations: tuple[tuple[str, str], ...] = ()

    def document(self) -> dict[str, object]:
        """Return the descriptor as a JSON object."""
        fields: dict[str, object] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.annotations:
            fields["annotations"] = dict(self.annotations)
        return fields


def read(node: document.Node) -> Descriptor:
    """Read a descriptor. Raises ``document.Malformed``."""
    text = node.text("digest")
    try:
        digest.parse(text)
    except digest.InvalidDigest as error:
        raise document.Malformed(f"{node.path}.digest: {error}") from error
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
        raise document.Malformed(f"{node.path}.size is more than {_LARGEST}")
    return size


def _platform(node: document.Node) -> platforms.Platform | None:
    member = node.child("platform")
    if not member.members:
        return None
    return platforms.Platform(member.text("os"), member.text("architecture"), member.text("variant", default=""))
