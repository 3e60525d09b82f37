"""What is said of an object: Kubernetes' conditions, as Flux uses them."""

import enum

from agent.kit import frozen
from agent.model.key import ObjectKey
from agent.reasons import Reason


class ConditionType(enum.StrEnum):
    """The three questions asked of every object."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    """No progress without a change by people: bad configuration, a retry that cannot help."""


class ConditionStatus(enum.StrEnum):
    """Kubernetes' three-valued truth."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@frozen.value(order=True)
class Condition:
    """One answer."""

    type: ConditionType
    status: ConditionStatus
    reason: Reason
    """CamelCase, from a bounded set."""
    message: str
    since: float
    """When ``status`` last changed."""


@frozen.value
class ObjectStatus:
    """All that is said of one object."""

    key: ObjectKey
    config_hash: str
    """Of the desired config that the conditions speak of; empty for an object that is only being removed."""
    conditions: tuple[Condition, ...]
    """One of each type, sorted by type."""
    detail: str
    """A few words for people: ``running, healthy``, ``exited (1)``. Nothing in it goes out of date by itself."""
    until: float | None = None
    """When it is tried again by itself: the end of a back-off or of a hold."""
