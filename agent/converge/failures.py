"""Objects whose last action failed: how often in a row, and until when they are left alone."""

from collections.abc import Mapping

from agent.converge import dispose, signals
from agent.converge import goal as goals
from agent.kit import frozen
from agent.model import policy
from agent.model.key import ObjectKey


@frozen.value
class Failure:
    """What is known of one object's failing."""

    hold: policy.Hold
    attempts: int
    """In a row, for one declaration of the object."""
    stalled: bool


class Failures:
    """All of them. Forgotten at a restart of the agent: it is a good moment to try again."""

    def __init__(self) -> None:
        """Start with none."""
        self._by_key: dict[ObjectKey, Failure] = {}

    @property
    def by_key(self) -> Mapping[ObjectKey, Failure]:
        """All that are failing now."""
        return dict(self._by_key)

    @property
    def stalled(self) -> Mapping[ObjectKey, bool]:
        """Whether trying again is expected to help, for each failing object: not where it is true."""
        return {key: failure.stalled for key, failure in self._by_key.items()}

    def holds(self) -> tuple[policy.Hold, ...]:
        """Give all holds, over or not: a hold says itself how long it counts."""
        return tuple(failure.hold for failure in self._by_key.values())

    def add(self, error: Exception, finished: signals.ActionFinished, config_hash: str | None) -> Failure:
        """Take a failure in."""
        key = finished.action.key
        before = self._by_key.get(key)
        attempts = 1
        if before is not None and before.hold.config_hash == config_hash:
            attempts += before.attempts
        circumstances = dispose.Circumstances(finished.action, attempts, config_hash, finished.at)
        disposition = dispose.dispose(error, circumstances)
        failure = Failure(disposition.hold, attempts, disposition.verdict is dispose.Verdict.STALL)
        self._by_key[key] = failure
        return failure

    def pardon(self, reason: str) -> None:
        """Forget what has failed for a reason that may be gone."""
        self._by_key = {key: failure for key, failure in self._by_key.items() if failure.hold.reason != reason}

    def forget(self, keys: frozenset[ObjectKey]) -> None:
        """Forget what has failed of some objects."""
        self._by_key = {key: failure for key, failure in self._by_key.items() if key not in keys}

    def settle(self, goal: goals.Goal, busy: frozenset[ObjectKey], waiting: frozenset[ObjectKey]) -> None:
        """Forget failures of objects that are well again or gone, and of declarations that have changed.

        ``busy``: something is being done to them; ``waiting``: blocked, by their failure too.
        """
        for key, failure in list(self._by_key.items()):
            outdated = failure.hold.config_hash != goal.hashes.get(key)
            if outdated or key not in busy | waiting:
                del self._by_key[key]
