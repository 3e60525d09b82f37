"""Who waits for images, networks and volumes that are held or not ours, and what of them is left as it is."""

import dataclasses

import pytest

from agent.kit import canonical
from agent.model import container, network, policy, volume
from agent.model.key import Kind, ObjectKey
from agent.plan import diff, plan, planner
from tests import builders

DELETE = volume.DeletionPolicy.DELETE


def steps(computed: plan.Plan) -> list[tuple[str, str, str]]:
    """Return (action, object, reason) of each step."""
    return [
        (type(step.action).__name__, str(step.action.key), step.action.cause.reason.value) for step in computed.steps
    ]


def waits(computed: plan.Plan) -> dict[str, tuple[str, str]]:
    """Return why objects wait."""
    return {str(blocked.key): (blocked.reason, blocked.message) for blocked in computed.blocked}


def test_network__changed_in_place_and_otherwise_too__is_made_anew() -> None:
    old = builders.network_config(labels=(("app", "old"),))
    new = dataclasses.replace(old, labels=(("app", "new"),), internal=True)
    observed = builders.world(builders.observed_network(old))
    computed = planner.compute_plan(builders.desired(new), observed, builders.rules())
    assert steps(computed) == [
        ("RemoveNetwork", "Network/shop", "Changed"),
        ("CreateNetwork", "Network/shop", "Changed"),
    ]
    assert computed.steps[1].after == (0,)


@pytest.mark.parametrize("is_healthy", [True, False])
@pytest.mark.parametrize("is_changed", [True, False])
def test_network__held__keeps_those_who_are_to_enter_it_from_it_only_where_it_is_broken(
    is_healthy: bool, is_changed: bool
) -> None:
    shop = builders.network_config()
    web = builders.config(networks=(container.NetworkAttachment("shop"),))
    hold = policy.Hold(ObjectKey(Kind.NETWORK, "shop"), "SubnetInUse", "taken")
    observed = builders.world(builders.observed_network(shop, healthy=is_healthy))
    desired = builders.desired(web, dataclasses.replace(shop, internal=is_changed))
    computed = planner.compute_plan(desired, observed, builders.rules(holds=(hold,)))
    is_due = is_changed or not is_healthy
    assert waits(computed).get("Network/shop") == (("SubnetInUse", "taken") if is_due else None)
    assert waits(computed).get("Container/web") == (
        None if is_healthy else ("WaitingForDependency", "Network/shop is not there: SubnetInUse")
    )
    assert dict(computed.buckets)[ObjectKey(Kind.NETWORK, "shop")] is (
        plan.Bucket.DRIFTED if is_due else plan.Bucket.MATCHING
    )


@pytest.mark.parametrize("is_there", [True, False])
def test_volume__held__keeps_those_who_are_to_use_it_from_it_only_where_it_is_not_there(is_there: bool) -> None:
    data = builders.volume_config(policy=DELETE)
    web = builders.config(mounts=(container.VolumeMount("data", "/data", read_only=False),))
    hold = policy.Hold(ObjectKey(Kind.VOLUME, "data"), "Unavailable", "no answer")
    existing = [builders.observed_volume(builders.volume_config())] if is_there else []
    computed = planner.compute_plan(
        builders.desired(web, data), builders.world(*existing), builders.rules(holds=(hold,))
    )
    assert waits(computed)["Volume/data"] == ("Unavailable", "no answer")
    assert ("Container/web" in waits(computed)) is not is_there


def test_foreign__network_or_volume__says_so_and_keeps_those_who_are_to_use_it_waiting() -> None:
    shop, data = builders.network_config(), builders.volume_config()
    web = builders.config("web", networks=(container.NetworkAttachment("shop"),))
    api = builders.config("api", mounts=(container.VolumeMount("data", "/data", read_only=False),))
    foreign = dataclasses.replace(builders.observed_volume(data), labels=())
    observed = builders.world(builders.observed_network(shop, labels=()), foreign)
    computed = planner.compute_plan(builders.desired(web, api, shop, data), observed, builders.rules())
    assert steps(computed) == []
    assert waits(computed) == {
        "Network/shop": ("Foreign", "network shop is there already and not ours"),
        "Volume/data": ("Foreign", "volume data is there already and not ours"),
        "Container/web": ("WaitingForDependency", "Network/shop is not there: Foreign"),
        "Container/api": ("WaitingForDependency", "Volume/data is not there: Foreign"),
    }
    buckets = {str(key): bucket for key, bucket in computed.buckets}
    assert (buckets["Network/shop"], buckets["Volume/data"]) == (plan.Bucket.FOREIGN, plan.Bucket.FOREIGN)


def test_orphans__beside_what_is_declared_and_what_is_somebody_elses__go_alone() -> None:
    volumes = {name: builders.volume_config(name, DELETE) for name in ("a", "b", "c", "d")}
    networks = {name: builders.network_config(name) for name in ("a", "b", "c", "d")}
    observed = builders.world(
        builders.observed_volume(volumes["a"]),
        dataclasses.replace(builders.observed_volume(volumes["b"]), labels=()),
        builders.observed_volume(volumes["c"]),
        builders.observed_volume(builders.volume_config("d")),
        builders.observed_network(networks["a"]),
        builders.observed_network(networks["b"], labels=()),
        builders.observed_network(networks["c"]),
    )
    desired = builders.desired(volumes["a"], networks["a"])
    computed = planner.compute_plan(desired, observed, builders.rules())
    assert steps(computed) == [
        ("RemoveNetwork", "Network/c", "Orphaned"),
        ("RemoveVolume", "Volume/c", "Orphaned"),
    ]
    assert computed.retained == (ObjectKey(Kind.VOLUME, "d"),)
    kept = planner.compute_plan(desired, observed, builders.rules(prune=False))
    assert (kept.steps, kept.retained, kept.buckets) == ((), (), computed.buckets)


def test_image__no_longer_declared_and_somebody_elses_container_is_made_of_it__stays() -> None:
    old = builders.image_config("docker.io/library/old:1")
    foreign = builders.observed(builders.config("foreign", image=old.reference), labels=())
    observed = builders.world(builders.observed_image(), builders.observed_image(old, "sha256:old"), foreign)
    assert planner.compute_plan(builders.desired(), observed, builders.rules()).empty
    ours = builders.world(builders.observed_image(), builders.observed_image(old, "sha256:old"))
    computed = planner.compute_plan(builders.desired(), ours, builders.rules())
    assert steps(computed) == [("RemoveImage", "Image/docker.io/library/old:1", "Orphaned")]


@pytest.mark.parametrize(
    ("fields", "words"), [({"verified": False}, "not verified"), ({"available": False}, "not on the disk")]
)
def test_image__not_usable_and_held__says_to_those_who_are_to_start_from_it_what_it_lacks(
    fields: dict[str, bool], words: str
) -> None:
    web = builders.config()
    hold = policy.Hold(ObjectKey(Kind.IMAGE, builders.IMAGE), "ImagePullFailed", "no route")
    there = dataclasses.replace(builders.observed_image(), **fields)
    created = builders.observed(web, state=container.ContainerState.CREATED)
    computed = planner.compute_plan(
        builders.desired(web), builders.world(there, created), builders.rules(holds=(hold,))
    )
    assert waits(computed) == {
        f"Image/{builders.IMAGE}": ("ImagePullFailed", "no route"),
        "Container/web": ("WaitingForDependency", f"Image/{builders.IMAGE} is {words}: ImagePullFailed"),
    }


@pytest.mark.parametrize(
    ("fields", "is_held"),
    [
        ({}, True),
        ({"until": builders.NOW + 1}, True),
        ({"until": builders.NOW}, False),
        ({"config_hash": "another"}, False),
        ({"config_hash": canonical.digest(builders.network_config())}, True),
        ({"config_hash": canonical.digest(builders.network_config()), "until": builders.NOW - 1}, False),
    ],
)
def test_hold__counts_for_its_time_and_for_the_declaration_that_failed(
    fields: dict[str, object], is_held: bool
) -> None:
    hold = dataclasses.replace(policy.Hold(ObjectKey(Kind.NETWORK, "shop"), "SubnetInUse", "taken"), **fields)
    desired = builders.desired(builders.network_config())
    computed = planner.compute_plan(desired, builders.world(), builders.rules(holds=(hold,)))
    assert computed.empty is is_held


def test_hold__of_one_declaration__does_not_keep_what_is_no_longer_declared() -> None:
    hold = policy.Hold(ObjectKey(Kind.NETWORK, "shop"), "SubnetInUse", "taken", config_hash="the declared one's")
    observed = builders.world(builders.observed_network(builders.network_config()))
    computed = planner.compute_plan(builders.desired(), observed, builders.rules(holds=(hold,)))
    assert steps(computed) == [("RemoveNetwork", "Network/shop", "Orphaned")]


def test_network__several_subnets_in_another_order__are_no_difference() -> None:
    first, second = (network.Subnet(f"10.{number}.0.0/24", None, None) for number in (1, 2))
    current = builders.observed_network(builders.network_config(subnets=(first, second)))
    desired = builders.desired(builders.network_config(subnets=(second, first)))
    assert planner.compute_plan(desired, builders.world(current), builders.rules()).empty
    named = dataclasses.replace(second, gateway="10.2.0.9")
    (difference,) = diff.of_network(builders.network_config(subnets=(named, first)), current.config)
    assert difference.field == "subnets"


def test_image__not_usable_and_not_declared__keeps_nobody_from_starting() -> None:
    web = builders.config()
    there = dataclasses.replace(builders.observed_image(), verified=False)
    created = builders.observed(web, state=container.ContainerState.CREATED)
    desired = builders.desired(web, image=False)
    computed = planner.compute_plan(desired, builders.world(there, created), builders.rules(prune=False))
    assert steps(computed) == [("StartContainer", "Container/web", "NotStarted")]
