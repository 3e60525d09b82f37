"""Signatures of images as ``cosign sign --key`` makes them, by keys that are made here."""

import base64
import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa

from agent.engine.images import signatures
from agent.oci import mediatypes, simple_signing
from tests import faulty_registry as faulty
from tests import registry

CONFIG = b"{}"
_MAKE: dict[str, Callable[[], Any]] = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "RSA-1024": lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505 - it is to be refused
    "DSA": lambda: dsa.generate_private_key(1024),  # noqa: S505 - likewise
}
KINDS = ("P-256", "P-384", "P-521", "Ed25519", "RSA")
"""Of keys that count."""


@dataclasses.dataclass(frozen=True, slots=True)
class Signer:
    """A signer with its key."""

    key: Any
    path: pathlib.Path
    """The public key."""

    def rule(self, match: str) -> signatures.Rule:
        """Return the rule that requires a signature by this key."""
        return signatures.Rule(match, (self.path,))

    def sign(self, data: bytes) -> bytes:
        """Sign."""
        match self.key:
            case ec.EllipticCurvePrivateKey():
                return self.key.sign(data, ec.ECDSA(hashes.SHA256()))
            case rsa.RSAPrivateKey():
                return self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())
            case _:
                return bytes(self.key.sign(data))

    def signed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what is signed, with the signature."""
        return data, self.sign(data)


def signer(folder: pathlib.Path, kind: str = "P-256", name: str = "cosign") -> Signer:
    """Make a key, and write its public half."""
    key = _MAKE[kind]()
    path = folder / f"{name}.pub"
    path.write_bytes(pem(key))
    return Signer(key, path)


def pem(key: Any) -> bytes:
    """Return a key's public half."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    data: bytes = key.public_key().public_bytes(serialization.Encoding.PEM, form)
    return data


def payload(image: str, name: str = "", kind: str = simple_signing.TYPE) -> bytes:
    """Return what is to be signed of an image."""
    identity = {"docker-reference": name}
    critical = {"identity": identity, "image": {"docker-manifest-digest": image}, "type": kind}
    return json.dumps({"critical": critical, "optional": None}).encode()


def layer(data: bytes, signature: bytes | str, **fields: Any) -> dict[str, Any]:
    """Return the descriptor of a payload, with its signature; text is taken as it is."""
    text = signature if isinstance(signature, str) else base64.b64encode(signature).decode()
    return faulty.entry(simple_signing.MEDIA_TYPE, data, annotations={simple_signing.ANNOTATION: text}, **fields)


def manifest(*layers: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest of signatures."""
    config = faulty.entry(mediatypes.CONFIG, CONFIG)
    return {"schemaVersion": 2, "mediaType": mediatypes.MANIFEST, "config": config, "layers": list(layers)}


def push(repository: str, image: str, *signed: tuple[bytes, bytes | str]) -> None:
    """Push signatures of an image (its digest) to a real registry: ``address/repository``."""
    registry.push_blob(repository, CONFIG)
    for data, _ in signed:
        registry.push_blob(repository, data)
    registry.push_manifest(f"{repository}:{simple_signing.tag(image)}", manifest(*(layer(*item) for item in signed)))


def serve(server: faulty.Server, image: str, *signed: tuple[bytes, bytes | str]) -> None:
    """Serve signatures of an image of ``app``."""
    for data, _ in signed:
        server.answers[f"/v2/app/blobs/{faulty.entry('', data)['digest']}"] = faulty.says(data)
    server.answers[path(image)] = faulty.says(json.dumps(manifest(*(layer(*item) for item in signed))).encode())


def path(image: str) -> str:
    """Return where a registry is asked for the signatures of an image of ``app``."""
    return f"/v2/app/manifests/{simple_signing.tag(image)}"
