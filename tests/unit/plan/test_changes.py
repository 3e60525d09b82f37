"""What is changed where it stands, with which values, and why."""

import dataclasses

import pytest

from agent.model import container, image, kinds, policy
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, diff, plan, planner
from agent.reasons import Reason
from tests import builders

WEB = builders.config()
LIMITS = container.Resources(500, None, None, None)
LABELS = (("app", "shop"),)
PATIENT = container.StopConfig("SIGINT", 60.0)


def computed(desired: container.ContainerConfig, *others: kinds.Config, **fields: object) -> plan.Plan:
    """Plan a container's config over the container as it was first declared."""
    networks = [builders.observed_network(config) for config in others]
    observed = builders.world(builders.observed(WEB, **fields), *networks)
    return planner.compute_plan(builders.desired(desired, *others), observed, builders.rules())


@pytest.mark.parametrize(
    ("fields", "resources", "labels", "is_recorded"),
    [
        ({"resources": LIMITS}, LIMITS, None, False),
        ({"labels": LABELS}, None, LABELS, False),
        ({"stop": PATIENT}, None, None, True),
        ({"resources": LIMITS, "labels": LABELS, "stop": PATIENT}, LIMITS, LABELS, True),
    ],
)
def test_update__carries_what_differs_and_nothing_else(
    fields: dict[str, object], resources: container.Resources | None, labels: object, is_recorded: bool
) -> None:
    desired = dataclasses.replace(WEB, **fields)
    (step,) = computed(desired).steps
    supervision = desired.supervision if is_recorded else None
    key = ObjectKey(Kind.CONTAINER, "web")
    assert step.action == actions.UpdateContainer(key, step.action.cause, "id-web", resources, labels, supervision)
    assert set(step.action.cause.fields) == fields.keys()


def test_networks__entered_by_a_new_declaration__say_so_as_their_cause() -> None:
    shop = builders.network_config()
    desired = dataclasses.replace(WEB, networks=(container.NetworkAttachment("shop"),))
    (step,) = computed(desired, shop).steps
    assert isinstance(step.action, actions.ConnectContainer)
    assert step.action.cause == actions.Cause(Reason.CHANGED, "networks: - -> shop", ("networks",))


@pytest.mark.parametrize("fields", [{"labels": LABELS}, {"args": ("x",)}, {}])
def test_bucket__its_declaration_cannot_be_read_and_it_runs__is_not_called_drifted(fields: dict[str, object]) -> None:
    unreadable = {"unreadable": "made by a newer release", "image_id": "another"}
    result = computed(dataclasses.replace(WEB, **fields), **unreadable)
    assert (result.steps, [blocked.reason for blocked in result.blocked]) == ((), [Reason.DECLARATION_UNREADABLE])
    assert dict(result.buckets)[ObjectKey(Kind.CONTAINER, "web")] is plan.Bucket.MATCHING


def test_order__of_what_could_happen_at_the_same_time__is_by_name() -> None:
    first = builders.config("a", depends_on=(container.Dependency("b", container.DependencyCondition.STARTED),))
    desired = builders.desired(first, builders.config("b"))
    result = planner.compute_plan(desired, builders.world(), builders.rules())
    created = [step.action.key.name for step in result.steps if isinstance(step.action, actions.CreateContainer)]
    assert created == ["a", "b"]


@pytest.mark.parametrize(
    ("fields", "is_drift"),
    [
        ({"stop": PATIENT}, False),
        ({"labels": LABELS}, True),
        ({"labels": LABELS, "stop": PATIENT}, True),
        ({"args": ("x",)}, True),
    ],
)
@pytest.mark.parametrize("is_applied", [True, False])
def test_drift__declared_as_it_was_brought_about__is_what_others_can_change(
    fields: dict[str, object], is_drift: bool, is_applied: bool
) -> None:
    desired = dataclasses.replace(WEB, **fields)
    memory = (builders.remembered(desired),) if is_applied else ()
    observed = builders.world(builders.observed(WEB), ledger=memory)
    result = planner.compute_plan(builders.desired(desired), observed, builders.rules())
    drifted = is_drift and is_applied
    assert [str(key) for key, _ in result.drift] == (["Container/web"] if drifted else [])
    assert result.steps[0].action.cause.reason is (Reason.DRIFTED if drifted else Reason.CHANGED)


@pytest.mark.parametrize("is_applied", [True, False])
def test_drift__killed_behind_our_back__only_what_was_brought_about(is_applied: bool) -> None:
    memory = (builders.remembered(WEB),) if is_applied else ()
    observed = builders.world(builders.exited(WEB, 137, at=builders.NOW), ledger=memory)
    result = planner.compute_plan(builders.desired(WEB), observed, builders.rules())
    assert bool(result.drift) is is_applied


def test_replaced__its_image_is_fetched_anew_and_more_differs__says_both() -> None:
    archive = dataclasses.replace(builders.image_config(), source=image.ArchiveSource("/a.tar", "2"))
    desired = dataclasses.replace(WEB, labels=LABELS)
    result = planner.compute_plan(
        builders.desired(desired, archive), builders.world(builders.observed(WEB)), builders.rules()
    )
    (creation,) = (step.action for step in result.steps if isinstance(step.action, actions.CreateContainer))
    assert creation.cause == actions.Cause(
        Reason.IMAGE_CHANGED,
        f"image {builders.IMAGE} is fetched anew (forces replacement); labels: - -> app=shop",
        ("image", "labels"),
    )


@pytest.mark.parametrize("field", ["internal", "labels", "dns", "mtu"])
def test_network__differs_behind_our_back_or_not__says_so(field: str) -> None:
    shop = builders.network_config()
    other = dataclasses.replace(
        shop,
        **{"internal": {"internal": True}, "labels": {"labels": LABELS}, "dns": {"dns": False}, "mtu": {"mtu": 1400}}[
            field
        ],
    )
    for memory, reason in (((), Reason.CHANGED), ((builders.remembered(other),), Reason.DRIFTED)):
        observed = builders.world(builders.observed_network(shop), ledger=memory)
        result = planner.compute_plan(builders.desired(other), observed, builders.rules())
        assert [step.action.cause.reason for step in result.steps] == [reason] * (1 if field == "labels" else 2)
        assert [step.action.cause.fields for step in result.steps[:1]] == [(field,)]
        assert bool(result.drift) is (reason is Reason.DRIFTED)


def test_drift__another_declaration_was_brought_about__is_none() -> None:
    observed = builders.world(builders.observed(WEB), ledger=(builders.remembered(WEB),))
    desired = dataclasses.replace(WEB, labels=LABELS)
    result = planner.compute_plan(builders.desired(desired), observed, builders.rules())
    assert (result.drift, result.steps[0].action.cause.reason) == ((), Reason.CHANGED)


def test_in_place__the_runtime_can_do_just_that__is_enough() -> None:
    desired = dataclasses.replace(WEB, resources=LIMITS)
    (difference,) = diff.of_container(desired, WEB, frozenset({policy.InPlace.RESOURCES}))
    assert difference.change is diff.Change.IN_PLACE


@pytest.mark.parametrize(
    ("before", "lacking", "replaced"),
    [
        ({"resources": container.Resources(None, 100, None, None)}, policy.InPlace.MEMORY_LIFTED, "resources"),
        ({"networks": (container.NetworkAttachment("shop"),)}, policy.InPlace.FIRST_NETWORK, "networks"),
    ],
)
def test_in_place__what_another_field_would_need__forces_only_that_one(
    before: dict[str, object], lacking: policy.InPlace, replaced: str
) -> None:
    current = dataclasses.replace(WEB, **before)
    differences = diff.of_container(
        dataclasses.replace(WEB, labels=LABELS), current, frozenset(policy.InPlace) - {lacking}
    )
    changes_by_field = {difference.field: difference.change for difference in differences}
    assert changes_by_field == {"labels": diff.Change.IN_PLACE, replaced: diff.Change.REPLACE}
