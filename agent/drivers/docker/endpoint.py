"""Where an engine is: what people have set for its own command line holds for us too."""

import dataclasses
import hashlib
import json
import pathlib
import re
import urllib.parse
from collections.abc import Iterable, Mapping

from agent import errors

DOCKER_SOCKETS = ("/run/docker.sock", "/var/run/docker.sock")
PODMAN_SOCKETS = ("/run/podman/podman.sock",)
_SCHEMES = ("unix", "tcp", "http", "https", "ssh")


class BadEndpoint(errors.TrimtabError):
    """There is no engine where one is looked for, or what is set cannot be an address of one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """An engine's address."""

    flavour: str
    """``docker`` or ``podman``: whose command is asked for on the other side of ssh."""
    url: str
    context: str = ""
    """Docker's context that it is of; empty for none. Its certificates are found by this name."""

    @property
    def local(self) -> bool:
        """Tell whether its containers are on this host, so that their addresses can be reached from here."""
        return self.url.startswith("unix://")

    def __str__(self) -> str:
        """Name it for people, without what may be a password in it."""
        parts = urllib.parse.urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}"


def find(flavour: str, environment: Mapping[str, str]) -> Endpoint:
    """Give the address of an engine, as its own command line would choose it. Raises ``BadEndpoint``.

    Docker: ``DOCKER_HOST``, ``DOCKER_CONTEXT`` or the current context, the usual socket. Podman: ``CONTAINER_HOST``,
    the usual socket.
    """
    if flavour == "podman":
        return _checked(
            Endpoint(
                flavour, environment.get("CONTAINER_HOST") or _socket(PODMAN_SOCKETS, "systemctl start podman.socket")
            )
        )
    if environment.get("DOCKER_HOST"):
        return _checked(Endpoint(flavour, environment["DOCKER_HOST"]))
    folder = pathlib.Path(environment.get("DOCKER_CONFIG") or pathlib.Path(environment.get("HOME", "/"), ".docker"))
    name = environment.get("DOCKER_CONTEXT") or _current_context(folder)
    if name and name != "default":
        return _checked(_of_context(flavour, folder, name))
    return _checked(Endpoint(flavour, _socket(DOCKER_SOCKETS, "systemctl start docker")))


def is_local(flavour: str, environment: Mapping[str, str]) -> bool:
    """Tell whether the engine is on this host, also where it does not run now. Raises ``BadEndpoint``."""
    chosen = environment.get("CONTAINER_HOST" if flavour == "podman" else "DOCKER_HOST")
    if chosen or environment.get("DOCKER_CONTEXT"):
        return find(flavour, environment).local
    try:
        return find(flavour, environment).local
    except BadEndpoint:
        return True


def _checked(found: Endpoint) -> Endpoint:
    try:
        parts = urllib.parse.urlsplit(found.url)
        good = parts.scheme in _SCHEMES and found.url.startswith(f"{parts.scheme}://") and parts.port != 0
    except ValueError:
        good = False
    if not good:
        shown = re.sub(r"[^/]*@", "", found.url)[:100]  # what stands before it may be a password
        raise BadEndpoint(
            f"{shown!r} is no address of an engine", hint=f"begin with one of {', '.join(_SCHEMES)}, and ://"
        )
    return found


def _socket(candidates: Iterable[str], start: str) -> str:
    paths = [pathlib.Path(path) for path in candidates]
    found = next((path for path in paths if path.is_socket()), None)
    if found is None:
        raise BadEndpoint(f"no engine listens on {paths[0]}", hint=f"{start}, or set DOCKER_HOST or CONTAINER_HOST")
    return f"unix://{found}"


def _current_context(folder: pathlib.Path) -> str:
    try:
        told = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return ""
    name = told.get("currentContext") if isinstance(told, dict) else None
    return name if isinstance(name, str) else ""


def _of_context(flavour: str, folder: pathlib.Path, name: str) -> Endpoint:
    """Read a context, as ``docker context create`` has written it."""
    path = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
    try:
        url = json.loads(path.read_bytes())["Endpoints"]["docker"]["Host"]
    except FileNotFoundError as error:
        raise BadEndpoint(f"there is no Docker context {name[:100]!r}", hint="see docker context ls") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadEndpoint(
            f"the Docker context {name[:100]!r} cannot be read from {path}", hint="make it anew"
        ) from error
    return Endpoint(flavour, str(url), name)
