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
        if facts.wish.covers(key)
    )


def changes(
    before: Mapping[ObjectKey, conditions.ObjectStatus], now: Iterable[conditions.ObjectStatus]
) -> tuple[conditions.ObjectStatus, ...]:
    """Give the statuses that are other than before."""
    return tuple(status for status in now if before.get(status.key) != status)


def condition(status: conditions.ObjectStatus, type: conditions.ConditionType) -> conditions.Condition:
    """Give one of an object's conditions."""
    return next(one for one in status.conditions if one.type is type)


def is_ready(status: conditions.ObjectStatus) -> bool:
    """Tell whether an object is as declared."""
    return condition(status, conditions.ConditionType.READY).status is conditions.ConditionStatus.TRUE


def _status(
    key: ObjectKey,
    verdict: verdicts.Verdict,
    facts: verdicts.Facts,
    before: Mapping[ObjectKey, conditions.ObjectStatus],
) -> conditions.ObjectStatus:
    answers = {
        conditions.ConditionType.READY: verdict.ready,
        conditions.ConditionType.RECONCILING: verdict.reconciling,
        conditions.ConditionType.STALLED: verdict.stalled,
    }
    old = {one.type: one for one in before[key].conditions} if key in before else {}
    found = []
    for type, status in answers.items():
        known = old.get(type)
        since = known.since if known is not None and known.status is status else facts.observed.observed_at
        found.append(conditions.Condition(type, status, verdict.reason, verdict.message, since))
    return conditions.ObjectStatus(
        key, facts.wish.hashes.get(key, ""), tuple(sorted(found)), verdict.detail, verdict.until
    )
