"""What a plan says of values: readable, in the manifests' spelling, and nothing that is secret."""

import dataclasses

import pytest

from agent.model import container, health, network, secret
from agent.plan import planner, wording
from tests import builders


@pytest.mark.parametrize(
    ("field", "before", "after", "text"),
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
def test_change__of_each_kind_of_value__is_readable(field: str, before: object, after: object, text: str) -> None:
    assert wording.change(field, before, after) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0"), (1000, "1000"), (1024, "1Ki"), (1536, "1536"), (33554432, "32Mi"), (3 * 2**40, "3Ti")],
)
def test_quantity__is_told_in_the_largest_unit_that_divides_it(size: int, text: str) -> None:
    assert wording.quantity(size) == text


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
    observed = builders.world(builders.observed(old), builders.observed_image(identity="sha256:other"))
    cause = planner.compute_plan(builders.desired(new), observed, builders.rules()).steps[0].action.cause
    assert cause.message == (
        "image docker.io/library/app:1 is another one now (forces replacement); labels: - -> app=new"
    )
    assert cause.fields == ("image", "labels")


PROBES = {
    name: health.Probe(health.TcpProbe(port), 0.0, 1.0, 1.0, 1, 3) for name, port in (("first", 80), ("other", 81))
}


@pytest.mark.parametrize("kind", ["startup", "readiness", "liveness"])
@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (None, "first", "+ {kind}"),
        ("first", None, "- {kind}"),
        ("first", "other", "{kind} changed"),
        ("first", "first", ""),
    ],
)
def test_health__only_the_names_of_probes_that_differ_are_told(
    kind: str, before: str | None, after: str | None, words: str
) -> None:
    nothing = health.HealthConfig(None, None, None)
    old, new = (
        dataclasses.replace(nothing, **{kind: None if name is None else PROBES[name]}) for name in (before, after)
    )
    assert wording.change("health", old, new) == f"health: {words.format(kind=kind)}"


def test_health__several_probes_differ__are_told_one_after_the_other() -> None:
    first, other = PROBES["first"], PROBES["other"]
    before, after = health.HealthConfig(first, None, first), health.HealthConfig(None, first, other)
    assert wording.change("health", before, after) == "health: - startup, + readiness, liveness changed"


def test_labels__several_differ__are_told_with_a_comma_between() -> None:
    assert wording.change("labels", (), (("a", "1"), ("b", "2"))) == "labels: - -> a=1, b=2"


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("policy", container.RestartPolicy.ALWAYS, "Always"),
        ("pids", 100, "100"),
        ("cpu_millis", 1500, "1.5"),
        ("dns", True, "true"),
        ("memory", 2**20, "1Mi"),
    ],
)
def test_value__is_shown_as_manifests_spell_it(field: str, value: object, shown: str) -> None:
    assert wording.change(field, None, value).endswith(f": - -> {shown}")


def test_field__of_several_words__is_spelled_as_in_manifests() -> None:
    assert wording.spelled("read_only_rootfs") == "readOnlyRootfs"


def test_change__of_a_group_of_values_that_is_there_on_one_side_only__shows_it_whole() -> None:
    subnet = network.Subnet("10.77.0.0/24", None, None)
    assert wording.change("subnet", subnet, None) == "subnet: 10.77.0.0/24 -> -"
    assert wording.change("subnet", None, subnet) == "subnet: - -> 10.77.0.0/24"


def test_env_by_secrets__of_several_variables__are_told_by_name() -> None:
    first, second, third = (secret.SecretVariable(name, "db", "password", "f1") for name in ("A", "B", "C"))
    changed = dataclasses.replace(second, fingerprint="f2")
    assert wording.change("secret_env", (first, second), (changed, third)) == ("env by secrets: + C, - A, B changed")


@pytest.mark.parametrize(("size", "text"), [(1, "1"), (2 * 2**30, "2Gi"), (2**30 + 2**20, "1025Mi"), (2**40, "1Ti")])
def test_quantity__of_each_unit__is_a_whole_number_of_it(size: int, text: str) -> None:
    assert wording.quantity(size) == text
