"""Simple signing, as cosign keeps it in registries: what is signed is a small JSON document that names one image.

Sources: cosign's ``specs/SIGNATURE_SPEC.md``; the payload is that of containers/image (``atomic-signature(5)``). An
image's signatures are the layers of a manifest at a tag that is made of the image's digest.
"""

import base64
import dataclasses

from agent.oci import descriptor, digest, document, manifest, reference

MEDIA_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
ANNOTATION = "dev.cosignproject.cosign/signature"
TYPE = "cosign container image signature"
LARGEST_PAYLOAD = 64 * 1024
"""Bytes; cosign's own have some hundred."""
_LONGEST_SIGNATURE = 8192
"""Characters: RSA's longest keys need a tenth of it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Payload:
    """What somebody has signed."""

    digest: str
    """Of the image: a manifest or an index."""
    name: reference.Reference | None
    """Under which it was signed; ``None`` where the payload says none."""


def tag(image: str) -> str:
    """Give the tag at which the signatures of an image are, by the image's digest."""
    return f"{'-'.join(digest.parse(image))}.sig"


def signatures(data: bytes, media_type: str = "") -> tuple[descriptor.Descriptor, ...]:
    """Give the payloads that a manifest of signatures names, in its order. Raises ``document.Malformed``."""
    parsed = manifest.parse(data, media_type)
    if not isinstance(parsed, manifest.Manifest):
        raise document.Malformed("manifest is an index, and not one of signatures")
    found = tuple(layer for layer in parsed.layers if layer.media_type == MEDIA_TYPE)
    if not found:
        raise document.Malformed("manifest has no signatures in it")
    return found


def signature(payload: descriptor.Descriptor) -> bytes:
    """Give the signature that comes with a payload. Raises ``document.Malformed``."""
    text = dict(payload.annotations).get(ANNOTATION, "")
    if not 0 < len(text) <= _LONGEST_SIGNATURE:
        raise document.Malformed(f"a signature of {len(text)} characters is none")
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
