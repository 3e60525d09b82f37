"""Names in manifests and names in the engine: the same, but for those that engines keep for themselves or do not bend.

An engine has networks of its own called ``bridge``, ``host`` and ``none``; ours of that name is called after the
instance there. What was adopted keeps the name that it has (``shop_web_1`` is no name for a manifest).
"""

import dataclasses

from agent.drivers.docker import notes
from agent.model.key import Kind

_RESERVED = frozenset({"bridge", "host", "none", "default", "podman", "ingress", "docker_gwbridge"})
BUILT_IN = frozenset({"bridge", "host", "none", "podman", "ingress", "docker_gwbridge"})
"""Networks that are part of an engine, and no object of anybody's."""


@dataclasses.dataclass(frozen=True, slots=True)
class Names:
    """The two-way table of one instance."""

    book: notes.Book
    owner: str

    def network(self, declared: str) -> str:
        """Give the engine's name of a network."""
        if declared in _RESERVED:
            return f"{self._prefix}{declared}"
        return self.book.engine_name(Kind.NETWORK.value, declared)

    def declared_network(self, engine: str) -> str:
        """Give a network's name in manifests."""
        if engine.startswith(self._prefix) and engine.removeprefix(self._prefix) in _RESERVED:
            return engine.removeprefix(self._prefix)
        return self.book.declared_name(Kind.NETWORK.value, engine)

    def volume(self, declared: str) -> str:
        """Give the engine's name of a volume."""
        return self.book.engine_name(Kind.VOLUME.value, declared)

    def declared_volume(self, engine: str) -> str:
        """Give a volume's name in manifests."""
        return self.book.declared_name(Kind.VOLUME.value, engine)

    def container(self, declared: str) -> str:
        """Give the engine's name of a container."""
        return self.book.engine_name(Kind.CONTAINER.value, declared)

    def declared_container(self, engine: str) -> str:
        """Give a container's name in manifests."""
        return self.book.declared_name(Kind.CONTAINER.value, engine)

    @property
    def _prefix(self) -> str:
        return f"trimtab-{self.owner}-"
