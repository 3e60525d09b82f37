"""Names in manifests and names in the engine: the same, but for those that engines keep for themselves or do not bend.

An engine has networks of its own called ``bridge``, ``host`` and ``none``; ours of that name is called after the
instance there. What was adopted keeps the name that it has (``shop_web_1`` is no name for a manifest).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from agent.drivers.docker import notes
from agent.model.key import Kind

_RESERVED = frozenset({"bridge", "host", "none", "default", "podman", "ingress", "docker_gwbridge"})
BUILT_IN = frozenset({"bridge", "host", "none", "podman", "ingress", "docker_gwbridge"})
"""Networks that are part of an engine, and no object of anybody's."""
DEFAULT = "bridge"
"""The network of an engine that containers are in when they name none."""
_PODMAN_DEFAULT = "podman"


def usual(engine: str) -> str:
    """Give a network's name as lists have it: Podman calls its default one otherwise when it tells of a container."""
    return DEFAULT if engine == _PODMAN_DEFAULT else engine


@dataclasses.dataclass(frozen=True, slots=True)
class Names:
    """The two-way table of one instance."""

    book: notes.Book
    owner: str

    def network(self, declared: str) -> str:
        """Give the engine's name of a network."""
        known = self.book.engine_name(Kind.NETWORK, declared)
        if declared in _RESERVED and known == declared and not self._is_adopted(declared):
            return f"{self._prefix}{declared}"
        return known

    @staticmethod
    def noted_by(found: Mapping[str, Any]) -> str:
        """Give what a network is noted by: the engine's own have another id after each of its starts."""
        return str(found["Name"] if found["Name"] in BUILT_IN else found["Id"])

    def is_built_in(self, engine: str) -> bool:
        """Tell whether a network is the engine's own and was not adopted: no object of anybody's."""
        return engine in BUILT_IN and self.declared_network(engine) == engine and not self._is_adopted(engine)

    def _is_adopted(self, engine: str) -> bool:
        return self.book.is_noted_name(Kind.NETWORK, engine)

    def declared_network(self, engine: str) -> str:
        """Give a network's name in manifests."""
        if engine.startswith(self._prefix) and engine.removeprefix(self._prefix) in _RESERVED:
            return engine.removeprefix(self._prefix)
        return self.book.declared_name(Kind.NETWORK, engine)

    def volume(self, declared: str) -> str:
        """Give the engine's name of a volume."""
        return self.book.engine_name(Kind.VOLUME, declared)

    def declared_volume(self, engine: str) -> str:
        """Give a volume's name in manifests."""
        return self.book.declared_name(Kind.VOLUME, engine)

    def container(self, declared: str) -> str:
        """Give the engine's name of a container."""
        return self.book.engine_name(Kind.CONTAINER, declared)

    def declared_container(self, engine: str) -> str:
        """Give a container's name in manifests."""
        return self.book.declared_name(Kind.CONTAINER, engine)

    @property
    def _prefix(self) -> str:
        return f"trimtab-{self.owner}-"
