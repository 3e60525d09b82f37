"""How an object is, word for word: each situation with its whole verdict."""

import dataclasses
from collections.abc import Mapping

import pytest

from agent.converge import goal as goals
from agent.converge import verdicts
from agent.model import conditions, container, health, policy, state, suspension, volume
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, plan, planner
from agent.reasons import Reason
from tests import builders

TRUE, FALSE, UNKNOWN = (
    conditions.ConditionStatus.TRUE,
    conditions.ConditionStatus.FALSE,
    conditions.ConditionStatus.UNKNOWN,
)
WEB = builders.config()
KEY = ObjectKey(Kind.CONTAINER, "web")
PROBE = health.Probe(health.TcpProbe(80), 0.0, 1.0, 1.0, 1, 3)
CAUSE = actions.Cause(Reason.CHANGED, "resources: cpus=- -> cpus=1", ("resources",))
NEVER = dataclasses.replace(WEB, restart=dataclasses.replace(WEB.restart, policy=container.RestartPolicy.NEVER))
UNLESS_STOPPED = dataclasses.replace(
    WEB, restart=dataclasses.replace(WEB.restart, policy=container.RestartPolicy.UNLESS_STOPPED)
)


def judged(
    desired: state.DesiredState,
    observed: state.ObservedState,
    key: ObjectKey = KEY,
    current: Mapping[ObjectKey, actions.Action] | None = None,
    failing: Mapping[ObjectKey, bool] | None = None,
    **fields: object,
) -> verdicts.Verdict:
    """Return what is said of one object."""
    goal = goals.Goal.everything(desired)
    rules = builders.rules(**{"prune": goal.prune, **fields})
    computed = planner.compute_plan(desired, observed, rules)
    facts = verdicts.Facts(goal, observed, computed, current or {}, failing or {})
    return verdicts.Judge(facts).verdict(key, dict(computed.buckets)[key])


def hold(key: ObjectKey, reason: Reason, until: float | None = None) -> policy.Hold:
    """Return a hold with a message."""
    return policy.Hold(key, reason, "no answer", until)


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        (builders.observed(WEB), verdicts.Verdict(TRUE, FALSE, FALSE, Reason.RUNNING, "running", "running")),
        (
            builders.exited(NEVER, 0),
            verdicts.Verdict(TRUE, FALSE, FALSE, Reason.COMPLETED, "ran to its end", "completed"),
        ),
        (
            builders.exited(NEVER, 3),
            verdicts.Verdict(
                *(FALSE, FALSE, TRUE, Reason.STOPPED, "exited with 3, and its policy is Never", "exited (3)")
            ),
        ),
        (
            builders.exited(NEVER, None, oom_killed=True),
            verdicts.Verdict(
                *(FALSE, FALSE, TRUE, Reason.STOPPED, "exited with an unknown code, and its policy is Never"),
                "exited (?, killed for want of memory)",
            ),
        ),
        (
            builders.exited(UNLESS_STOPPED, 0, stop_requested=True),
            verdicts.Verdict(
                *(FALSE, FALSE, FALSE, Reason.STOPPED, "exited with 0, and its policy is UnlessStopped", "exited (0)")
            ),
        ),
    ],
)
def test_container__without_probes__is_as_it_looks(
    observed: container.ObservedContainer, expected: verdicts.Verdict
) -> None:
    assert judged(builders.desired(observed.config), builders.world(observed)) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, (FALSE, TRUE, FALSE, Reason.STARTING, "its probes have not succeeded yet", "running, starting")),
        ((False, False, True, "refused"), (FALSE, TRUE, FALSE, Reason.STARTING, "refused", "running, starting")),
        ((True, False, True, "refused"), (FALSE, FALSE, FALSE, Reason.UNREADY, "refused", "running, not ready")),
        ((True, False, False, "dead"), (FALSE, TRUE, FALSE, Reason.UNHEALTHY, "dead", "running, unhealthy")),
        (
            (True, True, True, ""),
            (TRUE, FALSE, FALSE, Reason.HEALTHY, "running, and its probes succeed", "running, healthy"),
        ),
    ],
)
@pytest.mark.parametrize("kind", ["startup", "readiness", "liveness"])
def test_container__probed__is_as_its_probes_say(kind: str, answer: tuple[object, ...] | None, expected: tuple) -> None:
    probes = dataclasses.replace(WEB.health, **{kind: PROBE})
    config = dataclasses.replace(NEVER, health=probes)
    healths = () if answer is None else (health.ObservedHealth("id-web", *answer, None),)
    observed = builders.world(builders.observed(config), health=healths)
    assert judged(builders.desired(config), observed) == verdicts.Verdict(*expected)


def test_container__runs_again_after_failures__says_for_how_long_it_has_to() -> None:
    observed = builders.world(
        builders.observed(WEB, started_at=builders.NOW - 0.5), ledger=(builders.remembered(WEB, streak=2),)
    )
    message = "runs again after failure 2 in a row, for less than 1 s so far"
    assert judged(builders.desired(WEB), observed) == verdicts.Verdict(
        *(FALSE, TRUE, FALSE, Reason.RESTARTED, message, "running, restarted")
    )


@pytest.mark.parametrize(
    ("observed", "action", "ready"),
    [
        (builders.observed(WEB), actions.UpdateContainer(KEY, CAUSE, "id-web", WEB.resources, None), TRUE),
        (builders.exited(WEB, 1), actions.UpdateContainer(KEY, CAUSE, "id-web", WEB.resources, None), FALSE),
        (builders.observed(WEB), actions.StopContainer(KEY, CAUSE, "id-web", WEB.stop), FALSE),
        (None, actions.UpdateContainer(KEY, CAUSE, "id-web", WEB.resources, None), FALSE),
    ],
)
@pytest.mark.parametrize(("failing", "stalled"), [({}, FALSE), ({KEY: False}, FALSE), ({KEY: True}, TRUE)])
def test_busy__is_what_is_done_to_it__and_ready_where_it_runs_through_that(
    observed: container.ObservedContainer | None,
    action: actions.Action,
    ready: conditions.ConditionStatus,
    failing: dict[ObjectKey, bool],
    stalled: conditions.ConditionStatus,
) -> None:
    world = builders.world(*([] if observed is None else [observed]))
    word = action.TRAITS.doing
    assert judged(builders.desired(WEB), world, current={KEY: action}, failing=failing) == verdicts.Verdict(
        ready, TRUE, stalled, Reason.CHANGED, f"{word}: {CAUSE.message}", word
    )


@pytest.mark.parametrize(
    ("failing", "reconciling", "stalled"), [({}, TRUE, FALSE), ({KEY: False}, TRUE, FALSE), ({KEY: True}, FALSE, TRUE)]
)
def test_waiting__for_the_end_of_a_hold__says_until_when_and_what_it_looks_like(
    failing: dict[ObjectKey, bool], reconciling: conditions.ConditionStatus, stalled: conditions.ConditionStatus
) -> None:
    until = builders.NOW + 8
    verdict = judged(
        builders.desired(WEB),
        builders.world(builders.exited(WEB, 1)),
        failing=failing,
        holds=(hold(KEY, Reason.UNAVAILABLE, until),),
    )
    expected = (FALSE, reconciling, stalled, Reason.UNAVAILABLE, "no answer", "exited (1), Unavailable", until)
    assert verdict == verdicts.Verdict(*expected)


def test_waiting__something_that_is_no_container_of_that_name__has_no_looks() -> None:
    shop = builders.network_config("web")
    key = ObjectKey(Kind.NETWORK, "web")
    observed = builders.world(builders.observed(WEB))
    verdict = judged(builders.desired(WEB, shop), observed, key, holds=(hold(key, Reason.UNAVAILABLE),))
    assert verdict == verdicts.Verdict(FALSE, TRUE, FALSE, Reason.UNAVAILABLE, "no answer", "Unavailable")


def test_busy__something_that_is_no_container_of_that_name__is_not_as_ready_as_that() -> None:
    shop = builders.network_config("web")
    key = ObjectKey(Kind.NETWORK, "web")
    action = actions.DisconnectContainer(key, CAUSE, "id-web", "web")
    observed = builders.world(builders.observed(WEB), builders.observed_network(shop))
    assert judged(builders.desired(WEB, shop), observed, key, current={key: action}).ready is FALSE


@pytest.mark.parametrize("kind", [Kind.NETWORK, Kind.VOLUME])
def test_kept__nothing_is_declared__says_so_and_that_it_stays(kind: Kind) -> None:
    observed_volume = builders.observed_volume(builders.volume_config("web", volume.DeletionPolicy.RETAIN))
    observed = builders.world(builders.observed_network(builders.network_config("web")), observed_volume)
    assert judged(builders.desired(image=False), observed, ObjectKey(kind, "web")) == verdicts.Verdict(
        *(UNKNOWN, FALSE, FALSE, Reason.SOURCE_EMPTY, "the source declares nothing: it stays as it is", "kept")
    )


def test_verdict__a_network_named_as_a_container__is_as_declared_whatever_that_does() -> None:
    shop = builders.network_config("web")
    observed = builders.world(builders.exited(WEB, 1), builders.observed_network(shop))
    assert judged(builders.desired(WEB, shop), observed, ObjectKey(Kind.NETWORK, "web")) == verdicts.Verdict(
        TRUE, FALSE, FALSE, Reason.AVAILABLE, "as declared", "available"
    )


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        (builders.observed(WEB), (TRUE, FALSE, FALSE, Reason.RUNNING, "running, suspended")),
        (builders.exited(WEB, 1), (FALSE, FALSE, FALSE, Reason.SUSPENDED, "exited (1), suspended")),
        (None, (FALSE, FALSE, FALSE, Reason.SUSPENDED, "suspended")),
    ],
)
def test_suspended__says_so_once_beside_how_it_looks(
    observed: container.ObservedContainer | None, expected: tuple[object, ...]
) -> None:
    suspended = suspension.Suspensions(None, (suspension.Suspension(KEY, builders.NOW - 5),))
    world = builders.world(*([] if observed is None else [observed]), suspensions=suspended)
    verdict = judged(builders.desired(WEB), world)
    assert (verdict.ready, verdict.reconciling, verdict.stalled, verdict.reason, verdict.detail) == expected


def test_kept__a_volume_that_is_no_longer_declared__says_that_its_data_stays() -> None:
    observed = builders.world(builders.observed(WEB), builders.observed_volume(builders.volume_config()))
    message = "no longer declared; its data stays (deletionPolicy: Retain)"
    key = ObjectKey(Kind.VOLUME, "data")
    assert judged(builders.desired(WEB), observed, key) == verdicts.Verdict(
        UNKNOWN, FALSE, FALSE, Reason.RETAINED, message, "retained"
    )


@pytest.mark.parametrize(
    ("key", "detail"),
    [(KEY, "exited (1)"), (ObjectKey(Kind.NETWORK, "web"), "kept"), (ObjectKey(Kind.CONTAINER, "b"), "created")],
)
def test_kept__nobody_knows_what_is_declared__says_how_it_looks(key: ObjectKey, detail: str) -> None:
    observed = builders.world(
        builders.exited(WEB, 1),
        builders.observed(builders.config("b"), container.ContainerState.CREATED),
        builders.observed_network(builders.network_config("web")),
    )
    message = "what the source declares is not known until an agent has read it: it stays as it is"
    expected = (UNKNOWN, FALSE, FALSE, Reason.DECLARATION_UNKNOWN, message, detail)
    assert judged(state.DesiredState(""), observed, key) == verdicts.Verdict(*expected)


def test_container__replaced_at_the_moment__is_spoken_of_by_the_one_with_the_name() -> None:
    successor = builders.observed(WEB, container.ContainerState.CREATED, id="new", name="web-1-new")
    for containers in ((builders.observed(WEB), successor), (successor, builders.observed(WEB))):
        observed = builders.world(*containers)
        goal = goals.Goal.everything(builders.desired(WEB))
        empty = plan.Plan("r1", (), (), ((KEY, plan.Bucket.MATCHING),), (), None)
        facts = verdicts.Facts(goal, observed, empty, {}, {})
        assert verdicts.Judge(facts).verdict(KEY, plan.Bucket.MATCHING).detail == "running"


def test_container__only_its_successor_is_there__is_spoken_of_by_that() -> None:
    successor = builders.observed(WEB, container.ContainerState.CREATED, id="new", name="web-1-new")
    goal = goals.Goal.everything(builders.desired(WEB))
    facts = verdicts.Facts(goal, builders.world(successor), plan.Plan("r1", (), (), (), (), None), {}, {})
    assert verdicts.Judge(facts).verdict(KEY, plan.Bucket.MATCHING).detail == "created"


@pytest.mark.parametrize(
    ("state_of_it", "detail"),
    [(container.ContainerState.CREATED, "created"), (container.ContainerState.EXITED, "exited (3)")],
)
def test_container__neither_runs_nor_is_waited_for__is_not_running(
    state_of_it: container.ContainerState, detail: str
) -> None:
    fields = {} if state_of_it is container.ContainerState.CREATED else {"exit_code": 3}
    observed = builders.world(builders.observed(WEB, state_of_it, **fields))
    goal = goals.Goal.everything(builders.desired(WEB))
    facts = verdicts.Facts(goal, observed, plan.Plan("r1", (), (), (), (), None), {}, {})
    expected = verdicts.Verdict(FALSE, FALSE, FALSE, Reason.NOT_RUNNING, detail, detail)
    assert verdicts.Judge(facts).verdict(KEY, plan.Bucket.STOPPED) == expected


def test_changes_at__of_several_that_run_again__is_the_first() -> None:
    other = builders.config("b")
    observed = builders.world(
        builders.observed(WEB, started_at=builders.NOW - 0.2),
        builders.observed(other, started_at=builders.NOW - 0.7),
        ledger=(builders.remembered(other, streak=1), builders.remembered(WEB, streak=1)),
    )
    goal = goals.Goal.everything(builders.desired(WEB, other))
    computed = planner.compute_plan(goal.desired, observed, builders.rules())
    facts = verdicts.Facts(goal, observed, computed, {}, {})
    assert verdicts.changes_at(facts) == pytest.approx(builders.NOW + 0.3)


@pytest.mark.parametrize(
    "observed",
    [
        builders.observed(WEB, started_at=None),
        builders.exited(WEB, 1, at=builders.NOW - 0.1, started_at=builders.NOW - 0.2),
        builders.observed(WEB, started_at=builders.NOW - verdicts.STEADY),
    ],
)
def test_changes_at__nothing_that_has_just_begun_to_run__is_at_no_time(observed: container.ObservedContainer) -> None:
    world = builders.world(observed, ledger=(builders.remembered(WEB, streak=2),))
    goal = goals.Goal.everything(builders.desired(WEB))
    computed = planner.compute_plan(goal.desired, world, builders.rules())
    assert verdicts.changes_at(verdicts.Facts(goal, world, computed, {}, {})) is None


def test_container__runs_since_a_moment_without_a_failure__is_ready() -> None:
    observed = builders.world(builders.observed(WEB, started_at=builders.NOW - 0.1))
    assert judged(builders.desired(WEB), observed).reason is Reason.RUNNING
