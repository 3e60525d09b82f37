"""The loop's signals as log lines: one per action, and each trouble once, however often it recurs.

Environments and commands are never logged: they may hold secrets. Of changed fields only the names are.
"""

from collections.abc import Callable

import structlog
from structlog.typing import FilteringBoundLogger

from agent import errors
from agent.converge import signals
from agent.kit import notices
from agent.model import conditions
from agent.model.conditions import ConditionStatus, ConditionType
from agent.model.key import ObjectKey
from agent.plan import actions
from agent.reasons import Reason
from agent.runtime import events

_REMEMBERED = 8
"""Warnings of one object that are not repeated while it is not well."""
_LOGGED_FIELDS = ("image", "resources", "networks", "ports")
"""Fields whose values may be logged."""


class LogSink:
    """Writes the log of the loop: a ``signals.Sink``."""

    def __init__(self, removal: str, completed: Callable[[str], str]) -> None:
        """Start with nothing logged; ``removal`` is the command that removes what the source has declared.

        ``completed`` returns a text whose commands have the flags that lead to this instance.
        """
        self._removal, self._completed = removal, completed
        self._log: FilteringBoundLogger = structlog.get_logger()
        self._warned: dict[ObjectKey, tuple[tuple[str, str], ...]] = {}
        self._failing = ""
        self._streaming = True
        self._journal = ""
        self._empty = False
        self._notices: dict[str, notices.Notice] = {}

    def take(self, signal: signals.Signal) -> None:
        """Log a signal, where it is worth a line."""
        match signal:
            case signals.ActionFinished() | signals.ObjectDisposed():
                self._take_action(signal)
            case signals.PassFinished() | signals.PassFailed() | signals.RevisionApplied():
                self._take_pass(signal)
            case signals.SourceRead() | signals.SourceAwaited() | signals.SourceRejected() | signals.SourceFailed():
                self._take_source(signal)
            case signals.EventStream():
                self._take_stream(signal)
            case signals.RegistryAnswered():
                self._take_answer(signal)
            case signals.JournalFailed() | signals.TaskFailed():
                self._take_trouble(signal)
            case signals.ProbeFinished() | signals.ActionStarted():
                self._take_detail(signal)
            case signals.RuntimeEvent(events.RuntimeEvent(action=events.EventAction.COLLECTED) as event):
                self._log.info(f"{event.name}: removed (the disk is filling, and nobody used it)")
            case signals.SourceLooked() | signals.ActionProgress() | signals.RuntimeEvent():
                pass  # shown elsewhere, or in what follows from it

    def _take_detail(self, signal: signals.ProbeFinished | signals.ActionStarted) -> None:
        match signal:
            case signals.ProbeFinished(result):
                event = f"{result.container}: {result.probe} probe: {result.outcome}"
                self._log.debug(event, message=result.message)
            case signals.ActionStarted(action):
                self._log.debug(f"{action.key.name}: {type(action).__name__}", key=str(action.key))

    def _take_action(self, signal: signals.ActionFinished | signals.ObjectDisposed) -> None:
        match signal:
            case signals.ActionFinished(action, signals.Result.SUCCEEDED, duration):
                self._log.info(
                    f"{action.key.name}: {actions.done(action)} ({_why(action)})",
                    key=str(action.key),
                    reason=action.cause.reason.value,
                    seconds=round(duration, 3),
                )
            case signals.ActionFinished():
                pass  # what follows from a failure is logged, and what was given up is planned again
            case signals.ObjectDisposed(hold, attempts, stalled):
                log = self._log.error if stalled else self._log.warning
                log(
                    f"{hold.key.name}: {self._completed(hold.message)}",
                    key=str(hold.key),
                    reason=hold.reason,
                    attempts=attempts,
                )

    def _take_notices(self, standing: tuple[notices.Notice, ...]) -> None:
        """Log notices that are new, and those that are over."""
        now = {notice.subject: notice for notice in standing}
        for subject in self._notices.keys() - now.keys():
            self._log.info(f"{subject}: is cleaned up")
        for subject, notice in now.items():
            if subject not in self._notices:
                self._log.warning(f"{subject}: {notice.message}", reason=notice.reason.value)
        self._notices = now

    def _take_pass(self, signal: signals.PassFinished | signals.PassFailed | signals.RevisionApplied) -> None:
        match signal:
            case signals.PassFinished():
                self._failing = ""
                for key, _ in signal.plan.drift if signal.plan.steps else ():
                    self._log.debug(f"{key.name}: drifted", key=str(key))
                self._take_statuses(signal.statuses)
                self._take_notices(signal.notices)
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
        """Log once when an object waits or is not ready, and once when it is ready again.

        An object that waits for a container in a crash loop alternates between reasons: each is logged once.
        """
        warned: dict[ObjectKey, tuple[tuple[str, str], ...]] = {}
        for status in statuses:
            ready = next(condition for condition in status.conditions if condition.type is ConditionType.READY)
            before = self._warned.get(status.key, ())
            if ready.status is ConditionStatus.TRUE:
                if before:
                    self._log.info(f"{status.key.name}: {status.detail}", key=str(status.key), reason=ready.reason)
                continue
            warned[status.key] = before
            news = (ready.reason, ready.message)
            if ready.status is ConditionStatus.FALSE and ready.reason in _WORTH_TELLING and news not in before:
                warned[status.key] = (*before, news)[-_REMEMBERED:]
                message = self._completed(ready.message)
                self._log.warning(f"{status.key.name}: {message}", key=str(status.key), reason=ready.reason)
        self._warned = warned

    def _take_source(
        self, signal: signals.SourceRead | signals.SourceAwaited | signals.SourceRejected | signals.SourceFailed
    ) -> None:
        match signal:
            case signals.SourceRead():
                if signal.empty and not self._empty:
                    self._log.warning(
                        "the source declares nothing: what runs is kept",
                        source=signal.source,
                        hint=f"to remove things, remove their manifests one by one, or call: {self._removal}",
                    )
                elif signal.changed:
                    self._log.info("new revision", revision=signal.revision, objects=signal.objects)
                self._empty = signal.empty
            case signals.SourceAwaited(source, missing, seconds):
                self._log.info(
                    f"{missing} is no longer declared: it is removed in {seconds:.0f} s, unless a file changes again",
                    source=source,
                    reason="a file was changed in place: it may be half written",
                )
            case signals.SourceRejected() if not signal.repeated:
                for problem in signal.problems:
                    self._log.error(str(problem))
                stands = "nothing is done until they are mended" if signal.is_first else "the last good revision stands"
                self._log.error(f"the manifests have problems: {stands}", revision=signal.revision)
            case signals.SourceRejected():
                pass
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


_WORTH_TELLING = frozenset(
    {
        Reason.BACK_OFF,
        Reason.FOREIGN,
        Reason.STOPPED,
        Reason.SUSPENDED,
        Reason.WAITING_FOR_DEPENDENCY,
        Reason.UNHEALTHY,
        Reason.UNREADY,
        Reason.DECLARATION_UNREADABLE,
    }
)
"""Reasons that no action's line reports. Failures are logged when they happen."""


def _why(action: actions.Action) -> str:
    cause = action.cause
    if isinstance(action, actions.StartContainer) and cause.reason in _RESTARTS:
        return f"restart: {cause.message}"
    if cause.fields and not set(cause.fields) <= set(_LOGGED_FIELDS):
        return f"{', '.join(cause.fields)} changed"
    return cause.message


_RESTARTS = frozenset({Reason.EXITED, Reason.OOM_KILLED, Reason.UNHEALTHY, Reason.REQUESTED})


def _unexpected(error: Exception) -> Exception | None:
    return None if isinstance(error, errors.TrimtabError) else error
