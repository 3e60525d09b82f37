"""When converging once is over, and what is not as it should be then: by what was seen, without a loop."""

import dataclasses

import pytest

from agent.converge import completion, reconcile, report, verdicts
from agent.converge import goal as goals
from agent.model import container, health, ledger, state
from agent.plan import planner
from tests import builders

NOW = builders.NOW
WEB = builders.config()
KEY = state.key_of(WEB)
PROBE = health.Probe(health.TcpProbe(80), 2.0, 5.0, 1.0, 1, 3)
READY_WITHIN = 2.0 + 3 * 5.0
READINESS = dataclasses.replace(WEB, health=health.HealthConfig(None, PROBE, None))
LIVENESS = dataclasses.replace(WEB, health=health.HealthConfig(None, None, PROBE))


def under(policy: str, config: container.ContainerConfig = WEB) -> container.ContainerConfig:
    restart = dataclasses.replace(config.restart, policy=container.RestartPolicy(policy))
    return dataclasses.replace(config, restart=restart)


def container_pass(
    config: container.ContainerConfig,
    existing: container.ObservedContainer | None,
    *answers: health.ObservedHealth,
    at: float = NOW,
    streak: int = 0,
    moment: float | None = None,
) -> reconcile.PassResult:
    """Make a pass over one declared container and its image; ``moment``: by the monotonic clock."""
    memory = (ledger.LedgerEntry(KEY, "", streak=streak),)
    observed = builders.world(*([] if existing is None else [existing]), now=at, ledger=memory, health=answers)
    goal = goals.Goal.everything(builders.desired(config))
    computed = planner.compute_plan(goal.desired, observed, builders.rules())
    statuses = report.report(verdicts.Facts(goal, observed, computed, {}, {}), {})
    return reconcile.PassResult(
        goal, at if moment is None else moment, observed, computed, statuses, frozenset(), {}, None
    )


def outcome_of(*passes: reconcile.PassResult) -> tuple[bool, list[str]]:
    """Go through passes; say whether it is over with the last one, and what is not as it should be."""
    session = completion.Session.begin(passes[0])
    for later_pass in passes[1:]:
        session = session.after(later_pass)
    unfinished = completion.unfinished(passes[-1], session)
    return completion.settled(passes[-1], session), [
        f"{object_status.key}: {object_status.reason}: {object_status.message}" for object_status in unfinished
    ]


def running(config: container.ContainerConfig, since: float) -> container.ObservedContainer:
    return builders.observed(config, started_at=since)


def probed(*, started: bool = True, ready: bool = True, alive: bool = True, message: str = "") -> health.ObservedHealth:
    return health.ObservedHealth("id-web", started, ready, alive, message, None if alive else NOW)


def test_settled__ran_before__is_over_at_once() -> None:
    assert outcome_of(container_pass(WEB, running(WEB, NOW - 1.0))) == (True, [])


def test_settled__something_is_left_to_do__is_not_over() -> None:
    settled, _ = outcome_of(container_pass(WEB, None))
    assert not settled


@pytest.mark.parametrize(("ran", "over"), [(0.0, False), (-0.01, False), (0.9, False), (1.0, True), (60.0, True)])
def test_settled__started_without_probes__is_over_when_it_has_run_for_a_moment(ran: float, over: bool) -> None:
    first, now = container_pass(WEB, None), container_pass(WEB, running(WEB, NOW + 5.0), at=NOW + 5.0 + ran)
    settled, unfinished = outcome_of(first, now)
    assert settled == over
    assert unfinished == ([] if over else ["Container/web: Starting: has run for less than 1 s"])


def test_settled__the_engines_clock_is_far_ahead__nobody_waits_for_it() -> None:
    assert outcome_of(container_pass(WEB, None), container_pass(WEB, running(WEB, NOW + 3600.0), at=NOW + 1.0)) == (
        True,
        [],
    )


def test_settled__fails_at_once_and_runs_again__is_over_and_not_applied() -> None:
    ended = builders.exited(WEB, 3, at=NOW + 0.1, started_at=NOW)
    restarted = running(WEB, NOW + 0.2)
    passes = (container_pass(WEB, None), container_pass(WEB, ended, at=NOW + 0.1))
    assert outcome_of(*passes, container_pass(WEB, restarted, at=NOW + 0.3, streak=1))[0] is False
    assert outcome_of(*passes, container_pass(WEB, restarted, at=NOW + 1.2, streak=1)) == (
        True,
        ["Container/web: Restarted: exited with 3 meanwhile; it runs again"],
    )


def test_settled__fails_twice__is_over_with_the_back_off_for_a_reason() -> None:
    ended = builders.exited(WEB, 3, at=NOW + 0.1, started_at=NOW)
    assert outcome_of(container_pass(WEB, None), container_pass(WEB, ended, at=NOW + 0.2, streak=1)) == (
        True,
        ["Container/web: BackOff: exited with 3; failure 2 in a row"],
    )


def test_settled__was_found_ended_and_is_started_again__is_applied() -> None:
    """After a reboot, say: that it had ended before is no failure of this apply."""
    before = builders.exited(WEB, None, at=NOW - 60.0, started_at=NOW - 600.0)
    restarted = running(WEB, NOW + 0.2)
    assert outcome_of(container_pass(WEB, before), container_pass(WEB, restarted, at=NOW + 1.2, streak=1)) == (True, [])


def test_settled__ran_before_and_fails_meanwhile__is_not_applied() -> None:
    before, restarted = running(WEB, NOW - 600.0), running(WEB, NOW + 0.2)
    ended = builders.exited(WEB, 1, at=NOW + 0.1, started_at=NOW - 600.0)
    passes = (
        container_pass(WEB, before),
        container_pass(WEB, ended, at=NOW + 0.1),
        container_pass(WEB, restarted, at=NOW + 2.0, streak=1),
    )
    assert outcome_of(*passes) == (True, ["Container/web: Restarted: exited with 1 meanwhile; it runs again"])


@pytest.mark.parametrize(
    ("policy", "code", "unfinished"),
    [
        ("OnFailure", 0, []),
        ("Never", 0, []),
        ("Never", 1, ["Container/web: Stopped: exited with 1, and its policy is Never"]),
        ("Always", 0, ["Container/web: BackOff: exited with 0; failure 2 in a row"]),
    ],
)
def test_settled__ends_by_itself__is_done_where_its_policy_lets_it_be(
    policy: str, code: int, unfinished: list[str]
) -> None:
    config = under(policy)
    ended = builders.exited(config, code, at=NOW + 0.1, started_at=NOW)
    assert outcome_of(container_pass(config, None), container_pass(config, ended, at=NOW + 0.2, streak=1)) == (
        True,
        unfinished,
    )


def test_settled__people_stop_it_meanwhile__is_nothing_to_complain_of() -> None:
    config = under("UnlessStopped")
    stopped = builders.exited(config, 143, at=NOW + 0.1, started_at=NOW, stop_requested=True)
    assert outcome_of(container_pass(config, None), container_pass(config, stopped, at=NOW + 0.2)) == (True, [])


@pytest.mark.parametrize(
    ("health_answer", "after", "over", "unfinished"),
    [
        (None, 0.5, False, ["Container/web: Starting: its probes have not succeeded yet"]),
        (None, 500.0, False, ["Container/web: Starting: its probes have not succeeded yet"]),
        (probed(), 0.1, True, []),
        (probed(ready=False, message="no"), READY_WITHIN - 0.1, False, ["Container/web: Unready: no"]),
        (probed(ready=False, message="no"), READY_WITHIN, True, ["Container/web: Unready: no"]),
    ],
)
def test_settled__started_with_a_readiness_probe__is_over_when_that_has_said_so(
    health_answer: health.ObservedHealth | None, after: float, over: bool, unfinished: list[str]
) -> None:
    now = container_pass(
        READINESS, running(READINESS, NOW), *([health_answer] if health_answer else []), at=NOW + after
    )
    assert outcome_of(container_pass(READINESS, None), now) == (over, unfinished)


def test_settled__fails_before_its_probe_succeeds__is_as_its_probe_says() -> None:
    ended = builders.exited(READINESS, 3, at=NOW + 0.1, started_at=NOW)
    restarted = container_pass(READINESS, running(READINESS, NOW + 0.2), probed(), at=NOW + 0.3, streak=1)
    assert outcome_of(container_pass(READINESS, None), container_pass(READINESS, ended, at=NOW + 0.1), restarted) == (
        True,
        [],
    )


def test_settled__ran_before_and_its_probes_have_only_begun__waits_for_them_by_their_own_patience() -> None:
    before = running(READINESS, NOW - 600.0)
    unready = probed(ready=False, message="no")
    assert outcome_of(container_pass(READINESS, before))[0] is False
    assert (
        outcome_of(container_pass(READINESS, before), container_pass(READINESS, before, unready, at=NOW + 1.0))[0]
        is False
    )
    assert (
        outcome_of(
            container_pass(READINESS, before), container_pass(READINESS, before, unready, at=NOW + READY_WITHIN)
        )[0]
        is True
    )


def test_settled__a_startup_probe_comes_first__both_have_their_time() -> None:
    config = dataclasses.replace(WEB, health=health.HealthConfig(PROBE, PROBE, None))
    unready = probed(ready=False, message="no")
    for after, over in ((2 * READY_WITHIN - 0.1, False), (2 * READY_WITHIN, True)):
        assert (
            outcome_of(
                container_pass(config, None), container_pass(config, running(config, NOW), unready, at=NOW + after)
            )[0]
            is over
        )


def test_settled__dead_by_its_probes_and_never_restarted__is_over_and_not_applied() -> None:
    for config in (under("Never", READINESS), under("Never", LIVENESS)):
        dead = probed(ready=False, alive=False, message="liveness: no")
        now = container_pass(config, running(config, NOW), dead, at=NOW + 60.0)
        assert outcome_of(container_pass(config, None), now) == (True, ["Container/web: Unhealthy: liveness: no"])


def test_settled__only_a_liveness_probe__has_to_run_for_a_moment_as_without_one() -> None:
    """Such a probe says that something is wrong, and until then that all is well."""
    first = container_pass(LIVENESS, None)
    assert outcome_of(first, container_pass(LIVENESS, running(LIVENESS, NOW), probed(), at=NOW + 0.5))[0] is False
    assert outcome_of(first, container_pass(LIVENESS, running(LIVENESS, NOW), probed(), at=NOW + 1.0)) == (True, [])


@pytest.mark.parametrize(
    ("config", "health_answer", "moment"),
    [
        (WEB, (), NOW + 1.0),
        (READINESS, (probed(ready=False, message="no"),), NOW + READY_WITHIN),
        (READINESS, (probed(),), None),
    ],
)
def test_look_again__a_run_is_still_undecided__names_the_moment_at_which_time_alone_decides(
    config: container.ContainerConfig, health_answer: tuple[health.ObservedHealth, ...], moment: float | None
) -> None:
    first, now = (
        container_pass(config, None),
        container_pass(config, running(config, NOW), *health_answer, at=NOW + 0.1),
    )
    assert completion.next_look_at(now, completion.Session.begin(first).after(now)) == moment


@pytest.mark.parametrize("step", [-86_400.0, -0.5, 0.5, 86_400.0])
def test_settled__the_clock_is_set_meanwhile__waits_no_longer_and_no_shorter(step: float) -> None:
    first = container_pass(WEB, None, moment=100.0)
    begun = container_pass(WEB, running(WEB, NOW), at=NOW + 0.1, moment=100.1)
    for moment, over in ((100.9, False), (101.0, True)):
        assert outcome_of(first, begun, container_pass(WEB, running(WEB, NOW), at=NOW + step, moment=moment))[0] is over


@pytest.mark.parametrize("step", [-86_400.0, 86_400.0])
def test_settled__the_clock_is_set_while_a_probe_is_waited_for__its_patience_is_the_same(step: float) -> None:
    unready = probed(ready=False, message="no")
    first = container_pass(READINESS, None, moment=100.0)
    begun = container_pass(READINESS, running(READINESS, NOW), unready, moment=100.0)
    for elapsed, over in ((READY_WITHIN - 0.1, False), (READY_WITHIN, True)):
        now = container_pass(READINESS, running(READINESS, NOW), unready, at=NOW + step, moment=100.0 + elapsed)
        assert outcome_of(first, begun, now)[0] is over
        expected = None if over else 100.0 + READY_WITHIN
        assert completion.next_look_at(now, completion.Session.begin(first).after(begun).after(now)) == expected


def test_settled__an_orphan_is_still_used_by_what_waits_in_vain__is_over() -> None:
    db = under("Never", builders.config("db"))
    web = builders.config(
        depends_on=(container.Dependency("db", container.DependencyCondition.HEALTHY),),
        networks=(container.NetworkAttachment("shop"),),
    )
    goal = goals.Goal.everything(builders.desired(db, dataclasses.replace(web, networks=(), args=("x",))))
    observed = builders.world(
        builders.exited(db, 1), builders.observed(web), builders.observed_network(builders.network_config())
    )
    computed = planner.compute_plan(goal.desired, observed, builders.rules())
    statuses = report.report(verdicts.Facts(goal, observed, computed, {}, {}), {})
    now = reconcile.PassResult(goal, NOW, observed, computed, statuses, frozenset(), {}, None)
    assert {str(blocked.key): blocked.reason for blocked in computed.blocked}["Network/shop"] == "InUse"
    assert completion.settled(now, completion.Session.begin(now))


@pytest.mark.parametrize(
    ("config", "seen", "answer", "how"),
    [
        (WEB, builders.exited(WEB, 3, at=NOW + 0.1, started_at=NOW), (), "exited with 3"),
        (WEB, builders.exited(WEB, 0, at=NOW + 0.1, started_at=NOW), (), "exited with 0"),
        (WEB, builders.exited(WEB, None, at=NOW + 0.1, started_at=NOW), (), "exited with an unknown code"),
        (WEB, builders.exited(WEB, 143, at=NOW + 0.1, started_at=NOW, stop_requested=True), (), ""),
        (under("Never"), builders.exited(under("Never"), 0, at=NOW + 0.1, started_at=NOW), (), ""),
        (under("OnFailure"), builders.exited(under("OnFailure"), 1, at=NOW + 0.1, started_at=NOW), (), "exited with 1"),
        (
            *(LIVENESS, running(LIVENESS, NOW), (probed(alive=False, message="liveness: no"),)),
            "was unhealthy (liveness: no)",
        ),
        (LIVENESS, builders.exited(LIVENESS, 3, at=NOW, started_at=NOW), (probed(alive=False),), "exited with 3"),
    ],
)
def test_settled__has_failed_meanwhile_and_runs_again__is_not_applied_and_says_how(
    config: container.ContainerConfig,
    seen: container.ObservedContainer,
    answer: tuple[health.ObservedHealth, ...],
    how: str,
) -> None:
    first, failed = container_pass(config, None), container_pass(config, seen, *answer, at=NOW + 0.1)
    now = container_pass(config, running(config, NOW + 0.2), probed(), at=NOW + 2.0, streak=1)
    expected = [f"Container/web: Restarted: {how} meanwhile; it runs again"] if how else []
    assert outcome_of(first, failed, now) == (True, expected)


def test_settled__had_ended_before_and_another_run_fails__is_not_applied() -> None:
    before = builders.exited(WEB, 1, at=NOW - 60.0, started_at=NOW - 600.0)
    passes = (
        container_pass(WEB, before),
        container_pass(WEB, builders.exited(WEB, 2, at=NOW + 0.2, started_at=NOW + 0.1), at=NOW + 0.2),
        container_pass(WEB, running(WEB, NOW + 0.3), at=NOW + 2.0, streak=2),
    )
    assert outcome_of(*passes) == (True, ["Container/web: Restarted: exited with 2 meanwhile; it runs again"])


def test_settled__somebody_elses_container_of_that_name_fails__is_nothing_of_ours() -> None:
    def foreign(observed: container.ObservedContainer) -> container.ObservedContainer:
        return dataclasses.replace(observed, labels=())

    passes = (
        container_pass(WEB, foreign(running(WEB, NOW - 60.0))),
        container_pass(WEB, foreign(builders.exited(WEB, 1, started_at=NOW - 60.0)), at=NOW + 0.1),
        container_pass(WEB, running(WEB, NOW + 0.2), at=NOW + 2.0),
    )
    assert outcome_of(*passes) == (True, [])


def test_settled__runs_since_nobody_knows_when__is_up_or_has_its_probes_patience_from_now_on() -> None:
    assert outcome_of(container_pass(WEB, builders.observed(WEB, started_at=None))) == (True, [])
    first, unready = container_pass(READINESS, None), probed(ready=False, message="no")
    for after, over in ((READY_WITHIN - 0.1, False), (READY_WITHIN, True)):
        observed = builders.observed(READINESS, started_at=None)
        assert outcome_of(first, container_pass(READINESS, observed, unready, at=NOW + after))[0] is over


def test_settled__only_a_liveness_probe_that_has_not_answered__is_over_after_a_moment() -> None:
    assert outcome_of(container_pass(LIVENESS, running(LIVENESS, NOW - 60.0))) == (True, [])


def test_look_again__several_runs_are_undecided__is_at_the_first_moment_to_come() -> None:
    db, late = builders.config("db"), builders.config("late", health=READINESS.health)
    observed = builders.world(running(WEB, NOW - 0.4), running(db, NOW - 0.1), running(late, NOW - 60.0))
    goal = goals.Goal.everything(builders.desired(WEB, db, late))
    computed = planner.compute_plan(goal.desired, observed, builders.rules())
    now = reconcile.PassResult(goal, NOW, observed, computed, (), frozenset(), {}, None)
    session = dataclasses.replace(completion.Session.begin(now), began=NOW - 60.0)
    assert completion.next_look_at(now, session) == pytest.approx(NOW + 0.6)


@pytest.mark.parametrize("after", [READY_WITHIN, 500.0])
def test_look_again__a_probe_has_not_answered_in_all_its_time__is_at_no_moment(after: float) -> None:
    first, now = container_pass(READINESS, None), container_pass(READINESS, running(READINESS, NOW), at=NOW + after)
    assert completion.next_look_at(now, completion.Session.begin(first).after(now)) is None
