"""The plan: a value that prints. What to do, in which order, why, what has to wait, and when to look again."""

import enum

from agent.kit import frozen
from agent.model.key import ObjectKey
from agent.plan import actions
from agent.reasons import Reason


class Bucket(enum.StrEnum):
    """What an object is, before anything is said about what to do with it."""

    MISSING = "missing"
    MATCHING = "matching"
    DRIFTED = "drifted"
    """There, but other than declared: by a new declaration or behind our back."""
    STOPPED = "stopped"
    """A container that does not run and has not failed: created, completed, or stopped on request."""
    FAILED = "failed"
    """A container that ended by itself and is to run, or that its probes call dead."""
    ORPHANED = "orphaned"
    """Ours, and no longer declared."""
    FOREIGN = "foreign"
    """Not ours: never touched."""


@frozen.value
class Step:
    """One action in its place in the DAG."""

    id: int
    action: actions.Action
    after: tuple[int, ...]
    """Ids of the steps that must have succeeded before."""


@frozen.value(order=True)
class Blocked:
    """An object that cannot be brought about yet, and what it waits for."""

    key: ObjectKey
    reason: Reason
    """A condition's reason: ``WaitingForDependency``, ``BackOff``, ``Stopped``, or that of the hold."""
    message: str
    until: float | None = None


@frozen.value
class Plan:
    """All that a reconciliation is going to do. Deterministic: equal inputs give an equal plan."""

    revision: str
    steps: tuple[Step, ...]
    """In an order that respects ``after``; ids ascend."""
    blocked: tuple[Blocked, ...]
    buckets: tuple[tuple[ObjectKey, Bucket], ...]
    """Every declared or owned object, sorted."""
    drift: tuple[tuple[ObjectKey, str], ...]
    """What was found changed behind our back, with a sentence each."""
    wake_at: float | None
    """When to plan again even if nothing happens: the end of a back-off."""
    retained: tuple[ObjectKey, ...] = ()
    """Volumes that are no longer declared and whose data stays."""
    uncompared: tuple[tuple[ObjectKey, str], ...] = ()
    """Containers whose values of Secrets cannot be compared where the plan is made, and a sentence that says why."""
    withheld: tuple[Step, ...] = ()
    """What would be done to suspended objects, were they resumed: shown, never carried out; ids are another plan's."""

    @property
    def empty(self) -> bool:
        """True when there is nothing to do now."""
        return not self.steps
