"""What is suspended is planned for nothing, and says so where something would be to do."""

import dataclasses

import pytest

from agent.model import container, kinds, network, state, suspension
from agent.model.key import Kind, ObjectKey
from agent.plan import plan, planner, render
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


def previewed(desired: state.DesiredState, *existing: object, suspensions: suspension.Suspensions = ALONE) -> list[str]:
    observed = builders.world(*existing, builders.observed_network(SHOP), suspensions=suspensions)
    return render.text(planner.preview(desired, observed, builders.rules())).splitlines()


WAITS = f"  … Container/web waits: {MESSAGE} Container/web (Suspended)"


@pytest.mark.parametrize(
    ("current", "sentence"),
    [
        (builders.observed(CHANGED), "would be replaced (Changed: args: x -> - (forces replacement))"),
        (builders.exited(WEB, 1), "would be changed (Exited: exited with 1)"),
        (None, "would be created (Missing: not there yet)"),
    ],
    ids=["changed", "failed", "missing"],
)
def test_preview__suspended__says_what_would_be_done(
    current: container.ObservedContainer | None, sentence: str
) -> None:
    lines = previewed(builders.desired(WEB, SHOP), *([current] if current else []))
    assert lines == [WAITS, f"      suspended: {sentence}", "", "Nothing to change now: 1 waits."]


def test_preview__suspended_and_no_longer_declared__says_that_it_would_be_removed() -> None:
    other = builders.config("other")
    lines = previewed(builders.desired(other, SHOP), builders.observed(WEB), builders.observed(other))
    assert lines[:2] == [WAITS, "      suspended: would be removed (Orphaned: no longer declared)"]


def test_preview__suspended_network__says_what_would_be_done() -> None:
    other = dataclasses.replace(SHOP, subnets=(network.Subnet("10.9.0.0/24", None, None),))
    suspensions = suspension.Suspensions(None, (suspension.Suspension(ObjectKey(Kind.NETWORK, "shop"), 1.0),))
    lines = previewed(builders.desired(WEB, other), builders.observed(WEB), suspensions=suspensions)
    assert (
        lines[1]
        == "      suspended: would be replaced (Changed: subnets: 10.89.0.0/24 gateway 10.89.0.1 -> 10.9.0.0/24)"
    )


def test_preview__suspended_and_waiting_anyway__says_nothing_more() -> None:
    stopped = dataclasses.replace(WEB, restart=dataclasses.replace(WEB.restart, policy=container.RestartPolicy.NEVER))
    assert previewed(builders.desired(stopped, SHOP), builders.exited(stopped, 1))[:2] == [WAITS, ""]


def test_preview__document_has_what_would_be_done__and_steps_have_nothing_of_it() -> None:
    observed = builders.world(builders.observed(CHANGED), builders.observed_network(SHOP), suspensions=ALONE)
    computed = planner.preview(builders.desired(WEB, SHOP), observed, builders.rules())
    document = render.document(computed)
    cause = {"reason": "Changed", "message": "args: x -> - (forces replacement)", "fields": ["args"]}
    assert document["steps"] == []
    assert document["blocked"][0]["would"] == {"change": "replace", "causes": [cause]}


def test_preview__nothing_is_suspended__is_the_plan() -> None:
    observed = builders.world(builders.observed(CHANGED), builders.observed_network(SHOP))
    desired = builders.desired(WEB, SHOP)
    assert planner.preview(desired, observed, builders.rules()) == planner.compute_plan(
        desired, observed, builders.rules()
    )
