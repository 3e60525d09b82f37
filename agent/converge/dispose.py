"""Error -> done, retry or stall: the only place where this is decided.

Retrying and stalling both end in a hold: the object is left alone until then, while everything else goes on. A hold is
void as soon as the object's declaration changes.
"""

import enum

from agent import errors
from agent.kit import backoff, frozen
from agent.model import policy
from agent.plan import actions
from agent.reasons import Reason

INITIAL = 1.0
"""Seconds before the first retry."""
MAXIMUM = 300.0
"""Seconds between retries at most; a stalled object is tried so seldom from the start."""


class Verdict(enum.Enum):
    """What a failed action means."""

    DONE = enum.auto()
    """What it was to bring about is so already."""
    RETRY = enum.auto()
    STALL = enum.auto()
    """It can never work as declared. It is still tried now and then: a missing file may appear."""


@frozen.value
class Circumstances:
    """What an error is judged by, beside itself."""

    action: actions.Action
    attempts: int
    """Failures in a row for this declaration of the object, this one included."""
    config_hash: str | None
    """Of the object's declaration; ``None`` for one that is being removed."""
    now: float


@frozen.value
class Disposition:
    """What follows from a failure."""

    verdict: Verdict
    hold: policy.Hold


_REMOVALS = (
    actions.RemoveImage,
    actions.RemoveNetwork,
    actions.RemoveVolume,
    actions.RemoveContainer,
    actions.StopContainer,
    actions.DisconnectContainer,
)


def judge(error: Exception, action: actions.Action) -> Verdict:
    """Tell by an error's kind what it means."""
    match error:
        case errors.NotFound() if isinstance(action, _REMOVALS):
            return Verdict.DONE
        case errors.InvalidArgument():
            return Verdict.STALL
        case _:
            return Verdict.RETRY


def dispose(error: Exception, circumstances: Circumstances) -> Disposition:
    """Say what follows from a failure that is not ``DONE``: how long the object is left alone, and why."""
    verdict = judge(error, circumstances.action)
    wait = MAXIMUM
    if verdict is Verdict.RETRY:
        wait = backoff.delay(circumstances.attempts, initial=INITIAL, maximum=MAXIMUM)
    hold = policy.Hold(
        key=circumstances.action.key,
        reason=reason_of(error),
        message=message_of(error),
        until=circumstances.now + wait,
        config_hash=circumstances.config_hash,
    )
    return Disposition(verdict, hold)


def reason_of(error: BaseException) -> Reason:
    """Give a condition's reason."""
    return error.reason if isinstance(error, errors.Failure) else Reason.INTERNAL_ERROR


def message_of(error: BaseException) -> str:
    """Give the error's own words; of one that nobody expected, its type as well."""
    return str(error) if isinstance(error, errors.TrimtabError) else f"{type(error).__name__}: {error}"
