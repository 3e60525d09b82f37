"""The answer of ``status`` as values: the agent, its source, the host, troubles, and every object. Pure."""

import enum
from collections.abc import Iterator

from agent.kit import counts, frozen
from agent.kit import notices as kit_notices
from agent.model.conditions import Condition, ConditionStatus, ConditionType
from agent.model.key import Kind, ObjectKey
from agent.reasons import Reason

DISK_FULL = 4 * 2**20
"""Bytes: with less than that available the disk counts as full. SQLite and conmon need some pages each."""
_KEPT = frozenset({Reason.RETAINED, Reason.SOURCE_EMPTY})
"""Reasons of objects that stay on purpose although they are not declared."""


class AgentState(enum.StrEnum):
    """Whether an agent keeps this host as it is declared."""

    RUNNING = "running"
    STUCK = "stuck"
    """It answers, but its loop is stuck."""
    UNRESPONSIVE = "unresponsive"
    """It has its socket, and does not answer in time."""
    BUSY = "busy"
    """Another process holds the lock and serves no socket: a command under way, or an agent that is starting."""
    ABSENT = "absent"
    """No agent is running."""


class LookResult(enum.StrEnum):
    """How the last look at the source ended."""

    GOOD = "good"
    REJECTED = "rejected"
    """It was read, and its manifests have problems."""
    FAILED = "failed"
    """It could not be read."""
    NEVER = "never"
    """It has not been looked at yet."""
    UNKNOWN = "unknown"
    """No agent answers: nobody records looks that failed."""


class TroubleReason(enum.StrEnum):
    """Reasons of troubles that concern no single object; a bounded set, for programs."""

    AGENT_ABSENT = "AgentAbsent"
    AGENT_BUSY = "AgentBusy"
    AGENT_UNRESPONSIVE = "AgentUnresponsive"
    AGENT_STUCK = "AgentStuck"
    RUNTIME_NOT_OBSERVED = "RuntimeNotObserved"
    SOURCE_NEVER_READ = "SourceNeverRead"
    SOURCE_NOT_READ = "SourceNotRead"
    SOURCE_EMPTY = "SourceEmpty"
    MANIFESTS_REJECTED = "ManifestsRejected"
    DISK_FULL = "DiskFull"
    RECORDS_NOT_WRITTEN = "RecordsNotWritten"
    RECORDS_NOT_READ = "RecordsNotRead"
    DECLARATION_UNKNOWN = "DeclarationUnknown"
    CLEAN_UP_FAILED = "CleanUpFailed"


@frozen.value
class Trouble:
    """A problem of the agent, its source or its host, not of a single object."""

    reason: TroubleReason
    message: str
    """A sentence for people, on one line."""


@frozen.value
class AgentStatus:
    """The process that works on this instance."""

    state: AgentState
    pid: int | None = None
    since: float | None = None
    """When the agent started, in seconds since the epoch; ``None`` where no agent answers."""
    version: str = ""
    runtime: str = ""


@frozen.value
class SourceStatus:
    """The source and the result of the last look at it. Times are seconds since the epoch."""

    location: str | None = None
    """As it was typed, free of credentials; ``None`` where nothing was ever read."""
    revision: str | None = None
    """The last good revision."""
    read_at: float | None = None
    """When it was read."""
    applied_at: float | None = None
    """When the last revision was completely applied."""
    looked_at: float | None = None
    """When the source was last looked at, be it with success or not."""
    result: LookResult = LookResult.NEVER
    succeeded_at: float | None = None
    """When it was last read, be it unchanged and be its manifests good or bad; ``None``: never, as far as is known."""
    failures: int = 0
    """Looks in a row that failed."""
    message: str = ""
    """Why the last look failed."""
    declares_nothing: bool = False
    """Whether the source declares nothing although something runs."""
    problems: tuple[str, ...] = ()
    """Of the manifests as read last, each with path, line and column."""
    suspended_at: float | None = None
    """Since when all that it declares is suspended; ``None``: it is not."""


@frozen.value
class DiskStatus:
    """The file system of the root, in bytes."""

    size: int
    available: int
    files_available: int | None = None
    """Inodes that are free; ``None`` where the file system does not count them."""

    @property
    def is_full(self) -> bool:
        """Return whether so little is free that writing may fail."""
        return self.available < DISK_FULL or self.files_available == 0


@frozen.value
class LatestImageStatus:
    """The latest image that a registry has for an update policy."""

    reference: str
    digest: str
    checked_at: float
    problem: str


@frozen.value
class ImageStatus:
    """An image's digests on the host and in its registry."""

    digests: tuple[str, ...]
    latest: LatestImageStatus | None


@frozen.value
class ContainerStatus:
    """What runs of a container, and where it is reached."""

    image: str
    """As it was declared, or as the runtime has it where nothing is declared any more."""
    ports: tuple[str, ...]
    """Published ones, as ``0.0.0.0:8080:80/tcp``."""
    addresses: tuple[tuple[str, str], ...]
    """Network and address, of each network that it is in; empty where it does not run."""
    ready: int
    """Instances of its object that are ready, this one and others."""
    desired: int
    """Instances of its object that are declared."""
    ordinal: int = 0
    """Which instance it is."""


@frozen.value
class Object:
    """The status of one instance of a declared or owned object."""

    key: ObjectKey
    conditions: tuple[Condition, ...]
    """One of each type, sorted by type."""
    detail: str
    until: float | None
    """When it is retried automatically; ``None`` where no time is set."""
    restarts: int
    image: ImageStatus | None = None
    """Set for objects of the kind Image only."""
    suspended_at: float | None = None
    """Since when it is suspended, by itself or with the source; ``None``: it is not."""
    created_at: float | None = None
    """When it was created on the host; ``None`` where it is not there, or its runtime does not say."""
    container: ContainerStatus | None = None
    """Set for objects of the kind Container only, once they were looked at."""

    def condition(self, type: ConditionType) -> Condition:
        """Return the condition of a type."""
        return next(condition for condition in self.conditions if condition.type is type)

    @property
    def is_well(self) -> bool:
        """Return whether the object is as declared, or stays on purpose."""
        ready = self.condition(ConditionType.READY)
        return ready.status is ConditionStatus.TRUE or ready.reason in _KEPT

    @property
    def is_image(self) -> bool:
        """Return whether the object's kind is Image."""
        return self.key.kind is Kind.IMAGE


@frozen.value
class Status:
    """The whole status of an instance."""

    agent: AgentStatus
    source: SourceStatus
    observed_at: float | None
    """When the objects were last observed; ``None``: never, or unknown."""
    objects: tuple[Object, ...]
    """Sorted by key."""
    disk: DiskStatus | None
    troubles: tuple[Trouble, ...]
    notices: tuple[kit_notices.Notice, ...] = ()
    """The runtime's notices. A failed clean-up is a trouble as well, until it has succeeded."""

    @property
    def is_well(self) -> bool:
        """Return whether an agent runs and everything is as declared, which decides ``status``'s exit code."""
        return not self.troubles and all(item.is_well for item in self.objects)


def disk_troubles(disk: DiskStatus | None) -> tuple[Trouble, ...]:
    """Return the disk's troubles."""
    if disk is None or not disk.is_full:
        return ()
    shortage = "no more files" if disk.files_available == 0 else f"{disk.available / 2**20:.1f} MiB left"
    message = f"the disk of the root is full ({shortage}): nothing can be pulled or kept; remove what is not needed"
    return (Trouble(TroubleReason.DISK_FULL, message),)


def notice_troubles(notices: tuple[kit_notices.Notice, ...]) -> Iterator[Trouble]:
    """Return a trouble for each failed clean-up."""
    for notice in notices:
        if notice.reason is kit_notices.NoticeReason.CLEAN_UP_FAILED:
            attempts = counts.counted(notice.attempts, "attempt")
            message = f"{notice.subject} cannot be cleaned up ({attempts} so far): {notice.message}"
            yield Trouble(TroubleReason.CLEAN_UP_FAILED, message)


def source_troubles(source: SourceStatus, *, empty: bool) -> Iterator[Trouble]:
    """Return the source's troubles; ``empty``: it declares nothing although something runs."""
    match source.result:
        case LookResult.NEVER:
            message = "the source has not been read since the agent started"
            yield Trouble(TroubleReason.SOURCE_NEVER_READ, message)
        case LookResult.FAILED:
            never = "" if source.succeeded_at is not None else ", and was not since the agent started"
            yield Trouble(TroubleReason.SOURCE_NOT_READ, f"the source cannot be read{never}: {source.message}")
        case LookResult.REJECTED | LookResult.GOOD | LookResult.UNKNOWN:
            pass
    if source.problems:
        problems = counts.counted(len(source.problems), "problem")
        is_first = source.revision is None
        stands = "nothing is done until they are mended" if is_first else "the last good revision stands"
        yield Trouble(TroubleReason.MANIFESTS_REJECTED, f"the manifests have {problems}: {stands}")
    if empty:
        message = "the source declares nothing although something runs: nothing is removed by that"
        yield Trouble(TroubleReason.SOURCE_EMPTY, message)
