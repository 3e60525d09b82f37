"""What waits in vain: by what it needs, and by who still uses what is to go."""

import dataclasses
from collections.abc import Mapping

import pytest

from agent.converge import completion, failures, reconcile, report, verdicts
from agent.converge import goal as goals
from agent.model import container, health, kinds, policy, state
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, plan, planner
from agent.reasons import Reason
from tests import builders
from tests.unit.converge import test_completion

NOW = builders.NOW
WEB = builders.config()
KEY = state.key_of(WEB)


def busy_pass(
    existing: container.ObservedContainer | None,
    holds: tuple[policy.Hold, ...] = (),
    failing: Mapping[ObjectKey, failures.Failure] | None = None,
    current: Mapping[ObjectKey, actions.Action] | None = None,
) -> reconcile.PassResult:
    """Make a pass over one declared container that is held, has failed or is worked on."""
    goal = goals.Goal.everything(builders.desired(WEB))
    observed = builders.world(*([] if existing is None else [existing]))
    computed = planner.compute_plan(goal.desired, observed, builders.rules(holds=holds))
    stalled = {key: failure.stalled for key, failure in (failing or {}).items()}
    statuses = report.report(verdicts.Facts(goal, observed, computed, current or {}, stalled), {})
    return reconcile.PassResult(goal, NOW, observed, computed, statuses, frozenset(current or {}), failing or {}, None)


def test_settled__it_is_changed_in_place__is_not_over_and_says_what_is_done() -> None:
    cause = actions.Cause(Reason.CHANGED, "resources: cpus=- -> cpus=1", ("resources",))
    update = actions.UpdateContainer(KEY, cause, "id-web", WEB.resources, None)
    now = busy_pass(builders.observed(WEB), current={KEY: update})
    assert test_completion.outcome_of(now) == (False, ["Container/web: Changed: updating: resources: cpus=- -> cpus=1"])


@pytest.mark.parametrize(
    ("reason", "attempts", "stalled", "over"),
    [
        (Reason.UNAVAILABLE, 0, False, False),
        (Reason.UNAVAILABLE, 1, False, False),
        (Reason.UNAVAILABLE, 1, True, True),
        (Reason.UNAVAILABLE, 2, False, True),
        (Reason.UNAVAILABLE, 3, False, True),
        (Reason.WAITING_FOR_DEPENDENCY, 0, False, False),
        *(
            (reason, 0, False, True)
            for reason in (
                *(Reason.BACK_OFF, Reason.STOPPED, Reason.FOREIGN, Reason.DECLARATION_UNREADABLE),
                *(Reason.IMAGE_NEVER_PULLED, Reason.IMAGE_UNRESOLVED, Reason.SUSPENDED),
            )
        ),
    ],
)
@pytest.mark.parametrize("existing", [None, test_completion.running(dataclasses.replace(WEB, args=("x",)), NOW)])
def test_settled__it_waits__is_over_where_that_is_in_vain_or_has_failed_twice(
    reason: Reason, attempts: int, stalled: bool, over: bool, existing: container.ObservedContainer | None
) -> None:
    hold = policy.Hold(KEY, reason, "no answer")
    failing = {KEY: failures.Failure(hold, attempts, stalled)} if attempts else {}
    now = busy_pass(existing, (hold,), failing)
    assert test_completion.outcome_of(now) == (over, [f"Container/web: {reason}: no answer"])


DB = builders.config("db")
SHOP = builders.network_config()
ON_SHOP = builders.config(networks=(container.NetworkAttachment("shop"),))
NEEDING_DB = builders.config(depends_on=(container.Dependency("db", container.DependencyCondition.HEALTHY),))
IMAGE_KEY = ObjectKey(Kind.IMAGE, builders.IMAGE)
OTHER_IMAGE = builders.image_config("docker.io/library/other:1")
UP = builders.observed(DB)
HELD, WAITING, IN_USE = Reason.UNAVAILABLE, Reason.WAITING_FOR_DEPENDENCY, Reason.IN_USE
LOST = Reason.FOREIGN


def waits_in_vain(
    declared: tuple[kinds.Config, ...],
    blocked: Mapping[ObjectKey, Reason],
    *existing: kinds.Observed,
    answers: tuple[health.ObservedHealth, ...] = (),
) -> bool:
    """Tell whether everything is over where some objects are blocked for a reason each, and nothing else is to do."""
    waits = tuple(plan.Blocked(key, reason, "") for key, reason in blocked.items())
    computed = plan.Plan("r1", (), waits, (), (), None)
    goal = goals.Goal.everything(builders.desired(*declared, image=False))
    observed = builders.world(*existing, health=answers)
    now = reconcile.PassResult(goal, NOW, observed, computed, (), frozenset(), {}, None)
    return completion.settled(now, completion.Session.begin(now))


@pytest.mark.parametrize(
    ("declared", "needed", "other"),
    [
        ((SHOP, ON_SHOP), state.key_of(SHOP), IMAGE_KEY),
        ((builders.image_config(), OTHER_IMAGE, WEB), IMAGE_KEY, state.key_of(OTHER_IMAGE)),
        ((DB, NEEDING_DB), state.key_of(DB), IMAGE_KEY),
        (
            (DB, SHOP, NEEDING_DB, dataclasses.replace(ON_SHOP, name="api")),
            *(state.key_of(DB), state.key_of(SHOP)),
        ),
    ],
)
def test_settled__what_it_waits_for_is_lost__it_waits_in_vain(
    declared: tuple[kinds.Config, ...], needed: ObjectKey, other: ObjectKey
) -> None:
    assert waits_in_vain(declared, {needed: LOST, KEY: WAITING})
    assert not waits_in_vain(declared, {needed: HELD, KEY: WAITING})
    assert not waits_in_vain(declared, {needed: HELD, other: LOST, KEY: WAITING}), "it needs nothing of that"


def test_settled__what_it_waits_for_runs__waits_unless_its_probes_call_it_dead() -> None:
    waiting = {KEY: WAITING}
    assert not waits_in_vain((DB, NEEDING_DB), waiting, UP)
    dead = health.ObservedHealth("id-db", started=True, ready=False, alive=False, message="no", failed_at=NOW)
    for probes in (DB.health, test_completion.READINESS.health, test_completion.LIVENESS.health):
        config = dataclasses.replace(DB, health=probes)
        assert waits_in_vain((config, NEEDING_DB), waiting, test_completion.running(config, NOW), answers=(dead,))


def test_settled__what_it_waits_for_has_ended_and_stays_so__waits_in_vain() -> None:
    assert waits_in_vain((DB, NEEDING_DB), {KEY: WAITING}, builders.exited(DB, 0))


@pytest.mark.parametrize(
    ("key", "gone"),
    [(state.key_of(SHOP), builders.observed_network(SHOP)), (IMAGE_KEY, builders.observed_image())],
    ids=["network", "image"],
)
@pytest.mark.parametrize("reason", [IN_USE, HELD])
def test_settled__what_is_to_go_is_used_by_what_is_lost__waits_in_vain_where_that_is_its_reason(
    key: ObjectKey, gone: kinds.Observed, reason: Reason
) -> None:
    user = builders.observed(ON_SHOP)
    unknown = builders.observed(builders.config("unknown", image="nobody.example/knows:1"))
    other = builders.observed(builders.config("other", image=OTHER_IMAGE.reference))
    world = (gone, user, other, unknown, builders.observed_image(OTHER_IMAGE))
    declared = (dataclasses.replace(WEB, image=OTHER_IMAGE.reference), other.config)
    assert waits_in_vain(declared, {key: reason, KEY: LOST}, *world) is (reason is IN_USE)
    other_key = state.key_of(other.config)
    assert not waits_in_vain(declared, {key: reason, KEY: HELD, other_key: LOST}, *world), "that uses nothing of it"
