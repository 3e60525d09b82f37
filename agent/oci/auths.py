"""Logins as ``docker login`` and ``podman login`` store them: by registry or registry path.

Source: containers-auth.json(5).
"""

import base64
import dataclasses
import json
from collections.abc import Mapping

from agent.kit import frozen
from agent.oci import reference


@frozen.value
class Credentials:
    """A name and a password, or an identity token that stands for both. Its text never shows them."""

    user: str = dataclasses.field(default="", repr=False)
    password: str = dataclasses.field(default="", repr=False)
    identity_token: str = dataclasses.field(default="", repr=False)

    def basic(self) -> str:
        """Return ``user:password`` in Base64 (RFC 7617, UTF-8); empty where there is only an identity token."""
        if self.identity_token and not self.password:
            return ""
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"


@frozen.value
class Auths:
    """The logins and credential helpers of one document."""

    entries: Mapping[str, Credentials]
    """Credentials by registry or registry path (``registry/namespace``)."""
    keychains: Mapping[str, tuple[str, str]]
    """By registry: a credential helper, and the key under which it has the login."""
    keychain: str
    """The credential helper of all other registries; empty: none."""
    unreadable: tuple[str, ...]
    """Keys of entries that contain no login."""


def parse(data: bytes | str) -> Auths | None:
    """Read a document; ``None`` where it is no JSON object. Invalid parts of it are skipped."""
    try:
        config = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(config, dict):
        return None
    entries: dict[str, Credentials] = {}
    unreadable: list[str] = []
    for key, entry in _sorted(config.get("auths")):
        credentials = _entry(entry)
        if credentials is None:
            unreadable.append(key)
        else:
            entries.setdefault(registry_path(key), credentials)
    helpers = ((key, name) for key, name in _sorted(config.get("credHelpers")) if isinstance(name, str) and name)
    keychains: dict[str, tuple[str, str]] = {}
    for key, name in helpers:
        keychains.setdefault(registry_path(key), (name, key))
    store = config.get("credsStore")
    return Auths(entries, keychains, store if isinstance(store, str) else "", tuple(unreadable))


def registry_path(key: str) -> str:
    """Return a key without scheme and API path: ``registry/namespace``, or the registry where the key is a URL."""
    bare = key.removeprefix("https://").removeprefix("http://")
    registry, _, remainder = bare.partition("/")
    registry = reference.canonical_registry(registry)
    namespace = remainder.strip("/")
    return registry if bare != key or namespace in {"", "v1", "v2"} else f"{registry}/{namespace}"


def lookup_paths(registry: str, repository: str) -> list[str]:
    """Return the keys that a repository's login may have, the longest path first and the registry last."""
    names = [registry, *filter(None, repository.split("/"))]
    return ["/".join(names[:count]) for count in range(len(names), 0, -1)]


def _sorted(value: object) -> list[tuple[str, object]]:
    """Return an object's members, those first whose keys are spelt as references spell registries."""
    members = value.items() if isinstance(value, dict) else ()
    return sorted(members, key=lambda member: member[0] != registry_path(member[0]))


def _entry(entry: object) -> Credentials | None:
    if not isinstance(entry, dict):
        return None
    user, password, token = (
        value if isinstance(value, str) else "" for value in map(entry.get, ("username", "password", "identitytoken"))
    )
    encoded = entry.get("auth")
    if encoded and isinstance(encoded, str):
        try:
            user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            colon = ""
        if not colon:
            user = password = ""
    return Credentials(user, password.strip("\0"), token) if user or token else None
