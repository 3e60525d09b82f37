"""What is remembered of objects whose last action failed, and when it is forgotten."""

import dataclasses

import pytest

from agent import errors
from agent.converge import failures, signals
from agent.converge import goal as goals
from agent.model import state
from agent.model.key import Kind, ObjectKey
from agent.plan import actions
from agent.reasons import Reason
from tests import builders

WEB = builders.config()
KEY = state.key_of(WEB)
GOAL = goals.Goal.everything(builders.desired(WEB))
HASH = GOAL.hashes[KEY]
START = actions.StartContainer(KEY, actions.Cause(Reason.MISSING, "not there yet"), "web", None, 0)


def failed(known: failures.Failures, error: Exception, config_hash: str | None = HASH) -> failures.Failure:
    """Let a start fail."""
    finished = signals.ActionFinished(START, signals.Result.FAILED, 0.1, error, builders.NOW)
    return known.add(error, finished, config_hash)


def test_add__in_a_row__counts_and_waits_longer() -> None:
    known = failures.Failures()
    until = [failed(known, errors.Unavailable("no")).hold.until for _ in range(3)]
    assert until == [builders.NOW + 1, builders.NOW + 2, builders.NOW + 4]
    assert known.by_key[KEY].attempts == 3
    assert (known.stalled, [hold.until for hold in known.holds()]) == ({KEY: False}, [builders.NOW + 4])


def test_add__of_another_declaration__begins_anew() -> None:
    known = failures.Failures()
    failed(known, errors.Unavailable("no"))
    failure = failed(known, errors.Unavailable("no"), "another")
    assert (failure.attempts, failure.hold.until, failure.hold.config_hash) == (1, builders.NOW + 1, "another")


def test_add__can_never_work__is_stalled() -> None:
    known = failures.Failures()
    assert failed(known, errors.InvalidArgument("no")).stalled
    assert known.stalled == {KEY: True}


def test_pardon__a_reason_that_may_be_gone__forgets_those_and_no_others() -> None:
    known = failures.Failures()
    failed(known, errors.Unavailable("no", reason=Reason.IMAGE_PULL_DENIED))
    known.pardon(Reason.UNAVAILABLE)
    assert known.by_key.keys() == {KEY}
    known.pardon(Reason.IMAGE_PULL_DENIED)
    assert known.by_key == {}


@pytest.mark.parametrize(
    ("busy", "waiting", "is_kept"), [(True, False, True), (False, True, True), (False, False, False)]
)
def test_settle__neither_under_way_nor_waiting__is_well_again(busy: bool, waiting: bool, is_kept: bool) -> None:
    known = failures.Failures()
    failed(known, errors.Unavailable("no"))
    known.settle(GOAL, frozenset({KEY} if busy else ()), frozenset({KEY} if waiting else ()))
    assert (KEY in known.by_key) is is_kept


def test_settle__declared_otherwise_or_no_more__is_forgotten_though_it_waits() -> None:
    changed = goals.Goal.everything(builders.desired(dataclasses.replace(WEB, args=("x",))))
    for goal in (changed, goals.Goal.everything(builders.desired())):
        known = failures.Failures()
        failed(known, errors.Unavailable("no"))
        known.settle(goal, frozenset(), frozenset({KEY}))
        assert known.by_key == {}


def test_forget__some_objects__are_tried_as_if_they_had_never_failed() -> None:
    known = failures.Failures()
    failed(known, errors.Unavailable("no"))
    known.forget(frozenset({ObjectKey(Kind.CONTAINER, "db")}))
    assert known.by_key.keys() == {KEY}
    known.forget(frozenset({KEY}))
    assert (known.by_key, known.holds()) == ({}, ())
