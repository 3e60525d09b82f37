"""What the agent remembers of an object beyond what the runtime can tell: restart streaks and what was applied last.

Kept in the journal. Losing it loses no intent: the back-off starts afresh, and a removed object is created with the
reason "missing" in place of "drifted".
"""

import dataclasses
import enum

from agent.model.key import ObjectKey


class RestartReason(enum.StrEnum):
    """Why a container was started again; a metric's label."""

    EXIT = "exit"
    OOM = "oom"
    UNHEALTHY = "unhealthy"


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class RestartCount:
    """How often a container was started again for one reason, over all of its lives."""

    reason: RestartReason
    count: int


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class Newest:
    """What a registry has answered."""

    question: str
    """``image.Follow.question``."""
    checked_at: float
    reference: str = ""
    """What is newest: ``registry/repository:tag``; empty where nobody knows yet."""
    digest: str = ""
    """What that stands for."""
    problem: str = ""
    """Why it could not be asked the last time; the answer is that of before."""


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class LedgerEntry:
    """The memory of one object."""

    key: ObjectKey
    applied_hash: str
    """Config hash that was last brought about completely; empty: never."""
    streak: int = 0
    """Failures in a row, for the back-off."""
    restarts: tuple[RestartCount, ...] = ()
    restarting: bool = False
    """We stopped it in order to start it again: a stop that must not count as the user's."""
    digests: tuple[str, ...] = ()
    """Of an image: what it is known by in its registry."""
    newest: Newest | None = None
    """Of an image: what its registry has that is newest."""
