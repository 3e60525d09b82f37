"""What a plan may do, and what it must leave alone for now."""

import enum

from agent.kit import frozen
from agent.model.key import ObjectKey
from agent.reasons import Reason


@frozen.value(order=True)
class Hold:
    """An object that this plan must not touch: an action on it is under way, or the last one failed and waits."""

    key: ObjectKey
    reason: Reason
    """A condition's reason, CamelCase."""
    message: str
    until: float | None = None
    """When it ends by itself; ``None``: when something else changes (an action ends, a new revision arrives)."""
    config_hash: str | None = None
    """The hold is void once the object's desired config has another hash; ``None``: it holds whatever is desired."""


class InPlace(enum.StrEnum):
    """A change that some runtimes can make on a container that exists, and others cannot."""

    LABELS = "labels"
    RESOURCES = "resources"
    MEMORY_LIFTED = "memory_lifted"
    """Taking a memory limit away altogether, beside changing it."""
    NETWORKS = "networks"
    FIRST_NETWORK = "first_network"
    """Attaching to the first network, and leaving the last one, beside moving between networks."""


@frozen.value
class PlanPolicy:
    """The values that a plan depends on beside the two states."""

    owner: str
    """This instance: only objects with this owner are ours."""
    prune: bool = True
    holds: tuple[Hold, ...] = ()
    restarts: frozenset[ObjectKey] = frozenset()
    """Containers that somebody has asked to restart: they are, whatever their state and policy."""
    focus: frozenset[ObjectKey] | None = None
    """The only objects that may be acted on, in a plan for some of what is declared; ``None``: all."""
    in_place: frozenset[InPlace] = frozenset()
    """What the runtime can change on an existing container; what the diff table calls in place but is not in here is
    replaced."""
    secrets_at_start: bool = False
    """A start needs the values of Secrets, and not only the making of a container (``runtime.api.Features``)."""
