"""What people have suspended: it is observed, and neither changed nor removed until it is resumed.

Kept in the journal. Unlike the ledger it is intent: it outlives restarts of the agent, and goes with its object only.
"""

import math
from collections.abc import Iterable, Mapping

from agent.kit import frozen
from agent.model.key import ObjectKey

SOURCE = "Source"
"""What the whole source is called where objects are ``KIND/NAME``."""


@frozen.value(order=True)
class Suspension:
    """One object that is suspended."""

    key: ObjectKey
    since: float
    """Seconds since the epoch."""


@frozen.value
class Suspensions:
    """All that is suspended."""

    source: float | None = None
    """Since when the whole source is, in seconds since the epoch: all that it declares or has declared."""
    objects: tuple[Suspension, ...] = ()
    """Single objects, sorted by key."""

    def moments(self, keys: Iterable[ObjectKey]) -> Mapping[ObjectKey, float]:
        """Return since when those of the instances are suspended that are, by themselves or with object or source."""
        by_key = {suspension.key: suspension.since for suspension in self.objects}
        source = math.inf if self.source is None else self.source
        moments = {key: min(by_key.get(key, math.inf), by_key.get(key.object, math.inf), source) for key in keys}
        return {key: moment for key, moment in moments.items() if moment < math.inf}


NONE = Suspensions()
"""Nothing is suspended."""
