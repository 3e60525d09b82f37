"""How signatures are made that cosign and those after it make: the only place that knows ``cryptography``."""

import hashlib
from collections.abc import Callable

from cryptography import exceptions
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_SHORTEST_RSA = 2048
"""Bits (NIST SP 800-131A): a shorter one does not say who has signed."""

Check = Callable[[bytes, bytes], bool]


def of(pem: bytes) -> tuple[str, Check]:
    """Give a public key's fingerprint, and what tells whether a signature over data is by it.

    ECDSA over the NIST's curves and RSA (PKCS #1 v1.5) with SHA-256, and Ed25519. Raises ``ValueError``.
    """
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, exceptions.UnsupportedAlgorithm) as error:
        raise ValueError("it is no public key in PEM form") from error
    told = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(told).hexdigest()}", _check(key)


def _check(key: object) -> Check:
    match key:
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, _CURVES):
            return _passing(lambda signature, data: key.verify(signature, data, ec.ECDSA(hashes.SHA256())))
        case ed25519.Ed25519PublicKey():
            return _passing(key.verify)
        case rsa.RSAPublicKey() if key.key_size >= _SHORTEST_RSA:
            return _passing(lambda signature, data: key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256()))
        case rsa.RSAPublicKey():
            raise ValueError(f"an RSA key of {key.key_size} bits is too short: {_SHORTEST_RSA} at least")
        case _:
            raise ValueError("it must be ECDSA (P-256, P-384, P-521), Ed25519 or RSA")


def _passing(verify: Callable[[bytes, bytes], None]) -> Check:
    def check(signature: bytes, data: bytes) -> bool:
        try:
            verify(signature, data)
        except exceptions.InvalidSignature:
            return False
        return True

    return check
