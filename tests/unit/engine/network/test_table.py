"""Networks, endpoints and publications in the records."""

import dataclasses
import pathlib
from collections.abc import Iterator

import pytest

from agent.engine import errors, records
from agent.engine.containers import spec as containers
from agent.engine.network import spec, table

SHOP = spec.NetworkSpec("shop", (spec.Subnet("10.1.0.0/24", "10.1.0.1", "10.1.0.128/25"),), labels=(("a", "b"),))
BACK = spec.NetworkSpec("back", (spec.Subnet("10.2.0.0/24", "10.2.0.1"),), internal=True, dns=False, mtu=1400)
WEB = spec.Endpoint("c1", "web", "shop", "eth0", "10.1.0.2", ("www",))
PUBLICATION = spec.Publication("c1", (containers.Port("0.0.0.0", 8080, 80, "tcp"),))


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    """Where the records are."""
    return tmp_path / "engine.sqlite"


@pytest.fixture
def database(path: pathlib.Path) -> Iterator[records.Database]:
    """Open records."""
    made = records.Database(path, [table.SCHEMA])
    yield made
    made.close()


@pytest.fixture
def known(database: records.Database) -> table.Table:
    """An empty table."""
    return table.Table(database, "abcde")


def test_network__kept__has_the_first_free_number_and_a_bridge_of_the_instance(known: table.Table) -> None:
    assert known.put_network(SHOP) == spec.NetworkRecord(0, "ttabcde-0", SHOP)
    assert known.put_network(BACK) == spec.NetworkRecord(1, "ttabcde-1", BACK)
    known.delete_network("shop")
    assert known.put_network(dataclasses.replace(SHOP, name="third")).bridge == "ttabcde-0"
    assert [record.name for record in known.networks()] == ["back", "third"]


def test_network__kept_again__keeps_its_number_and_takes_the_new_spec(known: table.Table) -> None:
    known.put_network(BACK)
    known.put_network(SHOP)
    changed = dataclasses.replace(SHOP, labels=())
    assert known.put_network(changed) == spec.NetworkRecord(1, "ttabcde-1", changed)
    assert known.network("shop").spec.labels == ()


def test_network__unknown__is_not_found(known: table.Table) -> None:
    assert known.find("shop") is None
    with pytest.raises(errors.NotFound, match="there is no network shop"):
        known.network("shop")


def test_everything__read_again__is_as_it_was_written(known: table.Table, database: records.Database) -> None:
    for wanted in (SHOP, BACK):
        known.put_network(wanted)
    known.put_endpoint(WEB)
    known.put_publication(PUBLICATION)
    again = table.Table(database, "abcde")
    assert again.networks() == known.networks()
    assert [record.spec for record in again.networks()] == [BACK, SHOP]
    assert again.endpoints() == (WEB,)
    assert again.publications() == (PUBLICATION,)
    assert again.last_address("shop") == "10.1.0.2"
    assert again.last_address("back") is None


def test_endpoint__address_of_another_container__conflict_and_nothing_changed(
    known: table.Table, database: records.Database
) -> None:
    known.put_network(SHOP)
    known.put_endpoint(WEB)
    with pytest.raises(errors.Conflict) as caught:
        known.put_endpoint(dataclasses.replace(WEB, container_id="c2"))
    assert caught.value.reason == "AddressInUse"
    for one in (known, table.Table(database, "abcde")):
        assert one.endpoints() == (WEB,)


def test_endpoint__same_address_in_another_network__is_leased(known: table.Table) -> None:
    known.put_endpoint(WEB)
    other = dataclasses.replace(WEB, container_id="c2", network="back")
    known.put_endpoint(other)
    assert (known.of_network("shop"), known.of_network("back")) == ((WEB,), (other,))


def test_endpoint__kept_again__is_replaced(known: table.Table, database: records.Database) -> None:
    known.put_endpoint(WEB)
    moved = dataclasses.replace(WEB, address="10.1.0.9", container_name="page")
    known.put_endpoint(moved)
    known.put_endpoint(dataclasses.replace(WEB, container_id="c2"))
    for one in (known, table.Table(database, "abcde")):
        assert one.of_container("c1") == (moved,)


def test_endpoints__of_a_container__are_in_the_order_of_its_interfaces(known: table.Table) -> None:
    for number in (10, 2, 0):
        known.put_endpoint(spec.Endpoint("c1", "web", f"n{number}", f"eth{number}", f"10.{number}.0.2", ()))
    assert [one.interface for one in known.of_container("c1")] == ["eth0", "eth2", "eth10"]


def test_endpoint__deleted__its_address_is_free_and_remembered_as_the_last(known: table.Table) -> None:
    known.put_network(SHOP)
    known.put_endpoint(WEB)
    known.delete_endpoint("c1", "shop")
    known.delete_endpoint("c1", "shop")
    assert known.endpoints() == ()
    assert known.last_address("shop") == "10.1.0.2"


def test_publication__deleted__tells_whether_there_was_one(known: table.Table, database: records.Database) -> None:
    known.put_publication(PUBLICATION)
    assert known.delete_publication("c1")
    assert not known.delete_publication("c1")
    assert table.Table(database, "abcde").publications() == ()


def test_containers__with_an_address_or_a_port__are_told(known: table.Table) -> None:
    known.put_endpoint(dataclasses.replace(WEB, container_id="c2"))
    known.put_publication(PUBLICATION)
    assert known.containers() == frozenset({"c1", "c2"})
