"""How far a goal reaches, and what ``delete`` selects."""

import dataclasses
import types

import pytest

from agent.converge import goal as goals
from agent.kit import canonical
from agent.model import container, volume
from agent.model.key import Kind, ObjectKey
from agent.plan import planner
from tests import builders

WEB = builders.config("web", networks=(container.NetworkAttachment("shop"),))
API = builders.config("api", networks=(container.NetworkAttachment("shop"),))
SHOP = builders.network_config("shop")


def names(keys: frozenset) -> set[str]:
    return {str(key) for key in keys}


def test_everything__declares_nothing__removes_nothing() -> None:
    assert not goals.Goal.everything(builders.desired(image=False)).prune
    assert goals.Goal.everything(builders.desired(WEB)).prune


def test_everything__after_another_one__hashes_only_what_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = goals.Goal.everything(builders.desired(WEB, API, SHOP))
    hashed: list[object] = []

    def digest(config: object) -> str:
        hashed.append(config)
        return canonical.digest(config)

    monkeypatch.setattr(goals, "canonical", types.SimpleNamespace(digest=digest))
    changed = dataclasses.replace(API, args=("x",))
    after = goals.Goal.everything(builders.desired(WEB, changed), before)
    assert hashed == [changed]
    assert after == goals.Goal.everything(builders.desired(WEB, changed))


def test_removable__nobody_else_uses_it__is_all_that_is_declared() -> None:
    observed = builders.world(builders.observed(WEB), builders.observed_network(SHOP))
    keys = goals.removable(builders.desired(WEB, SHOP), observed, builders.OWNER)
    assert names(keys) == {"Container/web", "Network/shop", f"Image/{builders.IMAGE}"}


def test_removable__others_stand_on_it__stays() -> None:
    data = builders.volume_config("data")
    mounted = dataclasses.replace(API, mounts=(container.VolumeMount("data", "/data", read_only=False),))
    observed = builders.world(builders.observed(WEB), builders.observed(mounted), builders.observed_network(SHOP))
    keys = goals.removable(builders.desired(WEB, SHOP, data), observed, builders.OWNER)
    assert names(keys) == {"Container/web"}


def test_removable__foreign_container_of_that_name__keeps_what_it_stands_on() -> None:
    foreign = dataclasses.replace(builders.observed(WEB), labels=())
    keys = goals.removable(builders.desired(WEB, SHOP), builders.world(foreign), builders.OWNER)
    assert names(keys) == {"Container/web"}


def test_removal__planned__touches_nothing_out_of_reach() -> None:
    removed = builders.volume_config("gone", volume.DeletionPolicy.DELETE)
    kept = builders.volume_config("kept", volume.DeletionPolicy.DELETE)
    observed = builders.world(
        builders.observed(WEB),
        builders.observed(API),
        builders.observed_network(SHOP),
        builders.observed_volume(removed),
        builders.observed_volume(kept),
    )
    keys = goals.removable(builders.desired(WEB, SHOP, removed), observed, builders.OWNER)
    goal = goals.Goal.removal(keys)
    computed = planner.compute_plan(
        goal.desired, goal.visible(observed, builders.OWNER), builders.rules(prune=goal.prune)
    )
    assert [f"{type(step.action).__name__} {step.action.key}" for step in computed.steps] == [
        "StopContainer Container/web",
        "RemoveContainer Container/web",
        "RemoveVolume Volume/gone",
    ]


def test_without__some_objects__declares_the_rest() -> None:
    remaining = goals.without(
        builders.desired(WEB, API, SHOP), frozenset(goals.Goal.everything(builders.desired(WEB)).hashes)
    )
    assert [container.name for container in remaining.containers] == ["api"]
    assert remaining.networks == (SHOP,)
    assert remaining.images == ()


def test_without__an_image_that_is_followed__is_followed_no_longer() -> None:
    kept = builders.follow()
    follows = (kept, dataclasses.replace(kept, name="old"))
    declared = dataclasses.replace(builders.desired(WEB), follows=follows)
    removed = frozenset({ObjectKey(Kind.IMAGE, "old"), ObjectKey(Kind.CONTAINER, kept.name)})
    assert goals.without(declared, removed).follows == (kept,)


def test_focused__some_of_what_is_declared__removes_nothing_and_reports_on_those_alone() -> None:
    web, api = (ObjectKey(Kind.CONTAINER, name) for name in ("web", "api"))
    whole = goals.Goal.everything(builders.desired(WEB, API))
    focused = whole.focused(frozenset({web}))
    assert focused == dataclasses.replace(whole, prune=False, focus=frozenset({web}))
    assert (whole.reports(web), whole.reports(api)) == (True, True)
    assert (focused.reports(web), focused.reports(api), focused.covers(api)) == (True, False, True)
    removal = goals.Goal.removal(frozenset({web}))
    assert (removal.reports(web), removal.reports(api), removal.covers(api)) == (True, False, False)
    assert removal.desired.revision == "deleted"


def test_visible__not_the_owners_or_out_of_reach__looks_foreign() -> None:
    foreign = dataclasses.replace(builders.observed(builders.config("foreign")), labels=())
    other = builders.config("other")
    others = dataclasses.replace(builders.observed(other), labels=builders.labels_for(other, "somebody else"))
    observed = builders.world(builders.observed(WEB), builders.observed(API), foreign, others, image=False)
    seen = goals.Goal.everything(builders.desired(WEB)).visible(observed, builders.OWNER)
    assert {item.name for item in seen.containers if item.labels} == {"web", "api"}
    assert [dataclasses.replace(item, labels=()) for item in seen.containers] == [
        dataclasses.replace(item, labels=()) for item in observed.containers
    ]
    narrow = goals.Goal.removal(frozenset({ObjectKey(Kind.CONTAINER, "web"), ObjectKey(Kind.CONTAINER, "other")}))
    assert {item.name for item in narrow.visible(observed, builders.OWNER).containers if item.labels} == {"web"}


def test_owned__of_all_that_is_there__is_the_owners_alone() -> None:
    foreign = dataclasses.replace(builders.observed_network(SHOP), labels=())
    others = dataclasses.replace(builders.observed(API), labels=builders.labels_for(API, "somebody else"))
    observed = builders.world(builders.observed(WEB), others, foreign)
    assert names(goals.owned(observed, builders.OWNER)) == {"Container/web", f"Image/{builders.IMAGE}"}


def test_removable__another_owners_container_of_that_name__keeps_what_it_stands_on() -> None:
    others = dataclasses.replace(builders.observed(WEB), labels=builders.labels_for(WEB, "somebody else"))
    keys = goals.removable(builders.desired(WEB, SHOP), builders.world(others), builders.OWNER)
    assert names(keys) == {"Container/web"}


@pytest.mark.parametrize("labelled", [True, False])
def test_removable__an_image_that_somebody_elses_container_uses__stays_by_whatever_name_it_is_declared(
    labelled: bool,
) -> None:
    app = builders.image_config("localhost/app:latest", name="app")
    used = builders.observed_image(app)
    foreign = dataclasses.replace(builders.observed(builders.config("foreign", image=app.reference)), labels=())
    image = used if labelled else dataclasses.replace(used, labels=())
    keys = goals.removable(builders.desired(app), builders.world(foreign, image), builders.OWNER)
    assert names(keys) == (set() if labelled else {"Image/app"})
