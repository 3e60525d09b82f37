"""What the ledger learns."""

import dataclasses

import pytest

from agent.converge import goal as goals
from agent.converge import memory
from agent.kit import canonical
from agent.model import ledger, state, suspension
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, plan, planner
from agent.reasons import Reason
from tests import builders

WEB = builders.config()
KEY = state.key_of(WEB)
CAUSE = actions.Cause(Reason.EXITED, "exited with 1")
BLANK = ledger.LedgerEntry(KEY, "")


def start(restart: ledger.RestartReason | None, streak: int) -> actions.StartContainer:
    return actions.StartContainer(KEY, CAUSE, "web", restart, streak)


def test_after__restarted__counts_by_reason_and_keeps_the_streak() -> None:
    once = memory.after(BLANK, start(ledger.RestartReason.EXIT, 1))
    twice = memory.after(once, start(ledger.RestartReason.OOM, 2))
    thrice = memory.after(twice, start(ledger.RestartReason.EXIT, 3))
    assert thrice.streak == 3
    assert thrice.restarts == (
        ledger.RestartCount(ledger.RestartReason.EXIT, 2),
        ledger.RestartCount(ledger.RestartReason.OOM, 1),
    )


def test_before__stop_for_a_restart__counts_and_is_known_as_ours() -> None:
    stop = actions.StopContainer(KEY, CAUSE, "web", WEB.stop, ledger.RestartReason.UNHEALTHY)
    stopped = memory.before(BLANK, stop)
    assert stopped.restarting
    started = memory.after(stopped, start(None, 1))
    assert started.restarts == (ledger.RestartCount(ledger.RestartReason.UNHEALTHY, 1),)
    assert not started.restarting


def test_before__stop_for_a_replacement__is_known_as_ours_and_counts_for_nothing() -> None:
    stopped = memory.before(BLANK, actions.StopContainer(KEY, CAUSE, "web", WEB.stop))
    assert stopped == dataclasses.replace(BLANK, restarting=True)
    assert memory.after(stopped, start(None, 0)) == BLANK


def test_before_and_after__anything_else__changes_nothing() -> None:
    for action in (
        actions.RemoveContainer(KEY, CAUSE, "web"),
        actions.CreateContainer(KEY, CAUSE, WEB, "web"),
    ):
        assert memory.before(BLANK, action) == BLANK
        assert memory.after(BLANK, action) == BLANK


def applied(observed: state.ObservedState) -> dict[str, str]:
    goal = goals.Goal.everything(builders.desired(WEB))
    computed = planner.compute_plan(goal.desired, observed, builders.rules())
    return {str(entry.key): entry.applied_hash for entry in memory.applied(observed.ledger, goal, observed, computed)}


def test_applied__nothing_left_to_do__is_what_was_brought_about() -> None:
    assert applied(builders.world(builders.observed(WEB)))["Container/web"] == canonical.digest(WEB)


def test_applied__it_is_remembered_already__nothing_changes() -> None:
    computed = applied(builders.world(builders.observed(WEB), ledger=(builders.remembered(WEB),)))
    assert "Container/web" not in computed


def test_applied__steps_are_left__is_not_there_yet() -> None:
    assert "Container/web" not in applied(builders.world())


def test_applied__waits_for_something__is_not_there_yet() -> None:
    waiting = builders.world(builders.exited(WEB, 1, at=999.9), ledger=(builders.remembered(WEB, streak=5),))
    assert "Container/web" not in applied(waiting)


def test_applied__found_running_after_a_crash_between_stop_and_start__is_restarting_no_more() -> None:
    before = builders.remembered(WEB, restarting=True)
    observed = builders.world(builders.observed(WEB), ledger=(before,))
    goal = goals.Goal.everything(builders.desired(WEB))
    computed = planner.compute_plan(goal.desired, observed, builders.rules())
    after = {entry.key: entry for entry in memory.applied(observed.ledger, goal, observed, computed)}
    assert after[KEY] == dataclasses.replace(before, restarting=False)


def test_gone__neither_declared_nor_there__is_forgotten_unless_out_of_reach() -> None:
    old = builders.remembered(builders.config("old"))
    goal = goals.Goal.everything(builders.desired(WEB))
    computed = planner.compute_plan(goal.desired, builders.world(builders.observed(WEB)), builders.rules())
    assert list(memory.forgettable((old, builders.remembered(WEB)), goal, computed)) == [old.key]
    narrow = goals.Goal.removal(frozenset({KEY}))
    assert list(memory.forgettable((old,), narrow, computed)) == []


NOTHING = plan.Plan("r1", (), (), (), (), None)


@pytest.mark.parametrize(("is_running", "restarting"), [(True, False), (False, True)])
def test_applied__what_was_to_be_started_again__is_restarting_until_it_runs_and_nothing_else_is_forgotten(
    is_running: bool, restarting: bool
) -> None:
    count = ledger.RestartCount(ledger.RestartReason.EXIT, 2)
    before = ledger.LedgerEntry(KEY, "earlier", streak=2, restarts=(count,), restarting=True)
    observed = builders.world(builders.observed(WEB) if is_running else builders.exited(WEB, 1, at=1.0))
    goal = goals.Goal.everything(builders.desired(WEB))
    after = {entry.key: entry for entry in memory.applied((before,), goal, observed, NOTHING)}
    assert after[KEY] == dataclasses.replace(before, applied_hash=goal.hashes[KEY], restarting=restarting)


def test_applied__an_image__is_remembered_by_what_its_registry_calls_it() -> None:
    key = ObjectKey(Kind.IMAGE, builders.IMAGE)
    there = dataclasses.replace(builders.observed_image(), digests=("sha256:1", "sha256:2"))
    goal = goals.Goal.everything(builders.desired(WEB))

    def after(entries: tuple[ledger.LedgerEntry, ...], observed: state.ObservedState) -> list[ledger.LedgerEntry]:
        return [entry for entry in memory.applied(entries, goal, observed, NOTHING) if entry.key == key]

    (first,) = after((), builders.world(builders.observed(WEB), there))
    assert first == ledger.LedgerEntry(key, goal.hashes[key], digests=("sha256:1", "sha256:2"))
    assert after((first,), builders.world(builders.observed(WEB), there)) == []
    (second,) = after((first,), builders.world(builders.observed(WEB), dataclasses.replace(there, digests=())))
    assert second == dataclasses.replace(first, digests=())


def test_vanished__suspended_objects__are_forgotten_only_where_it_is_certain_that_nothing_is_left_of_them() -> None:
    old, far = ObjectKey(Kind.CONTAINER, "old"), ObjectKey(Kind.CONTAINER, "far")
    suspended = suspension.Suspensions(None, tuple(suspension.Suspension(key, 1.0) for key in (far, old, KEY)))
    goal = goals.Goal.everything(builders.desired(WEB))
    computed = planner.compute_plan(goal.desired, builders.world(), builders.rules())
    assert list(memory.vanished(suspended, goal, computed)) == [far, old]
    assert list(memory.vanished(suspended, dataclasses.replace(goal, reach=frozenset({old, KEY})), computed)) == [old]
    unknown = dataclasses.replace(goal, desired=state.DesiredState(""))
    assert list(memory.vanished(suspended, unknown, computed)) == []
