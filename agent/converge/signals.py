"""What the loop tells while it works: facts, as values. Logs and metrics are made from them one floor up.

A sink must not block and must not fail: it is called in the middle of the work.
"""

import enum
from collections.abc import Callable

from agent.kit import frozen
from agent.kit import notices as kit_notices
from agent.manifests import problem
from agent.model import conditions, ledger, policy, state
from agent.model.key import ObjectKey
from agent.observe import probes
from agent.plan import actions, plan
from agent.runtime import api, events
from agent.sources import api as sources_api


class Trigger(enum.StrEnum):
    """Why a pass is made; a metric's label."""

    START = "start"
    SOURCE = "source"
    """Another revision, or one that was bad is good again."""
    RUNTIME = "runtime"
    """Something happened to an object of the runtime."""
    HEALTH = "health"
    """A container became ready, or ceased to be."""
    ACTION = "action"
    """An action ended."""
    TIMER = "timer"
    """A back-off or a hold came to its end."""
    REGISTRY = "registry"
    """A registry has something newer."""
    REQUEST = "request"
    """Somebody asked for it, as by SIGHUP."""
    RELIST = "relist"
    """The safety net under all others."""


class Result(enum.StrEnum):
    """How an action ended; a metric's label."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    """A step before it failed."""
    SUPERSEDED = "superseded"
    """Its object's declaration changed before it began."""


@frozen.value
class SourceRead:
    """The source was read and is good."""

    source: str
    revision: str
    objects: int
    changed: bool
    """It declares something else than what stood before."""
    empty: bool
    """It declares nothing while something stands: that stays, as an empty source removes nothing."""
    at: float


@frozen.value
class SourceRejected:
    """The source was read and has problems. ``repeated``: the same as the last time."""

    source: str
    revision: str
    problems: tuple[problem.Problem, ...]
    at: float
    is_first: bool
    """No revision was good before: nothing stands, and nothing is done."""
    repeated: bool = False


@frozen.value
class SourceFailed:
    """The source cannot be read; the last good revision stands, if there is one.

    ``repeated``: as it failed the last time.
    """

    source: str
    message: str
    hint: str
    repeated: bool
    at: float


@frozen.value
class SourceLooked:
    """The source was looked at: told after every look, also where nothing has changed or nothing could be read."""

    source: str
    health: sources_api.SourceHealth


@frozen.value
class SourceAwaited:
    """What a source no longer declares is not believed yet, and somebody waits for it to rest."""

    source: str
    missing: str
    """One of the objects that it no longer declares."""
    seconds: float
    """How long it has to rest from now on."""


@frozen.value
class ActionStarted:
    """An action is being performed."""

    action: actions.Action
    at: float


@frozen.value
class ActionProgress:
    """A long action has got a bit further."""

    action: actions.Action
    progress: api.Progress


@frozen.value
class ActionFinished:
    """An action has ended, or will never begin."""

    action: actions.Action
    result: Result
    duration: float
    """Seconds; 0 where it never began."""
    error: Exception | None
    at: float


@frozen.value
class ObjectDisposed:
    """What follows from a failed action: the object is left alone for a while."""

    hold: policy.Hold
    attempts: int
    stalled: bool
    """Trying again is not expected to help."""


@frozen.value
class PassFinished:
    """One walk from observation to report."""

    triggers: tuple[Trigger, ...]
    duration: float
    desired: state.DesiredState
    observed: state.ObservedState
    plan: plan.Plan
    statuses: tuple[conditions.ObjectStatus, ...]
    """Of every object, sorted by key."""
    in_flight: int
    """Objects with actions under way or waiting for their turn."""
    converged: bool
    """Everything declared is there and nothing is left to do."""
    at: float
    notices: tuple[kit_notices.Notice, ...] = ()
    """What the runtime and the journal have to say of themselves: what is not cleaned up, what was damaged."""


@frozen.value
class PassFailed:
    """A pass came to nothing: the runtime could not be observed."""

    triggers: tuple[Trigger, ...]
    duration: float
    error: Exception
    at: float


@frozen.value
class RevisionApplied:
    """A revision has been brought about completely."""

    revision: str
    duration: float | None
    """Seconds since it was read; ``None`` where an earlier run of the agent had applied it."""
    at: float


@frozen.value
class RuntimeEvent:
    """The runtime told of something."""

    event: events.RuntimeEvent


@frozen.value
class EventStream:
    """The runtime's events are (again) coming in, or were lost."""

    connected: bool
    message: str
    at: float


@frozen.value
class ProbeFinished:
    """A probe gave an answer."""

    result: probes.ProbeResult


@frozen.value
class RegistryAnswered:
    """A registry has said what is newest of an image, or has not."""

    key: ObjectKey
    before: ledger.LatestImage | None
    answer: ledger.LatestImage


@frozen.value
class JournalFailed:
    """The journal could not be written; the agent goes on with what it has in memory."""

    message: str


@frozen.value
class TaskFailed:
    """A background task of the loop ended by an error that nobody expected."""

    name: str
    error: BaseException


Signal = (
    SourceRead
    | SourceRejected
    | SourceFailed
    | SourceLooked
    | SourceAwaited
    | ActionStarted
    | ActionProgress
    | ActionFinished
    | ObjectDisposed
    | PassFinished
    | PassFailed
    | RevisionApplied
    | RuntimeEvent
    | EventStream
    | ProbeFinished
    | RegistryAnswered
    | JournalFailed
    | TaskFailed
)

Sink = Callable[[Signal], None]
