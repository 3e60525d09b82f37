"""Signatures for tests, made and kept as cosign does it."""

import base64
import json
import pathlib
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from agent.engine.images import signatures
from tests import registry

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
CONFIG = b"{}"


def key(kind: str = "ecdsa") -> PrivateKey:
    """Make a key: ``ecdsa``, ``p384``, ``ed25519``, ``rsa``, ``weak``."""
    match kind:
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "rsa" | "weak":
            return rsa.generate_private_key(65537, 2048 if kind == "rsa" else 1024)
        case "p384":
            return ec.generate_private_key(ec.SECP384R1())
        case _:
            return ec.generate_private_key(ec.SECP256R1())


def public(made: PrivateKey, path: pathlib.Path) -> pathlib.Path:
    """Write the public half, as ``cosign.pub`` is."""
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    path.write_bytes(made.public_key().public_bytes(*form))
    return path


def payload(wanted: str, repository: str = "") -> bytes:
    """Give what is signed: ``wanted`` is the digest of a manifest."""
    critical = {
        "identity": {"docker-reference": repository},
        "image": {"docker-manifest-digest": wanted},
        "type": "cosign container image signature",
    }
    return json.dumps({"critical": critical, "optional": None}).encode()


def sign(made: PrivateKey, data: bytes) -> bytes:
    """Sign bytes."""
    match made:
        case ec.EllipticCurvePrivateKey():
            return made.sign(data, ec.ECDSA(hashes.SHA256()))
        case ed25519.Ed25519PrivateKey():
            return made.sign(data)
        case rsa.RSAPrivateKey():
            return made.sign(data, padding.PKCS1v15(), hashes.SHA256())


def push(repository: str, wanted: str, *layers: tuple[bytes, bytes]) -> None:
    """Keep (payload, signature) beside an image of ``address/repository`` in its registry."""
    told: list[dict[str, Any]] = [
        {
            **registry.push_blob(repository, data),
            "mediaType": signatures.PAYLOAD,
            "annotations": {"dev.cosignproject.cosign/signature": base64.b64encode(made).decode()},
        }
        for data, made in layers
    ]
    push_manifest(repository, wanted, told)


def push_manifest(repository: str, wanted: str, layers: list[dict[str, Any]]) -> None:
    """Push whatever is to stand where the signatures of a manifest are looked for."""
    config = {**registry.push_blob(repository, CONFIG), "mediaType": "application/vnd.oci.image.config.v1+json"}
    told = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": layers,
    }
    registry.push_manifest(f"{repository}:{signatures.place(wanted)}", told)


def signed(made: PrivateKey, repository: str, wanted: str) -> None:
    """Sign an image that a registry has."""
    data = payload(wanted, repository)
    push(repository, wanted, (data, sign(made, data)))
