"""What is said of every object: its conditions, and one line for people. Pure."""

from collections.abc import Iterable, Mapping

from agent.converge import verdicts
from agent.model import conditions
from agent.model.key import ObjectKey


def report(
    facts: verdicts.Facts, before: Mapping[ObjectKey, conditions.ObjectStatus]
) -> tuple[conditions.ObjectStatus, ...]:
    """Say how every object is, sorted by key. ``before`` is what was said last: it knows since when things are so."""
    judge = verdicts.Judge(facts)
    return tuple(
        _status(key, judge.verdict(key, bucket), facts, before)
        for key, bucket in facts.plan.buckets
        if facts.goal.reports(key)
    )


def changes(
    before: Mapping[ObjectKey, conditions.ObjectStatus], now: Iterable[conditions.ObjectStatus]
) -> tuple[conditions.ObjectStatus, ...]:
    """Give the statuses that are other than before."""
    return tuple(status for status in now if before.get(status.key) != status)


def condition(status: conditions.ObjectStatus, type: conditions.ConditionType) -> conditions.Condition:
    """Give one of an object's conditions."""
    return next(condition for condition in status.conditions if condition.type is type)


def is_ready(status: conditions.ObjectStatus) -> bool:
    """Tell whether an object is as declared."""
    return condition(status, conditions.ConditionType.READY).status is conditions.ConditionStatus.TRUE


def _status(
    key: ObjectKey,
    verdict: verdicts.Verdict,
    facts: verdicts.Facts,
    before: Mapping[ObjectKey, conditions.ObjectStatus],
) -> conditions.ObjectStatus:
    """Return an object's status: the same one as before where nothing of it has changed."""
    old = before.get(key)
    config_hash = facts.goal.hashes.get(key, "")
    if old is not None and _is_unchanged(old, verdict, config_hash):
        return old
    earlier_conditions = {} if old is None else {condition.type: condition for condition in old.conditions}
    changed = []
    for type, status in verdict.answers():
        earlier = earlier_conditions.get(type)
        since = earlier.since if earlier is not None and earlier.status is status else facts.observed.observed_at
        changed.append(conditions.Condition(type, status, verdict.reason, verdict.message, since))
    return conditions.ObjectStatus(key, config_hash, tuple(sorted(changed)), verdict.detail, verdict.until)


def _is_unchanged(old: conditions.ObjectStatus, verdict: verdicts.Verdict, config_hash: str) -> bool:
    if (old.config_hash, old.detail, old.until) != (config_hash, verdict.detail, verdict.until):
        return False
    answers = dict(verdict.answers())
    return len(old.conditions) == len(answers) and all(
        condition.status is answers.get(condition.type)
        and condition.reason == verdict.reason
        and condition.message == verdict.message
        for condition in old.conditions
    )
