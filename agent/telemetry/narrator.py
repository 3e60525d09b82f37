"""What the loop tells, as log lines: one an action, and each trouble once, however often it is met.

Nothing of environments or commands is told: they may hold secrets. Of changed fields only the names are.
"""

import structlog
from structlog.typing import FilteringBoundLogger

from agent import errors
from agent.converge import signals
from agent.model import conditions
from agent.model.conditions import ConditionStatus, ConditionType
from agent.model.key import ObjectKey
from agent.plan import actions
from agent.runtime import events

_DONE: dict[type[actions.Action], str] = {
    actions.EnsureImage: "fetched",
    actions.RemoveImage: "removed",
    actions.CreateNetwork: "created",
    actions.RemoveNetwork: "removed",
    actions.CreateVolume: "created",
    actions.RemoveVolume: "removed",
    actions.CreateContainer: "created",
    actions.StartContainer: "started",
    actions.StopContainer: "stopped",
    actions.RemoveContainer: "removed",
    actions.RenameContainer: "renamed",
    actions.UpdateContainer: "updated in place",
    actions.ConnectContainer: "connected",
    actions.DisconnectContainer: "disconnected",
}
_REMEMBERED = 8
"""Warnings of one object that are not repeated while it is not well."""
_TOLD = ("image", "resources", "networks", "ports")
"""Fields whose values may be told."""


class Narrator:
    """Writes the log of the loop: a ``signals.Sink``."""

    def __init__(self) -> None:
        """Begin a story."""
        self._log: FilteringBoundLogger = structlog.get_logger()
        self._said: dict[ObjectKey, tuple[tuple[str, str], ...]] = {}
        self._failing = ""
        self._streaming = True
        self._journal = ""
        self._empty = False

    def take(self, signal: signals.Signal) -> None:
        """Tell what happened, where it is worth a line."""
        match signal:
            case signals.ActionFinished() | signals.ObjectDisposed():
                self._take_action(signal)
            case signals.PassFinished() | signals.PassFailed() | signals.RevisionApplied():
                self._take_pass(signal)
            case signals.SourceRead() | signals.SourceRejected() | signals.SourceFailed():
                self._take_source(signal)
            case signals.EventStream():
                self._take_stream(signal)
            case signals.RegistryAnswered():
                self._take_answer(signal)
            case signals.JournalFailed() | signals.TaskFailed():
                self._take_trouble(signal)
            case signals.ProbeFinished(result):
                outcome = "succeeded" if result.success else "failed"
                self._log.debug(f"{result.container}: {result.probe} probe {outcome}", message=result.message)
            case signals.RuntimeEvent(events.RuntimeEvent(action=events.EventAction.COLLECTED) as event):
                self._log.info(f"{event.name}: removed (the disk is filling, and nobody used it)")
            case signals.ActionStarted(action):
                self._log.debug(f"{action.key.name}: {type(action).__name__}", key=str(action.key))

    def _take_action(self, signal: signals.ActionFinished | signals.ObjectDisposed) -> None:
        match signal:
            case signals.ActionFinished(action, signals.Result.SUCCEEDED, duration):
                self._log.info(
                    f"{action.key.name}: {_DONE[type(action)]} ({_why(action)})",
                    key=str(action.key),
                    reason=action.cause.reason.value,
                    seconds=round(duration, 3),
                )
            case signals.ObjectDisposed(hold, attempts, stalled):
                log = self._log.error if stalled else self._log.warning
                log(f"{hold.key.name}: {hold.message}", key=str(hold.key), reason=hold.reason, attempts=attempts)

    def _take_pass(self, signal: signals.PassFinished | signals.PassFailed | signals.RevisionApplied) -> None:
        match signal:
            case signals.PassFinished():
                self._failing = ""
                for key, _ in signal.plan.drift if signal.plan.steps else ():
                    self._log.debug(f"{key.name}: drifted", key=str(key))
                self._take_statuses(signal.statuses)
            case signals.PassFailed():
                if str(signal.error) != self._failing:
                    self._log.error(
                        "the runtime cannot be observed; trying again",
                        exc_info=_unexpected(signal.error),
                        error=str(signal.error),
                    )
                self._failing = str(signal.error)
            case signals.RevisionApplied(revision, duration):
                took = {} if duration is None else {"seconds": round(duration, 3)}
                self._log.info("everything is as declared", revision=revision, **took)

    def _take_statuses(self, statuses: tuple[conditions.ObjectStatus, ...]) -> None:
        """Tell once when an object waits or is not well, and when it is again.

        What waits for something that crashes in a loop waits now for this and now for that of it: each is told once.
        """
        said: dict[ObjectKey, tuple[tuple[str, str], ...]] = {}
        for status in statuses:
            ready = next(one for one in status.conditions if one.type is ConditionType.READY)
            before = self._said.get(status.key, ())
            if ready.status is ConditionStatus.TRUE:
                if before:
                    self._log.info(f"{status.key.name}: {status.detail}", key=str(status.key), reason=ready.reason)
                continue
            said[status.key] = before
            news = (ready.reason, ready.message)
            if ready.status is ConditionStatus.FALSE and ready.reason in _WORTH_TELLING and news not in before:
                said[status.key] = (*before, news)[-_REMEMBERED:]
                self._log.warning(f"{status.key.name}: {ready.message}", key=str(status.key), reason=ready.reason)
        self._said = said

    def _take_source(self, signal: signals.SourceRead | signals.SourceRejected | signals.SourceFailed) -> None:
        match signal:
            case signals.SourceRead():
                if signal.empty and not self._empty:
                    self._log.warning(
                        "the source declares nothing: what runs is kept",
                        source=signal.source,
                        hint="to remove things, remove their manifests one by one, or call trimtab delete",
                    )
                elif signal.changed:
                    self._log.info("new revision", revision=signal.revision, objects=signal.objects)
                self._empty = signal.empty
            case signals.SourceRejected():
                for problem in signal.problems:
                    self._log.error(str(problem))
                self._log.error("the manifests have problems: the last good revision stands", revision=signal.revision)
            case signals.SourceFailed(source, message, hint, repeated):
                if not repeated:
                    self._log.error(f"the source cannot be read: {message}", source=source, hint=hint)

    def _take_stream(self, signal: signals.EventStream) -> None:
        if signal.connected != self._streaming:
            if signal.connected:
                self._log.info("the runtime's events are back")
            else:
                self._log.warning("the runtime's events are lost; changes are found by looking", error=signal.message)
        self._streaming = signal.connected

    def _take_trouble(self, signal: signals.JournalFailed | signals.TaskFailed) -> None:
        match signal:
            case signals.JournalFailed(message):
                if message != self._journal:
                    self._log.error("the journal cannot be written", error=message, hint="is the disk full?")
                self._journal = message
            case signals.TaskFailed(name, error):
                self._log.error(f"{name} broke", exc_info=error)

    def _take_answer(self, signal: signals.RegistryAnswered) -> None:
        key, answer, before = signal.key, signal.answer, signal.before
        if answer.problem:
            if before is None or before.problem != answer.problem:
                self._log.warning(
                    f"{key.name}: its registry does not say what is newest", error=answer.problem, key=str(key)
                )
        elif before is None or (before.reference, before.digest) != (answer.reference, answer.digest):
            self._log.info(f"{key.name}: newest is {answer.reference}", key=str(key), digest=answer.digest)


_WORTH_TELLING = frozenset({"BackOff", "Foreign", "Stopped", "WaitingForDependency", "Unhealthy", "Unready"})
"""Reasons that no action tells of. Failures are told when they happen."""


def _why(action: actions.Action) -> str:
    cause = action.cause
    if isinstance(action, actions.StartContainer) and cause.reason in _RESTARTS:
        return f"restart: {cause.message}"
    if cause.fields and not set(cause.fields) <= set(_TOLD):
        return f"{', '.join(cause.fields)} changed"
    return cause.message


_RESTARTS = frozenset({actions.Reason.EXITED, actions.Reason.OOM_KILLED, actions.Reason.UNHEALTHY})


def _unexpected(error: Exception) -> Exception | None:
    return None if isinstance(error, errors.TrimtabError) else error
