"""Who we are to a registry: what ``docker login`` and ``podman login`` keep, and what registries challenge us with."""

import asyncio
import dataclasses
import os
import pathlib
import re
from collections.abc import Iterable, Mapping

from agent.engine.registry import keychain
from agent.oci import auths, reference

_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s",]+))')
_HUB_KEY = "https://index.docker.io/v1/"
"""What ``docker login`` calls Docker Hub, for reasons of history."""
_TOKEN_USER = "<token>"  # noqa: S105 - the name by which a keychain says that its secret is an identity token


Credentials = auths.Credentials


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
        told = await asyncio.to_thread(_read, path)
        for place in auths.places(registry, repository):
            found = await _kept(told, place)
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


class Keyring:
    """Logins that were declared to us, and behind them what this host knows."""

    def __init__(self) -> None:
        """Nothing is declared."""
        self._declared: Mapping[str, Credentials] = {}

    def declare(self, logins: Mapping[str, Credentials]) -> bool:
        """Know these from now on, by what they are for, and no others; tell whether that is something new."""
        news = logins != self._declared
        self._declared = dict(logins)
        return news

    async def find(self, registry: str, repository: str) -> Credentials | None:
        """Give what is shown at a repository; ``None`` where that is nothing. Raises as ``find``."""
        for place in auths.places(registry, repository):
            if place in self._declared:
                return self._declared[place]
        return await known(registry, repository)


async def _kept(told: auths.Auths, place: str) -> Credentials | None:
    """Give what one file says of a place, a keychain first."""
    keychain_of, server = told.keychains.get(place, ("", ""))
    if not keychain_of and "/" not in place:
        keychain_of, server = told.keychain, _HUB_KEY if place == reference.DEFAULT_REGISTRY else place
    answer = await keychain.ask(keychain_of, server) if keychain_of else None
    if answer is not None:
        user, secret = answer
        return Credentials(identity_token=secret) if user == _TOKEN_USER else Credentials(user, secret)
    return told.entries.get(place)


def _read(path: pathlib.Path) -> auths.Auths:
    """Read a file; what cannot be read of it says nothing."""
    try:
        data = path.read_bytes()
    except OSError:
        data = b""
    return auths.parse(data) or _NOTHING


_NOTHING = auths.Auths({}, {}, "", ())
