"""A server of tokens as registries send their clients to (distribution, "Token Authentication" and "OAuth2").

Its tokens are signed with a key of its own, which registries know by a certificate.
"""

import base64
import contextlib
import dataclasses
import datetime as dt
import json
import pathlib
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests import faulty_registry as faulty

ISSUER, SERVICE = "the tests", "registry of the tests"
IDENTITY = "identity+token/of=pilot"
"""What stands for the login of ``tests.registry.USER``."""


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """A request for a token."""

    method: str
    shown: str
    fields: Mapping[str, str]


class TokenServer:
    """Issues tokens: for ``public/...`` to everybody, for other repositories to those who show the right login."""

    def __init__(self, folder: pathlib.Path) -> None:
        """Make a key, and a certificate of it in ``folder``."""
        self.address = ""
        self.asked: list[Asked] = []
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._certificate = _certificate(self._key)
        self._bundle = folder / "tokens.pem"
        self._bundle.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def settings(self) -> dict[str, str]:
        """Return the registry's token settings."""
        return {
            "realm": f"http://{self.address}/token",
            "service": SERVICE,
            "issuer": ISSUER,
            "rootcertbundle": str(self._bundle),
        }

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return a token, or none."""
        fields = {**request.query, **(await request.post() if request.method == "POST" else {})}
        shown = request.headers.get("Authorization", "")
        self.asked.append(Asked(request.method, shown, {key: str(value) for key, value in fields.items()}))
        may_push = shown == faulty.LOGIN or (fields.get("grant_type"), fields.get("refresh_token")) == (
            "refresh_token",
            IDENTITY,
        )
        if (shown or request.method == "POST") and not may_push:
            return web.json_response({"errors": [{"code": "UNAUTHORIZED"}]}, status=401)
        token = self._token(str(fields.get("scope", "")), may_push=may_push)
        return web.json_response({"access_token" if request.method == "POST" else "token": token, "expires_in": 60})

    def _token(self, scope: str, *, may_push: bool) -> str:
        kind, name, actions = scope.split(":")
        allowed = actions.split(",") if may_push else ["pull"] if name.startswith("public/") else []
        now = int(time.time())
        header = {"typ": "JWT", "alg": "RS256", "x5c": [self._encoded_certificate()]}
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "sub": "",
            "aud": SERVICE,
            "jti": secrets.token_hex(8),
            "iat": now,
            "nbf": now - 10,
            "exp": now + 60,
            "access": [{"type": kind, "name": name, "actions": allowed}],
        }
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{_encoded(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def _encoded_certificate(self) -> str:
        return base64.b64encode(self._certificate.public_bytes(serialization.Encoding.DER)).decode()


@contextlib.asynccontextmanager
async def served(folder: pathlib.Path) -> AsyncIterator[TokenServer]:
    """Run one on a free port."""
    server = TokenServer(folder)
    async with faulty.listening(server.answer) as address:
        server.address = address
        yield server


def _certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tokens of the tests")])
    now = dt.datetime.now(dt.UTC)
    building = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    building = building.serial_number(x509.random_serial_number())
    building = building.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
    building = building.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return building.sign(key, hashes.SHA256())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
