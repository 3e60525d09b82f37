"""Which role of a runtime has the objects of a kind."""

from collections.abc import Callable, Mapping
from typing import Protocol

from agent.model.key import Kind
from agent.model.kinds import Observed
from agent.runtime import api


class Store(Protocol):
    """What lists the objects of one kind."""

    async def list(self) -> tuple[Observed, ...]:
        """Return all objects of the kind, whoever's they are. Raises the runtime's errors."""


STORES: Mapping[Kind, Callable[[api.Runtime], Store]] = {
    Kind.CONTAINER: lambda runtime: runtime.containers,
    Kind.IMAGE: lambda runtime: runtime.images,
    Kind.NETWORK: lambda runtime: runtime.networks,
    Kind.VOLUME: lambda runtime: runtime.volumes,
}
"""The store of each kind that a runtime has objects of."""
