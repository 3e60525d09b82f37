"""When a container that does not do what it should is started again: policies and back-off, as pure arithmetic."""

from agent.kit import backoff, frozen
from agent.model import container, ledger
from agent.plan import actions
from agent.reasons import Reason

_KILLED = (128 + 9, 128 + 15)
"""Exit codes of programs that SIGKILL and SIGTERM have ended."""


@frozen.value
class Restart:
    """A restart that is wanted, now or later."""

    due: float
    """When it may happen; seconds since the epoch."""
    cause: actions.Cause
    reason: ledger.RestartReason | None
    """By which it is counted; ``None``: it is not."""
    streak: int
    """Failures in a row, this one included."""


def of_exited(
    config: container.RestartConfig, observed: container.ObservedContainer, memory: ledger.LedgerEntry | None
) -> Restart | None:
    """Tell when a container that has ended is started again; ``None`` where it is to stay as it is.

    One that we have stopped ourselves has not failed: it is started at once, and counts for nothing.
    """
    if memory is not None and is_stopped_by_us(observed, memory):
        cause = actions.Cause(Reason.INTERRUPTED, "was stopped for a change that has not come about")
        return Restart(observed.finished_at or 0.0, cause, ledger.RestartReason.EXIT, memory.streak)
    if not _should_restart(config.policy, observed):
        return None
    oom = observed.oom_killed
    message = exit_message(observed)
    cause = actions.Cause(
        Reason.OOM_KILLED if oom else Reason.EXITED,
        "killed for want of memory" if oom else message,
    )
    streak = _streak(config.backoff, observed, memory, observed.finished_at)
    due = (observed.finished_at or 0.0) + _delay(config.backoff, streak)
    return Restart(due, cause, ledger.RestartReason.OOM if oom else ledger.RestartReason.EXIT, streak + 1)


def on_request(now: float) -> Restart:
    """Return the restart that somebody has asked for: it waits for nothing, and is a new beginning for the back-off."""
    return Restart(now, actions.Cause(Reason.REQUESTED, "somebody has asked for it"), None, 0)


def exit_message(observed: container.ObservedContainer) -> str:
    """Return how a container has ended: ``exited with 1``."""
    return f"exited with {'an unknown code' if observed.exit_code is None else observed.exit_code}"


def is_stopped_by_us(observed: container.ObservedContainer, memory: ledger.LedgerEntry | None) -> bool:
    """Return whether a container has ended because this agent stopped it on the way to something else."""
    ended = observed.state is container.ContainerState.EXITED
    return ended and observed.stop_requested and memory is not None and memory.restarting


def killed_behind_our_back(observed: container.ObservedContainer) -> bool:
    """Tell whether an end was not the program's own doing: nobody saw it, or a signal that was not ours ended it.

    A program that exits by itself, with whatever code, does what it was declared to do; for want of memory, too.
    """
    if observed.oom_killed or observed.stop_requested:
        return False
    return observed.exit_code is None or observed.exit_code in _KILLED


def of_unhealthy(
    config: container.RestartConfig,
    observed: container.ObservedContainer,
    memory: ledger.LedgerEntry | None,
    failed: tuple[float, str],
) -> Restart:
    """Tell when a container that its probes call dead is restarted; ``failed`` is when and what they said."""
    since, message = failed
    streak = _streak(config.backoff, observed, memory, since)
    cause = actions.Cause(Reason.UNHEALTHY, message or "its probe failed")
    return Restart(since + _delay(config.backoff, streak), cause, ledger.RestartReason.UNHEALTHY, streak + 1)


def _should_restart(policy: container.RestartPolicy, observed: container.ObservedContainer) -> bool:
    match policy:
        case container.RestartPolicy.ALWAYS:
            return True
        case container.RestartPolicy.ON_FAILURE:
            return observed.exit_code != 0
        case container.RestartPolicy.UNLESS_STOPPED:
            return not observed.stop_requested
        case container.RestartPolicy.NEVER:
            return False


def _streak(
    config: container.BackoffConfig,
    observed: container.ObservedContainer,
    memory: ledger.LedgerEntry | None,
    ended: float | None,
) -> int:
    """Give the failures in a row so far: none after a run that was long enough."""
    if memory is None or (ended or 0.0) - (observed.started_at or 0.0) >= config.reset:
        return 0
    return memory.streak


def _delay(config: container.BackoffConfig, streak: int) -> float:
    return backoff.delay(streak, initial=config.initial, maximum=config.maximum)
