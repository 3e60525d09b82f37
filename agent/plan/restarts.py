"""When a container that does not do what it should is started again: policies and back-off, as pure arithmetic."""

import dataclasses

from agent.kit import backoff
from agent.model import container, ledger
from agent.plan import actions

_KILLED = (128 + 9, 128 + 15)
"""Exit codes of programs that SIGKILL and SIGTERM have ended."""


@dataclasses.dataclass(frozen=True, slots=True)
class Restart:
    """A restart that is wanted, now or later."""

    due: float
    """When it may happen; seconds since the epoch."""
    cause: actions.Cause
    reason: ledger.RestartReason
    streak: int
    """Failures in a row, this one included."""


def of_exited(
    wanted: container.RestartConfig, found: container.ObservedContainer, memory: ledger.LedgerEntry | None
) -> Restart | None:
    """Tell when a container that has ended is started again; ``None`` where it is to stay as it is."""
    if not _wanted(wanted.policy, found, memory):
        return None
    oom = found.oom_killed
    message = f"exited with {'an unknown code' if found.exit_code is None else found.exit_code}"
    cause = actions.Cause(
        actions.Reason.OOM_KILLED if oom else actions.Reason.EXITED,
        "killed for want of memory" if oom else message,
    )
    streak = _streak(wanted.backoff, found, memory, found.finished_at)
    due = (found.finished_at or 0.0) + _delay(wanted.backoff, streak)
    return Restart(due, cause, ledger.RestartReason.OOM if oom else ledger.RestartReason.EXIT, streak + 1)


def killed_behind_our_back(found: container.ObservedContainer) -> bool:
    """Tell whether an end was not the program's own doing: nobody saw it, or a signal that was not ours ended it.

    A program that exits by itself, with whatever code, does what it was declared to do; for want of memory, too.
    """
    if found.oom_killed or found.stop_requested:
        return False
    return found.exit_code is None or found.exit_code in _KILLED


def of_unhealthy(
    wanted: container.RestartConfig,
    found: container.ObservedContainer,
    memory: ledger.LedgerEntry | None,
    failed: tuple[float, str],
) -> Restart:
    """Tell when a container that its probes call dead is restarted; ``failed`` is when and what they said."""
    since, message = failed
    streak = _streak(wanted.backoff, found, memory, since)
    cause = actions.Cause(actions.Reason.UNHEALTHY, message or "its probe failed")
    return Restart(since + _delay(wanted.backoff, streak), cause, ledger.RestartReason.UNHEALTHY, streak + 1)


def _wanted(
    policy: container.RestartPolicy, found: container.ObservedContainer, memory: ledger.LedgerEntry | None
) -> bool:
    ours = memory is not None and memory.restarting
    match policy:
        case container.RestartPolicy.ALWAYS:
            return True
        case container.RestartPolicy.ON_FAILURE:
            return ours or found.exit_code != 0
        case container.RestartPolicy.UNLESS_STOPPED:
            return ours or not found.stop_requested
        case container.RestartPolicy.NEVER:
            return False


def _streak(
    config: container.BackoffConfig,
    found: container.ObservedContainer,
    memory: ledger.LedgerEntry | None,
    ended: float | None,
) -> int:
    """Give the failures in a row so far: none after a run that was long enough."""
    if memory is None or (ended or 0.0) - (found.started_at or 0.0) >= config.reset:
        return 0
    return memory.streak


def _delay(config: container.BackoffConfig, streak: int) -> float:
    return backoff.delay(streak, initial=config.initial, maximum=config.maximum)
