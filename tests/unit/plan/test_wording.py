"""What a plan says of values: readable, in the manifests' spelling, and nothing that is secret."""

import dataclasses

import pytest

from agent.model import container, network
from agent.plan import planner, wording
from tests import builders


@pytest.mark.parametrize(
    ("field", "before", "after", "told"),
    [
        ("image", "a:1", "a:2", "image: a:1 -> a:2"),
        ("working_dir", "", "/srv", "workingDir: - -> /srv"),
        ("args", None, ("-g", "x"), "args: - -> -g x"),
        ("env", (("A", "1"),), (("A", "2"),), "env: A changed"),
        ("env", (("A", "1"),), (("B", "1"),), "env: + B, - A"),
        ("labels", (("app", "old"), ("x", "y")), (("app", "new"), ("x", "y")), "labels: app=old -> app=new"),
        ("labels", (), (("app", "new"),), "labels: - -> app=new"),
        ("network_mode", container.NetworkMode.HOST, container.NetworkMode.NONE, "networkMode: host -> none"),
        ("internal", False, True, "internal: false -> true"),
        (
            "subnets",
            (network.Subnet("10.77.0.0/24", "10.77.0.1", None),),
            (network.Subnet("10.78.0.0/24", None, "10.78.0.128/25"),),
            "subnets: 10.77.0.0/24 gateway 10.77.0.1 -> 10.78.0.0/24 range 10.78.0.128/25",
        ),
        (
            "ports",
            (),
            (container.PortMapping(80, 8080, container.TransportProtocol.TCP, "0.0.0.0"),),
            "ports: - -> 0.0.0.0:80:8080/tcp",
        ),
        (
            "mounts",
            (container.VolumeMount("data", "/data", read_only=False),),
            (container.VolumeMount("data", "/data", read_only=True), container.TmpfsMount("/tmp", 64 * 2**20)),
            "mounts: data:/data -> data:/data:readOnly /tmp:64Mi",
        ),
        ("networks", (), (container.NetworkAttachment("shop", ("www",)),), "networks: - -> shop:www"),
        (
            "resources",
            container.Resources(250, 32 * 2**20, None, 10),
            container.Resources(1000, 1025, 2**20, 10),
            "resources: cpus=0.25, memory=32Mi, memoryReservation=- -> cpus=1, memory=1025, memoryReservation=1Mi",
        ),
    ],
)
def test_change__of_each_kind_of_value__is_readable(field: str, before: object, after: object, told: str) -> None:
    assert wording.change(field, before, after) == told


@pytest.mark.parametrize(
    ("size", "told"),
    [(0, "0"), (1000, "1000"), (1024, "1Ki"), (1536, "1536"), (33554432, "32Mi"), (3 * 2**40, "3Ti")],
)
def test_quantity__is_told_in_the_largest_unit_that_divides_it(size: int, told: str) -> None:
    assert wording.quantity(size) == told


def test_replacement__other_fields_change_too__names_all_and_marks_what_forces_it() -> None:
    old = builders.config(labels=(("app", "old"),))
    new = dataclasses.replace(
        old, args=("x",), labels=(("app", "new"),), resources=container.Resources(None, 2**25, None, None)
    )
    computed = planner.compute_plan(builders.desired(new), builders.world(builders.observed(old)), builders.rules())
    cause = computed.steps[0].action.cause
    assert cause.message == (
        "labels: app=old -> app=new; args: - -> x (forces replacement); resources: memory=- -> memory=32Mi"
    )
    assert cause.fields == ("labels", "args", "resources")


def test_replacement__by_another_image_under_the_same_name__names_what_changes_with_it() -> None:
    old = builders.config()
    new = dataclasses.replace(old, labels=(("app", "new"),))
    found = builders.world(builders.observed(old), builders.observed_image(identity="sha256:other"))
    cause = planner.compute_plan(builders.desired(new), found, builders.rules()).steps[0].action.cause
    assert cause.message == (
        "image docker.io/library/app:1 is another one now (forces replacement); labels: - -> app=new"
    )
    assert cause.fields == ("image", "labels")
