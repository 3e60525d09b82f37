"""Signature algorithms of cosign and compatible tools; the only module that imports ``cryptography``."""

import hashlib
from collections.abc import Callable, Iterable

from cryptography import exceptions
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from agent.engine.images import ed25519ph

_HASHES: dict[str, tuple[hashes.HashAlgorithm, ...]] = {
    ec.SECP256R1.name: (hashes.SHA256(),),
    ec.SECP384R1.name: (hashes.SHA384(), hashes.SHA256()),
    ec.SECP521R1.name: (hashes.SHA512(), hashes.SHA256()),
}
"""Hashes by curve: cosign's since 2.6, and those before."""
_SHORTEST_RSA = 2048
"""Bits (NIST SP 800-131A): shorter keys are not accepted."""

Check = Callable[[bytes, bytes], bool]


def of(pem: bytes) -> tuple[str, Check]:
    """Return a public key's fingerprint, and a check whether a signature over data is by it.

    ECDSA over the NIST's curves, with SHA-256 or the hash that goes with the curve, RSA (PKCS #1 v1.5) with SHA-256,
    Ed25519 and Ed25519ph. Raises ``ValueError``.
    """
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, exceptions.UnsupportedAlgorithm) as error:
        raise ValueError("it is no public key in PEM form") from error
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(encoded).hexdigest()}", _check(key)


def _check(key: object) -> Check:
    match key:
        case ec.EllipticCurvePublicKey() if key.curve.name in _HASHES:
            return _any(_ecdsa(key, algorithm) for algorithm in _HASHES[key.curve.name])
        case ed25519.Ed25519PublicKey():
            raw = key.public_bytes_raw()
            return _any((_passing(key.verify), lambda signature, data: ed25519ph.verify(raw, signature, data)))
        case rsa.RSAPublicKey() if key.key_size >= _SHORTEST_RSA:
            return _passing(lambda signature, data: key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256()))
        case rsa.RSAPublicKey():
            raise ValueError(f"an RSA key of {key.key_size} bits is too short: {_SHORTEST_RSA} at least")
        case _:
            raise ValueError("it must be ECDSA (P-256, P-384, P-521), Ed25519 or RSA")


def _ecdsa(key: ec.EllipticCurvePublicKey, algorithm: hashes.HashAlgorithm) -> Check:
    return _passing(lambda signature, data: key.verify(signature, data, ec.ECDSA(algorithm)))


def _any(checks: Iterable[Check]) -> Check:
    alternatives = tuple(checks)
    return lambda signature, data: any(check(signature, data) for check in alternatives)


def _passing(verify: Callable[[bytes, bytes], None]) -> Check:
    def check(signature: bytes, data: bytes) -> bool:
        try:
            verify(signature, data)
        except exceptions.InvalidSignature:
            return False
        return True

    return check
