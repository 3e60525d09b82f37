"""What a runtime tells without being asked. An event is only a hint to look: nothing is decided from its content."""

import enum

from agent.kit import frozen, notices
from agent.model.key import Kind


class EventAction(enum.StrEnum):
    """What happened."""

    CREATED = "created"
    STARTED = "started"
    EXITED = "exited"
    OOM_KILLED = "oom_killed"
    CHANGED = "changed"
    REMOVED = "removed"
    COLLECTED = "collected"
    """An image that nobody used: the runtime has removed it by itself, as its disk was filling."""
    CLEAN_UP_FAILED = "clean_up_failed"
    """What an object has left could not be taken away, or something had to be mended: see the runtime's notices."""
    CLEANED_UP = "cleaned_up"
    """It could be, by now."""


@frozen.value
class RuntimeEvent:
    """Something that happened to one object of the runtime."""

    kind: Kind
    id: str
    name: str
    action: EventAction
    time: float
    exit_code: int | None = None


def of_notice(change: notices.NoticeChange) -> RuntimeEvent:
    """Return the event of a notice that begins, stands after another attempt, or is over; its name is the subject."""
    action = EventAction.CLEANED_UP if change.is_over else EventAction.CLEAN_UP_FAILED
    return RuntimeEvent(Kind.CONTAINER, "", change.notice.subject, action, change.time)
