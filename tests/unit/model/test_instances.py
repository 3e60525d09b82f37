"""What is declared once may run several times: names, host names, DNS and dependencies of instances."""

import dataclasses

import pytest

from agent.kit import canonical
from agent.model import container, instances, key, state
from agent.model.key import Kind, ObjectKey
from tests import builders

WEB = builders.config("web", hostname="web", networks=(container.NetworkAttachment("shop", ("shop-web",)),))
WEB_KEY = ObjectKey(Kind.CONTAINER, "web")


def names(*configs: container.ContainerConfig) -> list[str]:
    return [config.name for config in configs]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [({}, ["web"]), ({"web": 3}, ["web", "web-1", "web-2"]), ({"web": 0}, []), ({"db": 2}, ["web"])],
    ids=["not said", "three", "none", "of another one"],
)
def test_expand__gives_so_many__instance_0_has_the_objects_name(counts: dict[str, int], expected: list[str]) -> None:
    assert names(*instances.expand([WEB], counts)) == expected


def test_expand__instance_0__is_as_declared() -> None:
    first, _ = instances.expand([WEB], {"web": 2})
    assert first == WEB


def test_expand__another_instance__has_its_own_host_name_and_answers_to_the_objects_name() -> None:
    _, second = instances.expand([WEB], {"web": 2})
    assert second == dataclasses.replace(
        WEB,
        name="web-1",
        ordinal=1,
        hostname="web-1",
        networks=(container.NetworkAttachment("shop", ("shop-web", "web")),),
    )


def test_expand__its_host_name_was_chosen__is_kept() -> None:
    _, second = instances.expand([dataclasses.replace(WEB, hostname="front")], {"web": 2})
    assert second.hostname == "front"


def test_expand__another_one_depends_on_it__waits_for_all_of_it() -> None:
    healthy = container.DependencyCondition.HEALTHY
    user = builders.config("user", depends_on=(container.Dependency("web", healthy),))
    *_, expanded = instances.expand([WEB, user], {"web": 2})
    assert expanded.depends_on == (container.Dependency("web", healthy), container.Dependency("web-1", healthy))


def test_expand__a_name_would_be_there_twice__is_refused() -> None:
    with pytest.raises(instances.NameTaken, match="containers web and web-1 would both have an instance web-1"):
        instances.expand([WEB, builders.config("web-1")], {"web": 2})


def test_key__of_an_instance__names_its_object_and_is_told_apart_by_its_name() -> None:
    second = WEB_KEY.instance(2)
    assert (str(second), second.ordinal, second.object) == ("Container/web-2", 2, WEB_KEY)
    assert second == ObjectKey(Kind.CONTAINER, "web-2")
    assert WEB_KEY.instance(0) is WEB_KEY.object is WEB_KEY


def test_key__of_a_config__has_its_ordinal() -> None:
    *_, last = instances.expand([WEB], {"web": 3})
    assert (state.key_of(last), state.key_of(last).ordinal) == (WEB_KEY.instance(2), 2)


@pytest.mark.parametrize("ordinal", [0, 1, 12])
def test_labels__of_an_instance__name_object_and_ordinal(ordinal: int) -> None:
    ownership = key.Ownership("home", WEB_KEY.instance(ordinal), "abc")
    labels = key.ownership_labels(ownership)
    assert dict(labels)[key.NAME_LABEL] == "web"
    read = key.ownership_of(labels)
    assert read is not None
    assert (read, read.key.ordinal) == (ownership, ordinal)


def test_labels__of_instance_0__are_those_of_before_there_were_instances() -> None:
    assert key.INSTANCE_LABEL not in dict(key.ownership_labels(key.Ownership("home", WEB_KEY, "abc")))


@pytest.mark.parametrize("ordinal", ["", "-1", "01", "1e3", "x", "1" * 10, "\u0661"])
def test_labels__with_no_ordinal_that_there_is__are_nobodys(ordinal: str) -> None:
    labels = dict(key.ownership_labels(key.Ownership("home", WEB_KEY, "abc"))) | {key.INSTANCE_LABEL: ordinal}
    assert key.ownership_of(key.pairs(labels)) is None


def test_records__of_instance_0__are_written_as_before_there_were_instances() -> None:
    assert "ordinal" not in canonical.plain(WEB)
    assert "ordinal" not in canonical.plain(WEB_KEY)


def test_records__of_an_instance__come_back_with_its_ordinal() -> None:
    read = canonical.loads(ObjectKey, canonical.dumps(WEB_KEY.instance(3)).decode())
    assert (read, read.ordinal) == (WEB_KEY.instance(3), 3)
