"""What the planner does with images, networks and volumes."""

import dataclasses

import pytest

from agent.model import container, image, network, policy, volume
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, plan, planner, render
from agent.reasons import Reason
from tests import builders

DELETE = volume.DeletionPolicy.DELETE


def steps(computed: plan.Plan) -> list[tuple[str, str, str]]:
    """Return (action, object, reason) of each step."""
    return [(type(s.action).__name__, str(s.action.key), s.action.cause.reason.value) for s in computed.steps]


def test_network__gone__is_made_again_as_drift() -> None:
    shop = builders.network_config()
    observed = builders.world(ledger=(builders.remembered(shop),))
    computed = planner.compute_plan(builders.desired(shop), observed, builders.rules())
    assert steps(computed) == [("CreateNetwork", "Network/shop", "Drifted")]
    assert computed.drift == ((ObjectKey(Kind.NETWORK, "shop"), "was removed"),)


def test_network__its_device_is_gone__is_mended() -> None:
    shop = builders.network_config()
    observed = builders.world(builders.observed_network(shop, healthy=False))
    computed = planner.compute_plan(builders.desired(shop), observed, builders.rules())
    assert steps(computed) == [("CreateNetwork", "Network/shop", "Drifted")]


def test_network__subnet_chosen_by_the_runtime__is_no_difference() -> None:
    shop = builders.network_config()
    computed = planner.compute_plan(
        builders.desired(shop), builders.world(builders.observed_network(shop)), builders.rules()
    )
    assert computed.empty


def test_network__gateway_chosen_by_the_runtime__is_no_difference() -> None:
    shop = builders.network_config(subnets=(network.Subnet("10.1.0.0/24", None, None),))
    computed = planner.compute_plan(
        builders.desired(shop), builders.world(builders.observed_network(shop)), builders.rules()
    )
    assert computed.empty


def test_network__foreign_one_has_its_name__is_blocked() -> None:
    shop = builders.network_config()
    observed = builders.world(builders.observed_network(shop, labels=()))
    computed = planner.compute_plan(builders.desired(shop), observed, builders.rules())
    assert computed.empty
    assert [(str(blocked.key), blocked.reason) for blocked in computed.blocked] == [("Network/shop", "Foreign")]


def test_network__held_while_it_is_broken__stays_blocked() -> None:
    shop = builders.network_config()
    hold = policy.Hold(ObjectKey(Kind.NETWORK, "shop"), "SubnetInUse", "taken")
    computed = planner.compute_plan(builders.desired(shop), builders.world(), builders.rules(holds=(hold,)))
    assert [blocked.reason for blocked in computed.blocked] == ["SubnetInUse"]


def test_orphans__networks_and_images_go_after_the_containers_that_use_them() -> None:
    shop, data = builders.network_config(), builders.volume_config(policy=DELETE)
    web = builders.config(
        networks=(container.NetworkAttachment("shop"),),
        mounts=(container.VolumeMount("data", "/data", read_only=False),),
    )
    observed = builders.world(builders.observed(web), builders.observed_network(shop), builders.observed_volume(data))
    computed = planner.compute_plan(builders.desired(image=False), observed, builders.rules())
    assert [
        (name, after) for (name, _, _), after in zip(steps(computed), [s.after for s in computed.steps], strict=True)
    ] == [
        ("StopContainer", ()),
        ("RemoveContainer", (0,)),
        ("RemoveNetwork", (1,)),
        ("RemoveImage", (1,)),
        ("RemoveVolume", (1,)),
    ]


def test_volume__left_the_source_with_retain__is_kept() -> None:
    data = builders.volume_config()
    computed = planner.compute_plan(
        builders.desired(), builders.world(builders.observed_volume(data)), builders.rules()
    )
    assert computed.empty
    assert (ObjectKey(Kind.VOLUME, "data"), plan.Bucket.ORPHANED) in computed.buckets
    assert render.document(computed)["retained"] == ["Volume/data"]
    assert render.text(computed) == (
        "  = Volume/data stays: it is no longer declared, and its data is kept (deletionPolicy: Retain)."
        " To remove it, declare it again with deletionPolicy: Delete, apply that, and then take it out\n"
        "\n"
        "Nothing to change."
    )


def test_volume__nothing_is_declared_at_all__is_not_said_to_be_retained() -> None:
    observed = builders.world(builders.observed_volume(builders.volume_config()))
    computed = planner.compute_plan(builders.desired(image=False), observed, builders.rules(prune=False))
    assert (computed.empty, computed.retained) == (True, ())


def test_volume__left_the_source_with_delete__is_removed() -> None:
    data = builders.volume_config(policy=DELETE)
    computed = planner.compute_plan(
        builders.desired(), builders.world(builders.observed_volume(data)), builders.rules()
    )
    assert steps(computed) == [("RemoveVolume", "Volume/data", "Orphaned")]


def test_volume__policy_changed__is_updated_in_place() -> None:
    old, new = builders.volume_config(), builders.volume_config(policy=DELETE)
    computed = planner.compute_plan(
        builders.desired(new), builders.world(builders.observed_volume(old)), builders.rules()
    )
    assert steps(computed) == [("CreateVolume", "Volume/data", "Changed")]
    assert computed.steps[0].action.cause.fields == ("deletion_policy",)


def test_volume__foreign_one_has_its_name__is_blocked() -> None:
    data = builders.volume_config()
    foreign = dataclasses.replace(builders.observed_volume(data), labels=())
    computed = planner.compute_plan(builders.desired(data), builders.world(foreign), builders.rules())
    assert computed.empty
    assert [blocked.reason for blocked in computed.blocked] == ["Foreign"]


def test_image__somebody_elses_is_there__satisfies_a_pull() -> None:
    foreign = image.ObservedImage("sha256:x", builders.IMAGE, (), 1)
    computed = planner.compute_plan(builders.desired(), builders.world(foreign), builders.rules())
    assert computed.empty


def test_image__source_changed__is_fetched_again() -> None:
    old = builders.image_config()
    new = dataclasses.replace(old, source=image.ArchiveSource("/a.tar", "2"))
    computed = planner.compute_plan(
        builders.desired(new), builders.world(builders.observed_image(old)), builders.rules()
    )
    assert steps(computed) == [("EnsureImage", f"Image/{builders.IMAGE}", "Changed")]
    assert computed.steps[0].action.cause.message == "archive changed"


ARCHIVE = image.ImageConfig("app", "localhost/app:latest", image.ArchiveSource("/a.tar", "1"))


BUILD = image.ImageConfig("site", "localhost/site:latest", image.BuildSource("/srv/app", "/srv/app/Dockerfile", "1"))


def test_image__files_of_its_build_changed__is_built_and_its_container_stays_until_another_image_is_there() -> None:
    web = builders.config(image=BUILD.reference)
    new = dataclasses.replace(BUILD, source=dataclasses.replace(BUILD.source, stamp="2"))
    observed = builders.world(builders.observed_image(BUILD), builders.observed(web))
    computed = planner.compute_plan(builders.desired(web, new, image=False), observed, builders.rules())
    assert steps(computed) == [("EnsureImage", "Image/site", "Changed")]
    assert computed.steps[0].action.cause.message == "build changed"
    rebuilt = dataclasses.replace(builders.observed_image(new), id="sha256:other")
    observed = builders.world(rebuilt, builders.observed(web))
    computed = planner.compute_plan(builders.desired(web, new, image=False), observed, builders.rules())
    assert ("CreateContainer", "Container/web", "ImageChanged") in steps(computed)


def test_image__of_a_build_was_replaced_by_hand__its_container_waits_for_what_the_build_gives() -> None:
    web = builders.config(image=BUILD.reference)
    foreign = image.ObservedImage("sha256:other", BUILD.reference, (), 1)
    observed = builders.world(foreign, builders.observed(web), ledger=(builders.remembered(BUILD),))
    computed = planner.compute_plan(builders.desired(web, BUILD, image=False), observed, builders.rules())
    assert [kind for kind, _, _ in steps(computed)] == ["EnsureImage"]


def test_image__at_a_builds_reference_is_somebody_elses__is_built() -> None:
    observed = builders.world(image.ObservedImage("sha256:x", BUILD.reference, (), 1))
    computed = planner.compute_plan(builders.desired(BUILD, image=False), observed, builders.rules())
    assert computed.steps[0].action.cause.message == "it was not built by this instance"


def test_build__beside_archives__waits_for_all_that_it_may_begin_with() -> None:
    other = dataclasses.replace(BUILD, name="z", reference="localhost/z:latest")
    computed = planner.compute_plan(
        builders.desired(BUILD, other, ARCHIVE, image=False), builders.world(), builders.rules()
    )
    by_name = {step.action.key.name: step for step in computed.steps}
    assert by_name["app"].after == ()
    pulled = planner.compute_plan(builders.desired(BUILD), builders.world(), builders.rules())
    assert all(step.after == () for step in pulled.steps if step.action.key.kind is Kind.IMAGE), "it pulls them itself"
    assert by_name["site"].after == by_name["z"].after == (by_name["app"].id,)


@pytest.mark.parametrize("owner", ["nobody", "another"])
def test_image__at_an_archives_reference_is_somebody_elses__is_loaded_again(owner: str) -> None:
    labels = () if owner == "nobody" else builders.labels_for(ARCHIVE, "another")
    observed = builders.world(image.ObservedImage("sha256:x", ARCHIVE.reference, labels, 1))
    computed = planner.compute_plan(builders.desired(ARCHIVE, image=False), observed, builders.rules())
    assert steps(computed) == [("EnsureImage", "Image/app", "Missing")]
    assert computed.steps[0].action.cause.message == "it was not loaded by this instance"
    assert computed.drift == ()


def test_image__an_archives_was_ours_and_is_somebody_elses_now__is_drift_and_its_container_is_replaced() -> None:
    web = builders.config(image=ARCHIVE.reference)
    foreign = image.ObservedImage(builders.IMAGE_ID, ARCHIVE.reference, (), 1)
    observed = builders.world(foreign, builders.observed(web), ledger=(builders.remembered(ARCHIVE),))
    computed = planner.compute_plan(builders.desired(web, ARCHIVE, image=False), observed, builders.rules())
    assert steps(computed)[:2] == [
        ("EnsureImage", "Image/app", "Drifted"),
        ("CreateContainer", "Container/web", "ImageChanged"),
    ]
    assert computed.drift == ((ObjectKey(Kind.IMAGE, "app"), "it was not loaded by this instance"),)


def test_image__made_by_hand__is_never_pruned_whatever_else_goes() -> None:
    by_hand = image.ObservedImage(builders.IMAGE_ID, "docker.io/library/mine:1", (), 1)
    ours = builders.observed_image(builders.image_config("docker.io/library/old:1"))
    web = builders.config()
    observed = builders.world(by_hand, ours, builders.observed_image(), builders.observed(web))
    computed = planner.compute_plan(builders.desired(web), observed, builders.rules())
    assert [str(step.action.key) for step in computed.steps] == ["Image/docker.io/library/old:1"]


def test_network__other_labels__are_given_in_place_and_nobody_has_to_leave() -> None:
    old, new = builders.network_config(labels=(("app", "old"),)), builders.network_config(labels=(("app", "new"),))
    web = builders.config(networks=(container.NetworkAttachment("shop"),))
    observed = builders.world(builders.observed(web), builders.observed_network(old))
    computed = planner.compute_plan(builders.desired(web, new), observed, builders.rules())
    assert render.text(computed) == (
        "  ~ Network/shop is changed\n"
        "      because Changed: labels: app=old -> app=new\n"
        "\n"
        "Plan: 0 to create, 1 to change, 0 to replace, 0 to remove."
    )
    assert steps(computed) == [("CreateNetwork", "Network/shop", "Changed")]


def test_network__labels_changed_behind_our_back__are_drift() -> None:
    shop = builders.network_config(labels=(("app", "shop"),))
    existing_network = builders.observed_network(dataclasses.replace(shop, labels=()))
    observed = builders.world(existing_network, ledger=(builders.remembered(shop),))
    computed = planner.compute_plan(builders.desired(shop), observed, builders.rules())
    assert steps(computed) == [("CreateNetwork", "Network/shop", "Drifted")]
    assert computed.drift == ((ObjectKey(Kind.NETWORK, "shop"), "labels: - -> app=shop"),)
    assert render.text(computed).startswith("  ~ Network/shop is changed\n")


def test_orphan__held__waits() -> None:
    shop = builders.network_config()
    hold = policy.Hold(ObjectKey(Kind.NETWORK, "shop"), "InUse", "in use")
    observed = builders.world(builders.observed_network(shop))
    computed = planner.compute_plan(builders.desired(), observed, builders.rules(holds=(hold,)))
    assert [blocked.reason for blocked in computed.blocked] == ["InUse"]


def _unverified() -> image.ObservedImage:
    return dataclasses.replace(builders.observed_image(), verified=False)


def test_image__not_verified__is_fetched_again_and_its_running_container_left_alone() -> None:
    web = builders.config()
    observed = builders.world(_unverified(), builders.observed(web))
    computed = planner.compute_plan(builders.desired(web), observed, builders.rules())
    assert steps(computed) == [("EnsureImage", f"Image/{builders.IMAGE}", "Unverified")]
    assert computed.steps[0].action.cause.message == "it must be signed, which is not verified"


def test_image__not_verified__whoever_is_to_start_from_it_waits_for_it() -> None:
    web = builders.config()
    for containers in ([], [builders.observed(web, state=container.ContainerState.CREATED)]):
        observed = builders.world(_unverified(), *containers)
        computed = planner.compute_plan(builders.desired(web), observed, builders.rules())
        ensured, *others = computed.steps
        assert type(ensured.action).__name__ == "EnsureImage"
        assert type(others[-1].action).__name__ == "StartContainer"
        assert ensured.id in others[0].after


def test_image__somebody_elses_and_not_verified__is_fetched_again() -> None:
    foreign = dataclasses.replace(_unverified(), labels=())
    computed = planner.compute_plan(builders.desired(), builders.world(foreign), builders.rules())
    assert steps(computed) == [("EnsureImage", f"Image/{builders.IMAGE}", "Unverified")]


@pytest.mark.parametrize("is_created", [True, False])
def test_image__not_verified_and_held__keeps_containers_from_starting(is_created: bool) -> None:
    web = builders.config()
    containers = [builders.observed(web, state=container.ContainerState.CREATED)] if is_created else []
    hold = policy.Hold(ObjectKey(Kind.IMAGE, builders.IMAGE), "ImageUnsigned", "it is not signed", 9e9, None)
    observed = builders.world(_unverified(), *containers)
    computed = planner.compute_plan(builders.desired(web), observed, builders.rules(holds=(hold,)))
    assert computed.empty
    assert [(str(blocked.key), blocked.reason) for blocked in computed.blocked] == [
        ("Container/web", "WaitingForDependency"),
        (f"Image/{builders.IMAGE}", "ImageUnsigned"),
    ]
    assert "ImageUnsigned" in computed.blocked[0].message


def _damaged() -> image.ObservedImage:
    return dataclasses.replace(builders.observed_image(), available=False)


def test_image__its_layers_are_gone__is_drift_and_its_running_container_left_alone() -> None:
    web = builders.config()
    observed = builders.world(_damaged(), builders.observed(web))
    computed = planner.compute_plan(builders.desired(web), observed, builders.rules())
    assert steps(computed) == [("EnsureImage", f"Image/{builders.IMAGE}", "Drifted")]
    assert computed.drift == ((ObjectKey(Kind.IMAGE, builders.IMAGE), "its layers are not on the disk any more"),)


def test_image__its_layers_are_gone__whoever_is_to_start_from_it_waits_for_it() -> None:
    web = builders.config()
    for containers in ([], [builders.observed(web, state=container.ContainerState.CREATED)]):
        observed = builders.world(_damaged(), *containers)
        computed = planner.compute_plan(builders.desired(web), observed, builders.rules())
        ensured, *others = computed.steps
        assert type(ensured.action).__name__ == "EnsureImage"
        assert ensured.id in others[0].after


def test_words__of_a_build__are_its_own() -> None:
    build, load = (
        actions.EnsureImage(ObjectKey(Kind.IMAGE, config.name), actions.Cause(Reason.MISSING, ""), config)
        for config in (BUILD, ARCHIVE)
    )
    assert (actions.doing(build), actions.done(build)) == ("building", "built")
    assert (actions.doing(load), actions.done(load)) == ("fetching", "fetched")
