"""Who we are to a registry: what ``docker login`` and ``podman login`` keep, and what registries challenge us with."""

import asyncio
import base64
import dataclasses
import json
import os
import pathlib
import re
from collections.abc import Iterable, Mapping

from agent.engine.registry import keychain
from agent.oci import reference

_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s",]+))')
_HUB_KEY = "https://index.docker.io/v1/"
"""What ``docker login`` calls Docker Hub, for reasons of history."""
_HUB_NAMES = frozenset({"index.docker.io", "registry-1.docker.io"})
_TOKEN_USER = "<token>"  # noqa: S105 - the name by which a keychain says that its secret is an identity token


@dataclasses.dataclass(frozen=True, slots=True)
class Credentials:
    """A name and a password, or an identity token that stands for both. Its text never shows them."""

    user: str = dataclasses.field(default="", repr=False)
    password: str = dataclasses.field(default="", repr=False)
    identity_token: str = dataclasses.field(default="", repr=False)

    def basic(self) -> str:
        """Give them as ``Authorization`` has them (RFC 7617, in UTF-8); empty where there is only an identity token."""
        if self.identity_token and not self.password:
            return ""
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


def paths() -> tuple[pathlib.Path, ...]:
    """Give all files that may know us, in the order in which they are asked: Docker's, and then Podman's two.

    Where ``REGISTRY_AUTH_FILE`` names one, that is the only one, as it is for Podman and skopeo.
    """
    if named := os.environ.get("REGISTRY_AUTH_FILE"):
        return (pathlib.Path(named),)
    running = os.environ.get("XDG_RUNTIME_DIR") or f"/run/containers/{os.getuid()}"
    lasting = os.environ.get("XDG_CONFIG_HOME") or str(pathlib.Path("~/.config").expanduser())
    podman = "auth.json" if not os.environ.get("XDG_RUNTIME_DIR") else "containers/auth.json"
    return (config_path(), pathlib.Path(running, podman), pathlib.Path(lasting, "containers/auth.json"))


async def known(registry: str, repository: str) -> Credentials | None:
    """Give what this host knows to be let at a repository; ``None`` where that is nothing. Raises as ``find``."""
    return await find(registry, repository, paths())


async def find(registry: str, repository: str, files: Iterable[pathlib.Path]) -> Credentials | None:
    """Look a repository up: in each file what is said of it alone comes before what is said of all of its registry.

    Raises ``errors.Refused`` and ``errors.Unavailable`` (``CredentialHelperFailed``).
    """
    for path in files:
        logins = await asyncio.to_thread(_read, path)
        for place in _places(registry, repository):
            found = await logins.find(place)
            if found is not None:
                return found
    return None


def challenge(header: str) -> Challenge | None:
    """Read a ``WWW-Authenticate`` header, of several challenges in one the first; ``None`` for an unknown scheme."""
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() not in {"basic", "bearer"}:
        return None
    parts: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(rest):
        parts.setdefault(name.lower(), quoted or plain)
    return Challenge(scheme.lower(), parts.get("realm", ""), parts.get("service", ""), parts.get("scope", ""))


@dataclasses.dataclass(frozen=True, slots=True)
class _Logins:
    """What one file says."""

    entries: Mapping[str, list[Credentials]]
    """By what they are for: a registry, or a part of one."""
    keychains: Mapping[str, tuple[str, str]]
    """By what they are for: a keychain, and the name under which it knows that."""
    keychain: str
    """Of all registries that none is named for; empty where there is none."""

    async def find(self, place: str) -> Credentials | None:
        keychain_of, server = self.keychains.get(place, ("", ""))
        if not keychain_of and "/" not in place:
            keychain_of, server = self.keychain, _HUB_KEY if place == reference.DEFAULT_REGISTRY else place
        told = await keychain.ask(keychain_of, server) if keychain_of else None
        if told is not None:
            user, secret = told
            return Credentials(identity_token=secret) if user == _TOKEN_USER else Credentials(user, secret)
        return next(iter(self.entries.get(place, ())), None)


def _read(path: pathlib.Path) -> _Logins:
    """Read a file; what cannot be read of it says nothing."""
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        told = {}
    members = told if isinstance(told, dict) else {}
    entries: dict[str, list[Credentials]] = {}
    for key, entry in _sorted(members.get("auths")):
        found = _entry(entry)
        if found is not None:
            entries.setdefault(_meant(key), []).append(found)
    helpers = ((key, name) for key, name in _sorted(members.get("credHelpers")) if isinstance(name, str) and name)
    keychains: dict[str, tuple[str, str]] = {}
    for key, name in helpers:
        keychains.setdefault(_meant(key), (name, key))
    store = members.get("credsStore")
    return _Logins(entries, keychains, store if isinstance(store, str) else "")


def _sorted(told: object) -> list[tuple[str, object]]:
    """Give the members of an object, those first that are named as references name registries."""
    members = told.items() if isinstance(told, dict) else ()
    return sorted(members, key=lambda member: member[0] != _meant(member[0]))


def _entry(told: object) -> Credentials | None:
    if not isinstance(told, dict):
        return None
    user, password, token = (
        value if isinstance(value, str) else "" for value in map(told.get, ("username", "password", "identitytoken"))
    )
    encoded = told.get("auth")
    if encoded and isinstance(encoded, str):
        try:
            user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            colon = ""
        if not colon:
            user = password = ""
    return Credentials(user, password.strip("\0"), token) if user or token else None


def _meant(key: str) -> str:
    """Give what a key is for: a part of a registry (``registry/namespace``), or all of it, as every address is."""
    bare = key.removeprefix("https://").removeprefix("http://")
    registry, _, rest = bare.partition("/")
    registry = reference.DEFAULT_REGISTRY if registry in _HUB_NAMES else registry
    namespace = rest.strip("/")
    return registry if bare != key or namespace in {"", "v1", "v2"} else f"{registry}/{namespace}"


def _places(registry: str, repository: str) -> list[str]:
    """Give what a repository is part of, the narrowest first, and the registry last."""
    names = [registry, *filter(None, repository.split("/"))]
    return ["/".join(names[:count]) for count in range(len(names), 0, -1)]
