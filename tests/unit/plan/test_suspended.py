"""What is suspended is planned for nothing, and says so where something would be to do."""

import dataclasses

import pytest

from agent.model import container, kinds, network, state, suspension
from agent.model.key import Kind, ObjectKey
from agent.plan import plan, planner
from tests import builders

WEB = builders.config("web", networks=(container.NetworkAttachment("shop"),))
SHOP = builders.network_config()
KEY = ObjectKey(Kind.CONTAINER, "web")
ALONE = suspension.Suspensions(None, (suspension.Suspension(KEY, 900.0),))
SOURCE = suspension.Suspensions(900.0)
CHANGED = dataclasses.replace(WEB, args=("x",))
MESSAGE = "it is suspended: it is neither changed nor removed until trimtab resume"


def planned(
    desired: state.DesiredState, *existing: object, suspensions: suspension.Suspensions = ALONE, **fields: object
) -> plan.Plan:
    observed = builders.world(*existing, builders.observed_network(SHOP), suspensions=suspensions, **fields)
    return planner.compute_plan(desired, observed, builders.rules())


def keys(computed: plan.Plan) -> set[str]:
    return {str(step.action.key) for step in computed.steps}


def waiting(computed: plan.Plan) -> dict[str, tuple[str, str]]:
    return {str(blocked.key): (blocked.reason, blocked.message) for blocked in computed.blocked}


@pytest.mark.parametrize(
    "current",
    [
        builders.observed(CHANGED),
        builders.observed(WEB, container.ContainerState.CREATED),
        builders.exited(WEB, 1),
        builders.exited(WEB, 0),
        None,
    ],
    ids=["changed", "created", "failed", "ended", "missing"],
)
def test_container__suspended_and_not_as_declared__is_left_alone_and_says_so(
    current: container.ObservedContainer | None,
) -> None:
    computed = planned(builders.desired(WEB, SHOP), *([current] if current else []))
    assert computed.steps == ()
    assert waiting(computed) == {"Container/web": ("Suspended", f"{MESSAGE} Container/web")}


def test_container__suspended_and_as_declared__nothing_waits_and_others_may_depend_on_it() -> None:
    user = builders.config("user", depends_on=(container.Dependency("web", container.DependencyCondition.STARTED),))
    computed = planned(builders.desired(WEB, SHOP, user), builders.observed(WEB))
    assert (keys(computed), computed.blocked) == ({"Container/user"}, ())


def test_container__suspended_and_done__is_not_waited_for() -> None:
    once = dataclasses.replace(WEB, restart=dataclasses.replace(WEB.restart, policy=container.RestartPolicy.ON_FAILURE))
    assert planned(builders.desired(once, SHOP), builders.exited(once, 0)).blocked == ()


def test_container__suspended_and_no_longer_declared__stays() -> None:
    other = builders.config("other")
    computed = planned(builders.desired(other, SHOP), builders.observed(WEB), builders.observed(other))
    assert (computed.steps, waiting(computed).keys()) == ((), {"Container/web"})


def test_network__a_suspended_container_is_in_it__is_not_made_anew() -> None:
    other = dataclasses.replace(SHOP, subnets=(network.Subnet("10.9.0.0/24", None, None),))
    computed = planned(builders.desired(WEB, other), builders.observed(WEB))
    assert computed.steps == ()
    assert waiting(computed)["Network/shop"] == ("InUse", "still used by web")


@pytest.mark.parametrize("config", [SHOP, builders.volume_config(), builders.image_config()], ids=str)
def test_store__suspended_and_missing__is_not_made(config: kinds.Config) -> None:
    key = state.key_of(config)
    suspensions = suspension.Suspensions(None, (suspension.Suspension(key, 1.0),))
    observed = builders.world(image=False, suspensions=suspensions)
    computed = planner.compute_plan(builders.desired(config, image=False), observed, builders.rules())
    assert key not in {step.action.key for step in computed.steps}
    assert waiting(computed)[str(key)][0] == "Suspended"


def test_source__suspended__nothing_is_planned_whatever_differs() -> None:
    desired = builders.desired(CHANGED, SHOP, builders.config("new"))
    gone = builders.observed(builders.config("gone"))
    computed = planned(desired, builders.observed(WEB), gone, suspensions=SOURCE)
    assert computed.steps == ()
    assert waiting(computed).keys() == {"Container/web", "Container/new", "Container/gone"}
    assert waiting(computed)["Container/new"] == ("Suspended", f"{MESSAGE} --all")
