"""Networks, endpoints and publications in the records."""

import dataclasses
import ipaddress
import pathlib
from collections.abc import Iterator

import pytest

from agent import errors
from agent.engine import records
from agent.engine.network import table
from agent.engine.spec import network as network_spec
from tests import addressing

SHOP = network_spec.NetworkSpec(
    "shop", (addressing.subnet("10.1.0.0/24", "10.1.0.1", "10.1.0.128/25"),), labels=(("a", "b"),)
)
BACK = network_spec.NetworkSpec(
    "back", (addressing.subnet("10.2.0.0/24", "10.2.0.1"),), internal=True, dns=False, mtu=1400
)
WEB = addressing.endpoint("c1", "web", "shop", "eth0", "10.1.0.2", ("www",))
PUBLICATION = network_spec.Publication("c1", (addressing.port("0.0.0.0", 8080, 80, "tcp"),))


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    """The path of the records."""
    return tmp_path / "engine.sqlite"


@pytest.fixture
def database(path: pathlib.Path) -> Iterator[records.Database]:
    """Open records."""
    opened = records.Database(path, [table.SCHEMA])
    yield opened
    opened.close()


@pytest.fixture
def network_table(database: records.Database) -> table.Table:
    """An empty table."""
    return table.Table(database, "abcde")


def test_network__kept__has_the_first_free_number_and_a_bridge_of_the_instance(network_table: table.Table) -> None:
    assert network_table.put_network(SHOP) == network_spec.NetworkRecord(0, "ttabcde-0", SHOP)
    assert network_table.put_network(BACK) == network_spec.NetworkRecord(1, "ttabcde-1", BACK)
    network_table.delete_network("shop")
    assert network_table.put_network(dataclasses.replace(SHOP, name="third")).bridge == "ttabcde-0"
    assert [record.name for record in network_table.networks()] == ["back", "third"]


def test_network__kept_again__keeps_its_number_and_takes_the_new_spec(network_table: table.Table) -> None:
    network_table.put_network(BACK)
    network_table.put_network(SHOP)
    changed = dataclasses.replace(SHOP, labels=())
    assert network_table.put_network(changed) == network_spec.NetworkRecord(1, "ttabcde-1", changed)
    assert network_table.network("shop").spec.labels == ()


def test_network__unknown__is_not_found(network_table: table.Table) -> None:
    assert network_table.find("shop") is None
    with pytest.raises(errors.NotFound, match="there is no network shop"):
        network_table.network("shop")


def test_everything__read_again__is_as_it_was_written(network_table: table.Table, database: records.Database) -> None:
    for config in (SHOP, BACK):
        network_table.put_network(config)
    network_table.put_endpoint(WEB)
    network_table.put_publication(PUBLICATION)
    reopened = table.Table(database, "abcde")
    assert reopened.networks() == network_table.networks()
    assert [record.spec for record in reopened.networks()] == [BACK, SHOP]
    assert reopened.endpoints() == (WEB,)
    assert reopened.publications() == (PUBLICATION,)
    assert str(reopened.last_address("shop")) == "10.1.0.2"
    assert reopened.last_address("back") is None


def test_endpoint__address_of_another_container__conflict_and_nothing_changed(
    network_table: table.Table, database: records.Database
) -> None:
    network_table.put_network(SHOP)
    network_table.put_endpoint(WEB)
    with pytest.raises(errors.Conflict) as caught:
        network_table.put_endpoint(dataclasses.replace(WEB, container_id="c2"))
    assert caught.value.reason == "AddressInUse"
    for table_read in (network_table, table.Table(database, "abcde")):
        assert table_read.endpoints() == (WEB,)


def test_endpoint__same_address_in_another_network__is_leased(network_table: table.Table) -> None:
    network_table.put_endpoint(WEB)
    other = dataclasses.replace(WEB, container_id="c2", network="back")
    network_table.put_endpoint(other)
    assert (network_table.of_network("shop"), network_table.of_network("back")) == ((WEB,), (other,))


def test_endpoint__kept_again__is_replaced(network_table: table.Table, database: records.Database) -> None:
    network_table.put_endpoint(WEB)
    moved = dataclasses.replace(WEB, address=ipaddress.IPv4Address("10.1.0.9"), container_name="page")
    network_table.put_endpoint(moved)
    network_table.put_endpoint(dataclasses.replace(WEB, container_id="c2"))
    for table_read in (network_table, table.Table(database, "abcde")):
        assert table_read.of_container("c1") == (moved,)


def test_endpoints__of_a_container__are_in_the_order_of_its_interfaces(network_table: table.Table) -> None:
    for number in (10, 2, 0):
        network_table.put_endpoint(
            addressing.endpoint("c1", "web", f"n{number}", f"eth{number}", f"10.{number}.0.2", ())
        )
    assert [endpoint.interface for endpoint in network_table.of_container("c1")] == ["eth0", "eth2", "eth10"]


def test_endpoint__deleted__its_address_is_free_and_remembered_as_the_last(network_table: table.Table) -> None:
    network_table.put_network(SHOP)
    network_table.put_endpoint(WEB)
    network_table.delete_endpoint("c1", "shop")
    network_table.delete_endpoint("c1", "shop")
    assert network_table.endpoints() == ()
    assert str(network_table.last_address("shop")) == "10.1.0.2"


def test_publication__deleted__tells_whether_there_was_one(
    network_table: table.Table, database: records.Database
) -> None:
    network_table.put_publication(PUBLICATION)
    assert network_table.delete_publication("c1")
    assert not network_table.delete_publication("c1")
    assert table.Table(database, "abcde").publications() == ()


def test_containers__with_an_address_or_a_port__are_told(network_table: table.Table) -> None:
    network_table.put_endpoint(dataclasses.replace(WEB, container_id="c2"))
    network_table.put_publication(PUBLICATION)
    assert network_table.containers() == frozenset({"c1", "c2"})


def test_endpoint__of_several_addresses__is_read_as_it_was_written__and_its_addresses_are_taken(
    network_table: table.Table, database: records.Database
) -> None:
    network_table.put_network(SHOP)
    both = WEB.at(
        (ipaddress.ip_address("10.1.0.130"), ipaddress.ip_address("10.1.0.129"), ipaddress.ip_address("fd00::2"))
    )
    network_table.put_endpoint(both)
    reopened = table.Table(database, "abcde")
    assert reopened.endpoints() == (both,)
    assert [str(address) for address in both.addresses] == ["10.1.0.130", "10.1.0.129", "fd00::2"]
    pool = reopened.addresses("shop")
    assert str(pool.choose(None)) == "10.1.0.131"
    pool.last = None
    assert str(pool.choose(None)) == "10.1.0.131", "the first free one of the range"
    with pytest.raises(errors.Conflict):
        pool.choose(ipaddress.ip_address("10.1.0.129"))
    reopened.delete_endpoint("c1", "shop")
    assert str(pool.choose(ipaddress.ip_address("10.1.0.129"))) == "10.1.0.129"


def test_endpoint__whose_addresses_are_not_chosen_yet__is_kept__several_in_one_network(
    network_table: table.Table, database: records.Database
) -> None:
    undecided = WEB.at(())
    other = dataclasses.replace(undecided, container_id="c2")
    network_table.put_network(SHOP)
    network_table.put_endpoint(undecided)
    network_table.put_endpoint(other)
    assert table.Table(database, "abcde").endpoints() == (undecided, other)
    assert network_table.last_address("shop") is None
    network_table.put_endpoint(undecided.at((ipaddress.ip_address("fd00::2"),)))
    assert [str(address) for address in network_table.of_container("c1")[0].addresses] == ["fd00::2"]


def test_endpoint__as_earlier_releases_have_written_it__is_read_and_written_the_same(
    network_table: table.Table, database: records.Database
) -> None:
    written = (
        '{"address":"10.1.0.2","aliases":["www"],"container_id":"c1","container_name":"web","interface":"eth0",'
        '"network":"shop"}'
    )
    network_table.put_network(SHOP)
    network_table.put_endpoint(WEB)
    (row,) = database.query("SELECT body, address FROM endpoints")
    assert (row["body"], row["address"]) == (written, "10.1.0.2")
    (row,) = database.query("SELECT body FROM networks")
    assert "driver" not in row["body"]
    assert '"subnets":[{"gateway":"10.1.0.1","range":"10.1.0.128/25","subnet":"10.1.0.0/24"}]' in row["body"]
