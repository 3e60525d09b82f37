"""What the agent remembers of an object beyond what the runtime can tell: restart streaks and what was applied last.

Kept in the journal. Losing it loses no intent: the back-off starts afresh, and a removed object is created with the
reason "missing" in place of "drifted".
"""

import enum

from agent.kit import frozen
from agent.model.key import ObjectKey


class RestartReason(enum.StrEnum):
    """Why a container was started again; a metric's label."""

    EXIT = "exit"
    OOM = "oom"
    UNHEALTHY = "unhealthy"


@frozen.value(order=True)
class RestartCount:
    """How often a container was started again for one reason, over all of its lives."""

    reason: RestartReason
    count: int


@frozen.value(order=True)
class LatestImage:
    """A registry's last answer to an update policy's question."""

    question: str
    """``image.UpdatePolicy.question``."""
    checked_at: float
    reference: str = ""
    """The latest image as ``registry/repository:tag``; empty: not known yet."""
    digest: str = ""
    """The reference's digest in the registry."""
    problem: str = ""
    """Why the last query failed; empty where it succeeded. The answer is then the previous one."""


@frozen.value(order=True)
class LedgerEntry:
    """The memory of one object."""

    key: ObjectKey
    applied_hash: str
    """Config hash that was last brought about completely; empty: never."""
    streak: int = 0
    """Failures in a row, for the back-off."""
    restarts: tuple[RestartCount, ...] = ()
    restarting: bool = False
    """We stopped it in order to start it again, or to replace or remove it: a stop that must not count as the user's.
    Where that does not come about, it is started again."""
    digests: tuple[str, ...] = ()
    """Of an image: what it is known by in its registry."""
    newest: LatestImage | None = None
    """Of an image: the latest one in its registry."""
