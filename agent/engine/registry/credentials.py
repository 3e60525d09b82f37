"""Who we are to a registry: ``docker login``'s configuration file, and the challenges that registries answer with."""

import asyncio
import base64
import dataclasses
import json
import os
import pathlib
import re

_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s",]+))')
_HUB_KEY = "https://index.docker.io/v1/"
"""What ``docker login`` calls Docker Hub, for reasons of history."""


@dataclasses.dataclass(frozen=True, slots=True)
class Credentials:
    """A name and a password. Its text never shows them."""

    user: str = dataclasses.field(repr=False)
    password: str = dataclasses.field(repr=False)

    def basic(self) -> str:
        """Give them as ``Authorization`` has them (RFC 7617, in UTF-8)."""
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"


@dataclasses.dataclass(frozen=True, slots=True)
class Challenge:
    """What a registry wants (RFC 9110, ``WWW-Authenticate``)."""

    scheme: str
    """``basic`` or ``bearer``."""
    realm: str
    service: str
    scope: str


def config_path() -> pathlib.Path:
    """Give where ``docker login`` keeps what it knows."""
    folder = os.environ.get("DOCKER_CONFIG") or str(pathlib.Path("~/.docker").expanduser())
    return pathlib.Path(folder, "config.json")


def find(registry: str, path: pathlib.Path) -> Credentials | None:
    """Look a registry up in the configuration file; ``None`` where there is nothing usable for it."""
    try:
        entries = json.loads(path.read_bytes()).get("auths", {})
    except (OSError, ValueError, AttributeError):
        return None
    for key in (registry, f"https://{registry}", *([_HUB_KEY] if registry == "docker.io" else [])):
        entry = entries.get(key) if isinstance(entries, dict) else None
        if isinstance(entry, dict) and isinstance(entry.get("auth"), str):
            return _decode(entry["auth"])
    return None


async def known(registry: str) -> Credentials | None:
    """Give what this host knows to be let in to a registry; ``None`` where there is nothing usable for it."""
    return await asyncio.to_thread(find, registry, config_path())


def challenge(header: str) -> Challenge | None:
    """Read a ``WWW-Authenticate`` header, of several challenges in one the first; ``None`` for an unknown scheme."""
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() not in {"basic", "bearer"}:
        return None
    parts: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(rest):
        parts.setdefault(name.lower(), quoted or plain)
    return Challenge(scheme.lower(), parts.get("realm", ""), parts.get("service", ""), parts.get("scope", ""))


def _decode(encoded: str) -> Credentials | None:
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return None
    return Credentials(user, password.strip("\0")) if colon else None
