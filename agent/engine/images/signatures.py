"""Whose images may run: rules by repository, and signatures as cosign makes them ("simple signing"). Pure.

A signature is made over a payload, a small JSON document that names the digest of a manifest. The payload's words are
believed only once a key that a rule names has signed its very bytes.
"""

import base64
import binascii
import dataclasses
import fnmatch
import json
import pathlib
from collections.abc import Collection, Iterable

from cryptography import exceptions
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from agent.engine import errors
from agent.oci import descriptor, digest, reference

PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
"""The media type of a payload, which is a layer of the signatures' manifest."""
_SIGNATURE = "dev.cosignproject.cosign/signature"
_TYPE = "cosign container image signature"
_LARGEST_SIGNATURE = 16 * 1024
_LEAST_RSA = 2048

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """Images of some repositories must be signed."""

    match: str
    """A pattern of ``registry/repository``, where ``*`` is any text: ``registry.example/team/*``."""
    keys: tuple[pathlib.Path, ...]
    """Public keys (PEM); a signature by any of them will do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """A public key."""

    key: PublicKey
    fingerprint: str
    """The digest of the key itself, in whatever file it stands."""

    def signed(self, payload: bytes, signature: bytes) -> bool:
        """Tell whether its owner has signed some bytes."""
        try:
            match self.key:
                case ec.EllipticCurvePublicKey():
                    self.key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
                case ed25519.Ed25519PublicKey():
                    self.key.verify(signature, payload)
                case rsa.RSAPublicKey():
                    self.key.verify(signature, payload, padding.PKCS1v15(), hashes.SHA256())
        except exceptions.InvalidSignature:
            return False
        return True


@dataclasses.dataclass(frozen=True, slots=True)
class Signed:
    """A payload, and what is said to be its signature."""

    payload: bytes
    signature: bytes


def rule_for(rules: Iterable[Rule], source: reference.Reference) -> Rule | None:
    """Give the first rule that holds for a repository."""
    name = repository(source)
    return next((rule for rule in rules if fnmatch.fnmatchcase(name, rule.match)), None)


def repository(source: reference.Reference) -> str:
    """Give what rules are about: ``registry/repository``."""
    return f"{source.registry}/{source.repository}"


def key(data: bytes, place: str) -> Key:
    """Read a public key (PEM). Raises ``errors.Refused`` (``KeyUnusable``)."""
    hint = "it must be a public key in PEM, as cosign.pub is: ECDSA, Ed25519, or RSA of 2048 bits and more"
    try:
        found = serialization.load_pem_public_key(data)
    except (ValueError, exceptions.UnsupportedAlgorithm) as error:
        raise errors.Refused(f"{place} is no public key", hint=hint, reason="KeyUnusable") from error
    weak = isinstance(found, rsa.RSAPublicKey) and found.key_size < _LEAST_RSA
    if weak or not isinstance(found, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey):
        raise errors.Refused(f"{place} is a key of another kind", hint=hint, reason="KeyUnusable")
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Key(found, digest.of(found.public_bytes(*form)))


def place(wanted: str) -> str:
    """Give the tag under which cosign keeps the signatures of a digest."""
    return wanted.replace(":", "-") + ".sig"


def signature(layer: descriptor.Descriptor) -> bytes | None:
    """Give the signature that comes with a payload; ``None`` where there is none that could be one."""
    text = dict(layer.annotations).get(_SIGNATURE, "")
    if layer.media_type != PAYLOAD or not text or len(text) > _LARGEST_SIGNATURE:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def signer(signed: Signed, keys: Collection[Key], source: reference.Reference, wanted: str) -> Key | str:
    """Give the key whose owner vouches for the manifest ``wanted`` of a repository, or why nobody does."""
    found = next((one for one in keys if one.signed(signed.payload, signed.signature)), None)
    if found is None:
        return "by none of the rule's keys"
    try:
        critical = json.loads(signed.payload)["critical"]
        kind, named = critical["type"], critical["image"]["docker-manifest-digest"]
        identity = critical["identity"]["docker-reference"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return "over something that is no payload of cosign's"
    if kind != _TYPE:
        return "over something that is no payload of cosign's"
    if named != wanted:
        return "of another image"
    if identity and not _same(identity, source):
        return "of another repository"
    return found


def _same(identity: object, source: reference.Reference) -> bool:
    """Tell whether a signed identity is the repository; a tag in it may have moved since."""
    try:
        return isinstance(identity, str) and repository(reference.parse(identity)) == repository(source)
    except reference.InvalidReference:
        return False
