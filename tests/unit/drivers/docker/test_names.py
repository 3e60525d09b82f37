"""Names in manifests and in the engine: the same, but for those that engines keep for themselves or do not bend."""

import pathlib

import pytest

from agent.drivers.docker import names
from agent.model.key import Kind
from tests.unit.drivers.docker import twin

OWN = ("bridge", "host", "none", "podman", "ingress", "docker_gwbridge")


@pytest.fixture
def table(tmp_path: pathlib.Path) -> names.Names:
    return twin.table(tmp_path)


@pytest.mark.parametrize("name", [*OWN, "default"])
def test_network__by_a_name_that_engines_keep__is_called_after_the_instance(table: names.Names, name: str) -> None:
    assert table.network(name) == f"trimtab-test1-{name}"
    assert table.declared_network(f"trimtab-test1-{name}") == name
    assert not table.is_built_in(f"trimtab-test1-{name}")


def test_network__by_any_other_name__is_called_so(table: names.Names) -> None:
    assert (table.network("shop"), table.declared_network("shop"), table.is_built_in("shop")) == ("shop", "shop", False)
    assert table.declared_network("trimtab-test1-shop") == "trimtab-test1-shop"


def test_network__of_another_instance__is_a_strangers(table: names.Names) -> None:
    assert table.declared_network("trimtab-other-bridge") == "trimtab-other-bridge"


@pytest.mark.parametrize("name", OWN)
def test_network__part_of_an_engine__is_no_object(table: names.Names, name: str) -> None:
    assert table.is_built_in(name)


def test_network__part_of_an_engine_and_adopted__is_an_object_by_its_own_name(table: names.Names) -> None:
    table.state_file.note_name(Kind.NETWORK, "bridge", "bridge")
    assert (table.network("bridge"), table.declared_network("bridge")) == ("bridge", "bridge")
    assert (table.is_built_in("bridge"), table.is_built_in("host")) == (False, True)


def test_noted_by__part_of_an_engine__is_its_name_since_its_id_is_another_after_each_start() -> None:
    assert names.Names.noted_by({"Name": "bridge", "Id": "n1"}) == "bridge"
    assert names.Names.noted_by({"Name": "shop", "Id": "n1"}) == "n1"


def test_usual__podmans_default_network__is_the_one_called_bridge() -> None:
    assert (names.name_in_lists("podman"), names.name_in_lists("bridge"), names.name_in_lists("shop")) == (
        "bridge",
        "bridge",
        "shop",
    )


def test_adopted__of_each_kind__keeps_the_name_that_it_has(table: names.Names) -> None:
    table.state_file.note_name(Kind.CONTAINER, "shop-web-1", "shop_web_1")
    table.state_file.note_name(Kind.VOLUME, "shop-data", "shop_data")
    table.state_file.note_name(Kind.NETWORK, "shop-net", "shop_net")
    assert (table.container("shop-web-1"), table.declared_container("shop_web_1")) == ("shop_web_1", "shop-web-1")
    assert (table.volume("shop-data"), table.declared_volume("shop_data")) == ("shop_data", "shop-data")
    assert (table.network("shop-net"), table.declared_network("shop_net")) == ("shop_net", "shop-net")
    assert table.volume("shop-net") == "shop-net", "names are one kind's"
    assert table.state_file.declared_names(Kind.VOLUME) == {"shop-data"}
