"""Image references, as people write them and as they are meant: ``nginx`` is ``docker.io/library/nginx:latest``.

The grammar is that of the distribution project's ``reference`` package, with Docker's rules for short names.
"""

import dataclasses
import ipaddress
import re

from agent.oci import digest

DEFAULT_REGISTRY = "docker.io"
_OFFICIAL = "library/"
_LONGEST_NAME = 255
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[([0-9a-fA-F:.]+)\])(?::([0-9]{{1,5}}))?")
_LARGEST_PORT = 65535
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)


class InvalidReference(ValueError):
    """A text that names no image."""


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class Reference:
    """An image's full name. With a digest the tag is only decoration, and is kept as it was given."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    def __str__(self) -> str:
        """Give the canonical form."""
        tag = f":{self.tag}" if self.tag else ""
        pinned = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{pinned}"


def parse(text: str, default: str = DEFAULT_REGISTRY) -> Reference:
    """Read a reference, completing a short one as Docker does. Raises ``InvalidReference`` with the reason.

    ``default``: the registry of names that tell none. Only Docker Hub has names without an owner (``library/``).
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
    registry, repository = _split_registry(name, default)
    if not is_registry(registry):
        raise InvalidReference(f"{registry[:100]!r} is no name of a registry")
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
    """Tell whether a text is a host, by name or address, and perhaps a port: something that can be asked at all."""
    match = _REGISTRY.fullmatch(text)
    if match is None or len(text) > _LONGEST_NAME or int(match[2] or 0) > _LARGEST_PORT:
        return False
    try:
        ipaddress.IPv6Address(match[1] or "::")
    except ipaddress.AddressValueError:
        return False
    return True


def _split_tag(name: str) -> tuple[str, str | None]:
    head, colon, tail = name.rpartition(":")
    return (head, tail) if colon and "/" not in tail else (name, None)


def _split_registry(name: str, default: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return ("docker.io" if first == "index.docker.io" else first), _official(first, rest)
    return default, _official(default, name)


def _official(registry: str, repository: str) -> str:
    """Complete a name of Docker Hub that has no owner."""
    on_hub = registry in {DEFAULT_REGISTRY, "index.docker.io"}
    return f"{_OFFICIAL}{repository}" if on_hub and repository and "/" not in repository else repository
