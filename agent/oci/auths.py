"""Logins as ``docker login`` and ``podman login`` write them down: by registry, or by a part of one.

Source: containers-auth.json(5).
"""

import base64
import dataclasses
import json
from collections.abc import Mapping

from agent.oci import reference

_HUB_NAMES = frozenset({"index.docker.io", "registry-1.docker.io"})
"""What ``docker login`` calls Docker Hub, for reasons of history."""


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
class Auths:
    """What one document says."""

    entries: Mapping[str, Credentials]
    """By what they are for: a registry, or a part of one (``registry/namespace``)."""
    keychains: Mapping[str, tuple[str, str]]
    """By what they are for: a keychain, and the name under which it knows that."""
    keychain: str
    """Of all registries that none is named for; empty where there is none."""
    unreadable: tuple[str, ...]
    """Keys of entries that are no logins."""


def parse(data: bytes | str) -> Auths | None:
    """Read a document; ``None`` where it is no JSON object. What is wrong in it says nothing."""
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    entries: dict[str, Credentials] = {}
    unreadable: list[str] = []
    for key, entry in _sorted(told.get("auths")):
        found = _entry(entry)
        if found is None:
            unreadable.append(key)
        else:
            entries.setdefault(meant(key), found)
    helpers = ((key, name) for key, name in _sorted(told.get("credHelpers")) if isinstance(name, str) and name)
    keychains: dict[str, tuple[str, str]] = {}
    for key, name in helpers:
        keychains.setdefault(meant(key), (name, key))
    store = told.get("credsStore")
    return Auths(entries, keychains, store if isinstance(store, str) else "", tuple(unreadable))


def meant(key: str) -> str:
    """Give what a key is for: a part of a registry (``registry/namespace``), or all of it, as every address is."""
    bare = key.removeprefix("https://").removeprefix("http://")
    registry, _, rest = bare.partition("/")
    registry = reference.DEFAULT_REGISTRY if registry in _HUB_NAMES else registry
    namespace = rest.strip("/")
    return registry if bare != key or namespace in {"", "v1", "v2"} else f"{registry}/{namespace}"


def places(registry: str, repository: str) -> list[str]:
    """Give what a repository is part of, the narrowest first, and the registry last."""
    names = [registry, *filter(None, repository.split("/"))]
    return ["/".join(names[:count]) for count in range(len(names), 0, -1)]


def _sorted(told: object) -> list[tuple[str, object]]:
    """Give the members of an object, those first that are named as references name registries."""
    members = told.items() if isinstance(told, dict) else ()
    return sorted(members, key=lambda member: member[0] != meant(member[0]))


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
