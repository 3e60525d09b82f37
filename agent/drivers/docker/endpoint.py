"""The address of an engine, from the variables and contexts that its own command line reads."""

import hashlib
import json
import pathlib
import re
import urllib.parse
from collections.abc import Iterable, Mapping

from agent import errors
from agent.kit import frozen

DOCKER_SOCKETS = ("/run/docker.sock", "/var/run/docker.sock")
PODMAN_SOCKETS = ("/run/podman/podman.sock",)
_SCHEMES = ("unix", "tcp", "http", "https", "ssh")


class BadEndpoint(errors.TrimtabError):
    """No engine listens at the address, or the configured address is not valid."""


@frozen.value
class Endpoint:
    """An engine's address."""

    flavour: str
    """``docker`` or ``podman``: the command that is run on the other side of ssh."""
    url: str
    context: str = ""
    """The Docker context that the address comes from, which names its certificates; empty for none."""

    @property
    def is_local(self) -> bool:
        """Whether its containers are on this host, so that their addresses can be reached."""
        return self.url.startswith("unix://")

    def __str__(self) -> str:
        """Return the URL without user name and password."""
        parts = urllib.parse.urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}"


def find(flavour: str, environment: Mapping[str, str]) -> Endpoint:
    """Return the address of an engine, as its own command line would choose it. Raises ``BadEndpoint``.

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
    """Return whether the engine is on this host, whether or not it runs. Raises ``BadEndpoint``."""
    chosen = environment.get("CONTAINER_HOST" if flavour == "podman" else "DOCKER_HOST")
    if chosen or environment.get("DOCKER_CONTEXT"):
        return find(flavour, environment).is_local
    try:
        return find(flavour, environment).is_local
    except BadEndpoint:
        return True


def _checked(endpoint: Endpoint) -> Endpoint:
    try:
        parts = urllib.parse.urlsplit(endpoint.url)
        good = parts.scheme in _SCHEMES and endpoint.url.startswith(f"{parts.scheme}://") and parts.port != 0
    except ValueError:
        good = False
    if not good:
        shown = re.sub(r"[^/]*@", "", endpoint.url)[:100]  # what stands before it may be a password
        raise BadEndpoint(
            f"{shown!r} is no address of an engine", hint=f"begin with one of {', '.join(_SCHEMES)}, and ://"
        )
    return endpoint


def _socket(candidates: Iterable[str], start: str) -> str:
    paths = [pathlib.Path(path) for path in candidates]
    path = next((path for path in paths if path.is_socket()), None)
    if path is None:
        raise BadEndpoint(f"no engine listens on {paths[0]}", hint=f"{start}, or set DOCKER_HOST or CONTAINER_HOST")
    return f"unix://{path}"


def _current_context(folder: pathlib.Path) -> str:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_bytes())
    except OSError:
        return ""
    except ValueError as error:  # half written, or mistaken: another engine would be another world
        raise BadEndpoint(
            f"{path} does not say which context is current: it is no JSON", hint="mend it, or set DOCKER_HOST"
        ) from error
    name = config.get("currentContext") if isinstance(config, dict) else None
    return name if isinstance(name, str) else ""


def _of_context(flavour: str, folder: pathlib.Path, name: str) -> Endpoint:
    """Return the address in a context that ``docker context create`` has written."""
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
