"""How far a wish reaches, and what ``delete`` selects."""

import dataclasses

from agent.converge import wish as wishes
from agent.model import container, volume
from agent.plan import planner
from tests import builders

WEB = builders.config("web", networks=(container.NetworkAttachment("shop"),))
API = builders.config("api", networks=(container.NetworkAttachment("shop"),))
SHOP = builders.network_config("shop")


def names(keys: frozenset) -> set[str]:
    return {str(key) for key in keys}


def test_everything__declares_nothing__removes_nothing() -> None:
    assert not wishes.Wish.everything(builders.desired(image=False)).prune
    assert wishes.Wish.everything(builders.desired(WEB)).prune


def test_removable__nobody_else_uses_it__is_all_that_is_declared() -> None:
    observed = builders.world(builders.observed(WEB), builders.observed_network(SHOP))
    found = wishes.removable(builders.desired(WEB, SHOP), observed, builders.OWNER)
    assert names(found) == {"Container/web", "Network/shop", f"Image/{builders.IMAGE}"}


def test_removable__others_stand_on_it__stays() -> None:
    data = builders.volume_config("data")
    mounted = dataclasses.replace(API, mounts=(container.VolumeMount("data", "/data", read_only=False),))
    observed = builders.world(builders.observed(WEB), builders.observed(mounted), builders.observed_network(SHOP))
    found = wishes.removable(builders.desired(WEB, SHOP, data), observed, builders.OWNER)
    assert names(found) == {"Container/web"}


def test_removable__foreign_container_of_that_name__keeps_what_it_stands_on() -> None:
    foreign = dataclasses.replace(builders.observed(WEB), labels=())
    found = wishes.removable(builders.desired(WEB, SHOP), builders.world(foreign), builders.OWNER)
    assert names(found) == {"Container/web"}


def test_removal__planned__touches_nothing_out_of_reach() -> None:
    gone = builders.volume_config("gone", volume.DeletionPolicy.DELETE)
    kept = builders.volume_config("kept", volume.DeletionPolicy.DELETE)
    observed = builders.world(
        builders.observed(WEB),
        builders.observed(API),
        builders.observed_network(SHOP),
        builders.observed_volume(gone),
        builders.observed_volume(kept),
    )
    keys = wishes.removable(builders.desired(WEB, SHOP, gone), observed, builders.OWNER)
    wish = wishes.Wish.removal(keys)
    computed = planner.compute_plan(wish.desired, wish.seen(observed, builders.OWNER), builders.rules(prune=wish.prune))
    assert [f"{type(step.action).__name__} {step.action.key}" for step in computed.steps] == [
        "StopContainer Container/web",
        "RemoveContainer Container/web",
        "RemoveVolume Volume/gone",
    ]


def test_without__some_objects__declares_the_rest() -> None:
    left = wishes.without(
        builders.desired(WEB, API, SHOP), frozenset(wishes.Wish.everything(builders.desired(WEB)).hashes)
    )
    assert [one.name for one in left.containers] == ["api"]
    assert left.networks == (SHOP,)
    assert left.images == ()
