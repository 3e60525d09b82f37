"""Image manifests and indexes, OCI's and Docker's, which differ in nothing but their media types."""

from agent.kit import frozen
from agent.oci import descriptor, document, mediatypes

MOST_LAYERS = 500
"""Most layers of an image: kernels stack far fewer, and honest images have some dozens."""
_MOST_MANIFESTS = 1000


@frozen.value
class Manifest:
    """One image: its config and its layers, the lowest first."""

    config: descriptor.Descriptor
    layers: tuple[descriptor.Descriptor, ...]


@frozen.value
class Index:
    """One image for several platforms, or the table of contents of an image layout."""

    manifests: tuple[descriptor.Descriptor, ...]


def parse(data: bytes, media_type: str = "") -> Manifest | Index:
    """Read a manifest or an index. Raises ``document.Malformed``.

    ``media_type`` is the transport's; where that does not decide, the document's own ``mediaType`` and shape do. A
    document that is both (``layers`` and ``manifests``) is refused: two readers could be shown two images.
    """
    node = document.parse(data, "manifest")
    if "layers" in node.members and "manifests" in node.members:
        raise document.Malformed("manifest has layers and manifests: it must be one image or an index")
    kind = node.text("mediaType", default="") or media_type
    if kind in mediatypes.INDEXES or "manifests" in node.members:
        return Index(_descriptors(node, "manifests", _MOST_MANIFESTS))
    if "config" not in node.members:
        raise document.Malformed("manifest has no config: Docker's schema 1 and artifacts are no images")
    return Manifest(descriptor.read(node.child("config")), _descriptors(node, "layers", MOST_LAYERS))


def _descriptors(node: document.Node, name: str, most: int) -> tuple[descriptor.Descriptor, ...]:
    children = node.children(name)
    if len(children) > most:
        raise document.Malformed(f"{node.path}.{name} has {len(children)} entries, more than {most}")
    return tuple(descriptor.read(child) for child in children)
