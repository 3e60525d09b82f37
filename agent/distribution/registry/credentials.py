"""Logins: those that ``docker login`` and ``podman login`` keep, declared ones, and registries' challenges."""

import asyncio
import os
import pathlib
import re
from collections.abc import Iterable, Mapping

from agent.distribution.registry import credential_helper
from agent.kit import frozen
from agent.oci import auths, reference

_PARAMETER = re.compile(r"""([!#$%&'*+.^`|~\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))""", re.ASCII)
"""A parameter of a challenge (RFC 9110): a token, and a token or a quoted text with backslash escapes."""
_HUB_KEY = "https://index.docker.io/v1/"
"""Docker Hub's key in ``docker login``'s file, for historical reasons."""
_TOKEN_USER = "<token>"  # noqa: S105 - the user name of a credential helper's answer whose secret is an identity token


Credentials = auths.Credentials


@frozen.value
class Challenge:
    """An authentication challenge (RFC 9110, ``WWW-Authenticate``)."""

    scheme: str
    """``basic`` or ``bearer``."""
    realm: str
    service: str
    scope: str


def config_path() -> pathlib.Path:
    """Return the path of the file that ``docker login`` writes."""
    folder = os.environ.get("DOCKER_CONFIG") or str(pathlib.Path("~/.docker").expanduser())
    return pathlib.Path(folder, "config.json")


def paths() -> tuple[pathlib.Path, ...]:
    """Return all files that may hold logins, in the order in which they are read: Docker's, then Podman's two.

    Where ``REGISTRY_AUTH_FILE`` names one, that is the only one, as it is for Podman and skopeo.
    """
    if named := os.environ.get("REGISTRY_AUTH_FILE"):
        return (pathlib.Path(named),)
    running = os.environ.get("XDG_RUNTIME_DIR") or f"/run/containers/{os.getuid()}"
    lasting = os.environ.get("XDG_CONFIG_HOME") or str(pathlib.Path("~/.config").expanduser())
    podman = "auth.json" if not os.environ.get("XDG_RUNTIME_DIR") else "containers/auth.json"
    return (config_path(), pathlib.Path(running, podman), pathlib.Path(lasting, "containers/auth.json"))


async def find_on_host(registry: str, repository: str) -> Credentials | None:
    """Return this host's login for a repository; ``None`` where it has none. Raises as ``find``."""
    return await find(registry, repository, paths())


async def find(registry: str, repository: str, files: Iterable[pathlib.Path]) -> Credentials | None:
    """Return the login for a repository: in each file its own entry comes before its registry's.

    Raises ``errors.InvalidArgument`` and ``errors.Unavailable`` (``CredentialHelperFailed``).
    """
    for path in files:
        stored = await asyncio.to_thread(_read, path)
        for key in auths.lookup_paths(registry, repository):
            login = await _kept(stored, key)
            if login is not None:
                return login
    return None


def challenge(header: str) -> Challenge | None:
    """Read a ``WWW-Authenticate`` header, of several challenges in one the first; ``None`` for an unknown scheme."""
    scheme, _, parameters = header.strip().partition(" ")
    if scheme.lower() not in {"basic", "bearer"}:
        return None
    parts: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(parameters):
        parts.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or plain)
    return Challenge(scheme.lower(), parts.get("realm", ""), parts.get("service", ""), parts.get("scope", ""))


class CredentialStore:
    """Declared logins, with this host's own as a fallback."""

    def __init__(self) -> None:
        """Start without declared logins."""
        self._declared: Mapping[str, Credentials] = {}

    def declare(self, logins: Mapping[str, Credentials]) -> bool:
        """Replace the declared logins, by registry or repository; return whether that changed any."""
        news = logins != self._declared
        self._declared = dict(logins)
        return news

    async def find(self, registry: str, repository: str) -> Credentials | None:
        """Return the login for a repository; ``None`` where there is none. Raises as ``find``."""
        for key in auths.lookup_paths(registry, repository):
            if key in self._declared:
                return self._declared[key]
        return await find_on_host(registry, repository)


async def _kept(stored: auths.Auths, key: str) -> Credentials | None:
    """Return the login that one file has for a key; a credential helper comes first."""
    helper, server = stored.keychains.get(key, ("", ""))
    if not helper and "/" not in key:
        helper, server = stored.keychain, _HUB_KEY if key == reference.DEFAULT_REGISTRY else key
    answer = await credential_helper.ask(helper, server) if helper else None
    if answer is not None:
        user, secret = answer
        return Credentials(identity_token=secret) if user == _TOKEN_USER else Credentials(user, secret)
    return stored.entries.get(key)


def _read(path: pathlib.Path) -> auths.Auths:
    """Read a file; what cannot be read of it says nothing."""
    try:
        data = path.read_bytes()
    except OSError:
        data = b""
    return auths.parse(data) or _NOTHING


_NOTHING = auths.Auths({}, {}, "", ())
