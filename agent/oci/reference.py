"""Image references, as people write them and as they are meant: ``nginx`` is ``docker.io/library/nginx:latest``.

The grammar is that of the distribution project's ``reference`` package, with Docker's rules for short names. A registry
has one spelling here, so that rules, logins, mirrors and records mean it however it is written: lower case, no zeros
before a port, no default port, ``docker.io`` for all names of Docker Hub. An address is another name than the host name
that leads to it: only the network knows that both are one.
"""

import fnmatch
import ipaddress
import re
from collections.abc import Sequence

from agent.kit import frozen
from agent.oci import digest

DEFAULT_REGISTRY = "docker.io"
_HUB_NAMES = frozenset({"index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
"""Other host names of Docker Hub."""
_HTTPS, _HTTP = 443, 80
_OFFICIAL = "library/"
_LONGEST_NAME = 255
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[([0-9a-fA-F:.]+)\])(?::([0-9]{{1,5}}))?")
_LARGEST_PORT = 65535
_WILD = frozenset("*?")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)


class InvalidReference(ValueError):
    """A text that is no image reference."""


@frozen.value(order=True)
class Reference:
    """An image's full name. With a digest the tag has no meaning, and is kept as it was written."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    def __str__(self) -> str:
        """Return the canonical form, ``registry/repository[:tag][@digest]``."""
        tag = f":{self.tag}" if self.tag else ""
        pinned = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{pinned}"


def parse(text: str, default: str = DEFAULT_REGISTRY) -> Reference:
    """Read a reference, completing a short one as Docker does. Raises ``InvalidReference`` with the reason.

    ``default`` is the registry of names without one. Only Docker Hub has names without an owner (``library/``).
    """
    name, _, pinned = text.partition("@")
    if pinned:
        try:
            digest.parse(pinned)
        except digest.InvalidDigest as error:
            raise InvalidReference(f"{text[:200]!r}: {error}") from error
    elif "@" in text:
        raise InvalidReference(f"{text[:200]!r} ends with @: a digest is missing")
    name, tag = _split_tag(name)
    host, repository = _split_registry(name, default)
    if not is_registry(host):
        raise InvalidReference(f"{host[:100]!r} is no name of a registry")
    registry = canonical_registry(host)
    if registry == DEFAULT_REGISTRY and repository and "/" not in repository:
        repository = f"{_OFFICIAL}{repository}"
    if not _REPOSITORY.fullmatch(repository) or len(repository) > _LONGEST_NAME:
        raise InvalidReference(
            f"{repository[:100]!r} is no name of a repository: lower-case letters, digits, . _ - and /"
        )
    if tag is not None and not _TAG.fullmatch(tag):
        raise InvalidReference(f"{tag[:150]!r} is no tag: letters, digits, . _ and -, 128 at most")
    if tag is None and not pinned:
        tag = "latest"
    return Reference(registry, repository, tag, pinned or None)


def is_registry(text: str) -> bool:
    """Return whether a text is ``host[:port]``, the host a name or an address."""
    match = _REGISTRY.fullmatch(text)
    if match is None or len(text) > _LONGEST_NAME or int(match[2] or 0) > _LARGEST_PORT:
        return False
    try:
        ipaddress.IPv6Address(match[1] or "::")
    except ipaddress.AddressValueError:
        return False
    return True


def canonical(text: str) -> str:
    """Return a reference in its canonical form; what is none stays as it is. Older versions have recorded others."""
    try:
        return str(parse(text))
    except InvalidReference:
        return text


def canonical_registry(text: str) -> str:
    """Return the one spelling of a registry's name; of what is no name, the same in lower case.

    HTTPS's port is dropped, and on loopback, where HTTP is spoken, HTTP's. A host that only its port makes a registry
    (``example:443``) keeps it.
    """
    match = _REGISTRY.fullmatch(text)
    if match is None or not is_registry(text):
        return text.lower()
    port = int(match[2]) if match[2] else None
    host = text.lower()[: match.start(2) - 1] if match[2] else text.lower()
    loopback = is_loopback(host)
    if match[1]:
        host = f"[{_compressed(ipaddress.IPv6Address(match[1]))}]"
    if port == (_HTTP if loopback else _HTTPS) and _is_host_of_registry(host):
        port = None
    host = DEFAULT_REGISTRY if host in _HUB_NAMES and port is None else host
    return host if port is None else f"{host}:{port}"


def canonical_pattern(text: str) -> str:
    """Return a pattern of ``registry/repository`` (``*`` is any text), its registry spelt as references have it."""
    host, slash, repository = text.partition("/")
    if any(character in _WILD for character in host):
        return f"{host.lower()}{slash}{repository}"
    registry = canonical_registry(host)
    if (
        registry == DEFAULT_REGISTRY
        and repository
        and not any(character in _WILD or character == "/" for character in repository)
    ):
        repository = f"{_OFFICIAL}{repository}"
    return f"{registry}{slash}{repository}"


def matches(name: str, pattern: str) -> bool:
    """Return whether a canonical name matches a canonical pattern. Brackets enclose an address, not a character set."""
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


def is_listed(image: Reference, patterns: Sequence[str]) -> bool:
    """Return whether an image's registry, or its ``registry/repository``, is among some patterns; none: all are."""
    repository = f"{image.registry}/{image.repository}"
    return not patterns or any(image.registry == pattern or matches(repository, pattern) for pattern in patterns)


def is_loopback(host: str) -> bool:
    """Return whether a host (an address; IPv6 in brackets) is a loopback address or ``localhost``."""
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _compressed(address: ipaddress.IPv6Address) -> str:
    """Return an address as Python 3.13 writes it, also before that."""
    mapped = address.ipv4_mapped
    return address.compressed if mapped is None else f"::ffff:{mapped}"


def _is_host_of_registry(first: str) -> bool:
    """Return whether the first part of a name can only be a registry."""
    return "." in first or ":" in first or first.lower() == "localhost"


def _split_tag(name: str) -> tuple[str, str | None]:
    head, colon, tail = name.rpartition(":")
    return (head, tail) if colon and "/" not in tail else (name, None)


def _split_registry(name: str, default: str) -> tuple[str, str]:
    first, slash, remainder = name.partition("/")
    if slash and _is_host_of_registry(first):
        return first, remainder
    return default, name
