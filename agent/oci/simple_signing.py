"""Simple signing, as cosign stores it in registries: the signed payload is a small JSON document that names one image.

Sources: cosign's ``specs/SIGNATURE_SPEC.md``; the payload is that of containers/image (``atomic-signature(5)``). An
image's signatures are the layers of a manifest at a tag that is made of the image's digest.
"""

import base64

from agent.kit import counts, frozen
from agent.oci import descriptor, digest, document, manifest, reference

MEDIA_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
ANNOTATION = "dev.cosignproject.cosign/signature"
TYPE = "cosign container image signature"
LARGEST_PAYLOAD = 64 * 1024
"""Bytes; cosign's own have some hundred."""
_LONGEST_SIGNATURE = 8192
"""Characters: RSA's longest keys need a tenth of it."""


@frozen.value
class Payload:
    """A signed payload: the image that it names."""

    digest: str
    """Digest of the image's manifest or index."""
    name: reference.Reference | None
    """The reference under which it was signed; ``None`` where the payload has none."""


def tag(image: str) -> str:
    """Return the tag of an image's signatures, by the image's digest."""
    return f"{'-'.join(digest.parse(image))}.sig"


def signatures(data: bytes, media_type: str = "") -> tuple[descriptor.Descriptor, ...]:
    """Return the descriptors of a signature manifest's payloads, in its order. Raises ``document.Malformed``."""
    parsed = manifest.parse(data, media_type)
    if not isinstance(parsed, manifest.Manifest):
        raise document.Malformed("manifest is an index, and not one of signatures")
    layers = tuple(layer for layer in parsed.layers if layer.media_type == MEDIA_TYPE)
    if not layers:
        raise document.Malformed("manifest has no signatures in it")
    return layers


def signature(payload: descriptor.Descriptor) -> bytes:
    """Return a payload's signature, from its descriptor's annotations. Raises ``document.Malformed``."""
    text = dict(payload.annotations).get(ANNOTATION, "")
    if not 0 < len(text) <= _LONGEST_SIGNATURE:
        raise document.Malformed(f"a signature of {counts.counted(len(text), 'character')} is none")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise document.Malformed(f"a signature is not Base64: {error}") from error


def read(data: bytes) -> Payload:
    """Read a payload. Raises ``document.Malformed``."""
    critical = document.parse(data, "payload").child("critical")
    if critical.text("type") != TYPE:
        raise document.Malformed(f"payload.critical.type must be {TYPE!r}")
    image = critical.child("image").text("docker-manifest-digest")
    name = critical.child("identity").text("docker-reference", default="")
    try:
        digest.parse(image)
        return Payload(image, reference.parse(name) if name else None)
    except (digest.InvalidDigest, reference.InvalidReference) as error:
        raise document.Malformed(f"payload.critical: {error}") from error
