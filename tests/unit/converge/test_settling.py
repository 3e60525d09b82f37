"""When converging once is over, and what is not as it should be then: by what was seen, without a loop."""

import dataclasses

import pytest

from agent.converge import reconcile, report, settling, verdicts
from agent.converge import wish as wishes
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


def made(
    config: container.ContainerConfig,
    found: container.ObservedContainer | None,
    *said: health.ObservedHealth,
    at: float = NOW,
    streak: int = 0,
) -> reconcile.Pass:
    """Make a pass over one declared container and its image."""
    memory = (ledger.LedgerEntry(KEY, "", streak=streak),)
    observed = builders.world(*([] if found is None else [found]), now=at, ledger=memory, health=said)
    wish = wishes.Wish.everything(builders.desired(config))
    computed = planner.compute_plan(wish.desired, observed, builders.rules())
    statuses = report.report(verdicts.Facts(wish, observed, computed, {}, {}), {})
    return reconcile.Pass(wish, observed, computed, statuses, frozenset(), {}, None)


def told(*passes: reconcile.Pass) -> tuple[bool, list[str]]:
    """Go through passes; say whether it is over with the last one, and what is not as it should be."""
    course = settling.Course.begin(passes[0])
    for one in passes[1:]:
        course = course.after(one)
    found = settling.unfinished(passes[-1], course)
    return settling.settled(passes[-1], course), [f"{one.key}: {one.reason}: {one.message}" for one in found]


def running(config: container.ContainerConfig, since: float) -> container.ObservedContainer:
    return builders.observed(config, started_at=since)


def probed(*, started: bool = True, ready: bool = True, alive: bool = True, message: str = "") -> health.ObservedHealth:
    return health.ObservedHealth("id-web", started, ready, alive, message, None if alive else NOW)


def test_settled__ran_before__is_over_at_once() -> None:
    assert told(made(WEB, running(WEB, NOW - 1.0))) == (True, [])


def test_settled__something_is_left_to_do__is_not_over() -> None:
    settled, _ = told(made(WEB, None))
    assert not settled


@pytest.mark.parametrize(("ran", "over"), [(0.0, False), (-0.01, False), (0.9, False), (1.0, True), (60.0, True)])
def test_settled__started_without_probes__is_over_when_it_has_run_for_a_moment(ran: float, over: bool) -> None:
    first, now = made(WEB, None), made(WEB, running(WEB, NOW + 5.0), at=NOW + 5.0 + ran)
    settled, left = told(first, now)
    assert settled == over
    assert left == ([] if over else ["Container/web: Starting: has run for less than 1 s"])


def test_settled__the_engines_clock_is_far_ahead__nobody_waits_for_it() -> None:
    assert told(made(WEB, None), made(WEB, running(WEB, NOW + 3600.0), at=NOW + 1.0)) == (True, [])


def test_settled__fails_at_once_and_runs_again__is_over_and_not_applied() -> None:
    ended = builders.exited(WEB, 3, at=NOW + 0.1, started_at=NOW)
    again = running(WEB, NOW + 0.2)
    passes = (made(WEB, None), made(WEB, ended, at=NOW + 0.1))
    assert told(*passes, made(WEB, again, at=NOW + 0.3, streak=1))[0] is False
    assert told(*passes, made(WEB, again, at=NOW + 1.2, streak=1)) == (
        True,
        ["Container/web: Restarted: exited with 3 meanwhile; it runs again"],
    )


def test_settled__fails_twice__is_over_with_the_back_off_for_a_reason() -> None:
    ended = builders.exited(WEB, 3, at=NOW + 0.1, started_at=NOW)
    assert told(made(WEB, None), made(WEB, ended, at=NOW + 0.2, streak=1)) == (
        True,
        ["Container/web: BackOff: exited with 3; failure 2 in a row"],
    )


def test_settled__was_found_ended_and_is_started_again__is_applied() -> None:
    """After a reboot, say: that it had ended before is no failure of this apply."""
    before = builders.exited(WEB, None, at=NOW - 60.0, started_at=NOW - 600.0)
    again = running(WEB, NOW + 0.2)
    assert told(made(WEB, before), made(WEB, again, at=NOW + 1.2, streak=1)) == (True, [])


def test_settled__ran_before_and_fails_meanwhile__is_not_applied() -> None:
    before, again = running(WEB, NOW - 600.0), running(WEB, NOW + 0.2)
    ended = builders.exited(WEB, 1, at=NOW + 0.1, started_at=NOW - 600.0)
    passes = (made(WEB, before), made(WEB, ended, at=NOW + 0.1), made(WEB, again, at=NOW + 2.0, streak=1))
    assert told(*passes) == (True, ["Container/web: Restarted: exited with 1 meanwhile; it runs again"])


@pytest.mark.parametrize(
    ("policy", "code", "left"),
    [
        ("OnFailure", 0, []),
        ("Never", 0, []),
        ("Never", 1, ["Container/web: Stopped: exited with 1, and its policy is Never"]),
        ("Always", 0, ["Container/web: BackOff: exited with 0; failure 2 in a row"]),
    ],
)
def test_settled__ends_by_itself__is_done_where_its_policy_lets_it_be(policy: str, code: int, left: list[str]) -> None:
    config = under(policy)
    ended = builders.exited(config, code, at=NOW + 0.1, started_at=NOW)
    assert told(made(config, None), made(config, ended, at=NOW + 0.2, streak=1)) == (True, left)


def test_settled__people_stop_it_meanwhile__is_nothing_to_complain_of() -> None:
    config = under("UnlessStopped")
    stopped = builders.exited(config, 143, at=NOW + 0.1, started_at=NOW, stop_requested=True)
    assert told(made(config, None), made(config, stopped, at=NOW + 0.2)) == (True, [])


@pytest.mark.parametrize(
    ("said", "after", "over", "left"),
    [
        (None, 0.5, False, ["Container/web: Starting: its probes have not succeeded yet"]),
        (None, 500.0, False, ["Container/web: Starting: its probes have not succeeded yet"]),
        (probed(), 0.1, True, []),
        (probed(ready=False, message="no"), READY_WITHIN - 0.1, False, ["Container/web: Unready: no"]),
        (probed(ready=False, message="no"), READY_WITHIN, True, ["Container/web: Unready: no"]),
    ],
)
def test_settled__started_with_a_readiness_probe__is_over_when_that_has_said_so(
    said: health.ObservedHealth | None, after: float, over: bool, left: list[str]
) -> None:
    now = made(READINESS, running(READINESS, NOW), *([said] if said else []), at=NOW + after)
    assert told(made(READINESS, None), now) == (over, left)


def test_settled__fails_before_its_probe_succeeds__is_as_its_probe_says() -> None:
    ended = builders.exited(READINESS, 3, at=NOW + 0.1, started_at=NOW)
    again = made(READINESS, running(READINESS, NOW + 0.2), probed(), at=NOW + 0.3, streak=1)
    assert told(made(READINESS, None), made(READINESS, ended, at=NOW + 0.1), again) == (True, [])


def test_settled__ran_before_and_its_probes_have_only_begun__waits_for_them_by_their_own_patience() -> None:
    before = running(READINESS, NOW - 600.0)
    unready = probed(ready=False, message="no")
    assert told(made(READINESS, before))[0] is False
    assert told(made(READINESS, before), made(READINESS, before, unready, at=NOW + 1.0))[0] is False
    assert told(made(READINESS, before), made(READINESS, before, unready, at=NOW + READY_WITHIN))[0] is True


def test_settled__a_startup_probe_comes_first__both_have_their_time() -> None:
    config = dataclasses.replace(WEB, health=health.HealthConfig(PROBE, PROBE, None))
    unready = probed(ready=False, message="no")
    for after, over in ((2 * READY_WITHIN - 0.1, False), (2 * READY_WITHIN, True)):
        assert told(made(config, None), made(config, running(config, NOW), unready, at=NOW + after))[0] is over


def test_settled__dead_by_its_probes_and_never_restarted__is_over_and_not_applied() -> None:
    for config in (under("Never", READINESS), under("Never", LIVENESS)):
        dead = probed(ready=False, alive=False, message="liveness: no")
        now = made(config, running(config, NOW), dead, at=NOW + 60.0)
        assert told(made(config, None), now) == (True, ["Container/web: Unhealthy: liveness: no"])


def test_settled__only_a_liveness_probe__has_to_run_for_a_moment_as_without_one() -> None:
    """Such a probe says that something is wrong, and until then that all is well."""
    first = made(LIVENESS, None)
    assert told(first, made(LIVENESS, running(LIVENESS, NOW), probed(), at=NOW + 0.5))[0] is False
    assert told(first, made(LIVENESS, running(LIVENESS, NOW), probed(), at=NOW + 1.0)) == (True, [])


@pytest.mark.parametrize(
    ("config", "said", "moment"),
    [
        (WEB, (), NOW + 1.0),
        (READINESS, (probed(ready=False, message="no"),), NOW + READY_WITHIN),
        (READINESS, (probed(),), None),
    ],
)
def test_look_again__a_run_is_still_undecided__names_the_moment_at_which_time_alone_decides(
    config: container.ContainerConfig, said: tuple[health.ObservedHealth, ...], moment: float | None
) -> None:
    first, now = made(config, None), made(config, running(config, NOW), *said, at=NOW + 0.1)
    assert settling.look_again(now, settling.Course.begin(first).after(now)) == moment


def test_settled__an_orphan_is_still_used_by_what_waits_in_vain__is_over() -> None:
    db = under("Never", builders.config("db"))
    web = builders.config(
        depends_on=(container.Dependency("db", container.DependencyCondition.HEALTHY),),
        networks=(container.NetworkAttachment("shop"),),
    )
    wish = wishes.Wish.everything(builders.desired(db, dataclasses.replace(web, networks=(), args=("x",))))
    observed = builders.world(
        builders.exited(db, 1), builders.observed(web), builders.observed_network(builders.network_config())
    )
    computed = planner.compute_plan(wish.desired, observed, builders.rules())
    statuses = report.report(verdicts.Facts(wish, observed, computed, {}, {}), {})
    now = reconcile.Pass(wish, observed, computed, statuses, frozenset(), {}, None)
    assert {str(one.key): one.reason for one in computed.blocked}["Network/shop"] == "InUse"
    assert settling.settled(now, settling.Course.begin(now))
