"""The mapping between names in manifests and names in the engine; most are the same.

An engine has networks of its own called ``bridge``, ``host`` and ``none``; ours of that name gets a prefix with the
instance there. Adopted objects keep their engine name (``shop_web_1`` is not valid in a manifest).
"""

from collections.abc import Mapping
from typing import Any

from agent.drivers.docker import sidecar
from agent.kit import frozen
from agent.model.key import Kind

_RESERVED = frozenset({"bridge", "host", "none", "default", "podman", "ingress", "docker_gwbridge"})
BUILT_IN = frozenset({"bridge", "host", "none", "podman", "ingress", "docker_gwbridge"})
"""Networks that are part of an engine, and not objects of a user."""
DEFAULT = "bridge"
"""The engine's default network, for containers that name none."""
_PODMAN_DEFAULT = "podman"


def name_in_lists(engine: str) -> str:
    """Return a network's name as in lists: in a container's inspection Podman's default one has another name."""
    return DEFAULT if engine == _PODMAN_DEFAULT else engine


@frozen.value
class Names:
    """The two-way name table of one instance."""

    state_file: sidecar.StateFile
    owner: str

    def network(self, declared: str) -> str:
        """Return the engine's name of a network."""
        engine_name = self.state_file.engine_name(Kind.NETWORK, declared)
        if declared in _RESERVED and engine_name == declared and not self._is_adopted(declared):
            return f"{self._prefix}{declared}"
        return engine_name

    @staticmethod
    def noted_by(network: Mapping[str, Any]) -> str:
        """Return the key of a network's note: its id, or the name for built-in ones, whose id changes at each start."""
        return str(network["Name"] if network["Name"] in BUILT_IN else network["Id"])

    def is_built_in(self, engine: str) -> bool:
        """Return whether a network is the engine's own and was not adopted."""
        return engine in BUILT_IN and self.declared_network(engine) == engine and not self._is_adopted(engine)

    def _is_adopted(self, engine: str) -> bool:
        return self.state_file.is_noted_name(Kind.NETWORK, engine)

    def declared_network(self, engine: str) -> str:
        """Return a network's name in manifests."""
        if engine.startswith(self._prefix) and engine.removeprefix(self._prefix) in _RESERVED:
            return engine.removeprefix(self._prefix)
        return self.state_file.declared_name(Kind.NETWORK, engine)

    def volume(self, declared: str) -> str:
        """Return the engine's name of a volume."""
        return self.state_file.engine_name(Kind.VOLUME, declared)

    def declared_volume(self, engine: str) -> str:
        """Return a volume's name in manifests."""
        return self.state_file.declared_name(Kind.VOLUME, engine)

    def container(self, declared: str) -> str:
        """Return the engine's name of a container."""
        return self.state_file.engine_name(Kind.CONTAINER, declared)

    def declared_container(self, engine: str) -> str:
        """Return a container's name in manifests."""
        return self.state_file.declared_name(Kind.CONTAINER, engine)

    @property
    def _prefix(self) -> str:
        return f"trimtab-{self.owner}-"
