"""Which subnet, which address."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.engine import errors
from agent.engine.network import ipam, spec

NETWORKS = st.builds(
    lambda number, prefix: ipaddress.IPv4Network((number >> (32 - prefix) << (32 - prefix), prefix)),
    st.integers(0x0A000000, 0x0AFFFFFF),
    st.integers(12, 28),
)


def subnet(network: str, gateway: str | None = None, part: str | None = None) -> spec.Subnet:
    """Give a subnet with its gateway."""
    return spec.Subnet(network, gateway or str(ipaddress.IPv4Network(network)[1]), part)


def test_complete__nothing_said__chooses_the_first_free_subnet() -> None:
    assert ipam.complete((), [], 0) == (spec.Subnet("10.89.0.0/24", "10.89.0.1", None),)
    taken = [ipaddress.IPv4Network("10.89.0.0/23"), ipaddress.IPv4Network("10.89.2.128/25")]
    assert ipam.complete((), taken, 0) == (spec.Subnet("10.89.3.0/24", "10.89.3.1", None),)


def test_complete__other_instance__begins_elsewhere_and_comes_around() -> None:
    assert ipam.complete((), [], 0x101)[0].subnet == "10.90.1.0/24"
    last = 160 * 256 - 1
    assert ipam.complete((), [], last)[0].subnet == "10.248.255.0/24"
    assert ipam.complete((), [ipaddress.IPv4Network("10.248.255.0/24")], last)[0].subnet == "10.89.0.0/24"


def test_complete__all_is_taken__is_unavailable() -> None:
    with pytest.raises(errors.Unavailable) as caught:
        ipam.complete((), [ipaddress.IPv4Network("10.0.0.0/8")], 5)
    assert caught.value.reason == "SubnetsExhausted"


def test_complete__subnets_given__gateways_are_their_first_addresses_unless_said() -> None:
    given_ones = (
        spec.Subnet("10.1.0.0/24"),
        spec.Subnet("10.2.0.0/16", "10.2.255.254", "10.2.9.0/24"),
    )
    assert ipam.complete(given_ones, [], 0) == (
        spec.Subnet("10.1.0.0/24", "10.1.0.1", None),
        spec.Subnet("10.2.0.0/16", "10.2.255.254", "10.2.9.0/24"),
    )


@pytest.mark.parametrize("taken", ["10.1.0.0/16", "10.1.2.0/24", "10.1.2.64/26"])
def test_complete__subnet_overlaps_another__conflict_names_both(taken: str) -> None:
    with pytest.raises(errors.Conflict, match=f"10.1.2.0/24 overlaps {taken}") as caught:
        ipam.complete((spec.Subnet("10.1.2.0/24"),), [ipaddress.IPv4Network(taken)], 0)
    assert caught.value.reason == "SubnetInUse"


@given(st.lists(NETWORKS, max_size=20), st.integers(0, 0xFFFFF))
def test_complete__whatever_is_taken__the_choice_is_free(taken: list[ipaddress.IPv4Network], instance: int) -> None:
    (chosen,) = ipam.complete((), taken, instance)
    network = ipaddress.IPv4Network(chosen.subnet)
    assert not any(network.overlaps(one) for one in taken)
    assert network.prefixlen == 24
    assert chosen.gateway == str(network[1])


def test_address__nothing_given_out__is_the_first_behind_the_gateway() -> None:
    assert ipam.address([subnet("10.1.0.0/24")], [], None, None) == "10.1.0.2"
    assert ipam.address([subnet("10.1.0.0/24", "10.1.0.9")], [], None, None) == "10.1.0.1"


def test_address__one_was_given_back__is_not_given_out_at_once() -> None:
    taken = ["10.1.0.2", "10.1.0.4"]
    assert ipam.address([subnet("10.1.0.0/24")], taken, None, "10.1.0.4") == "10.1.0.5"


def test_address__end_of_the_subnet__comes_around_and_never_gives_network_or_broadcast() -> None:
    taken = ["10.1.0.2", "10.1.0.6"]
    assert ipam.address([subnet("10.1.0.0/29")], taken, None, "10.1.0.6") == "10.1.0.3"
    with pytest.raises(errors.Unavailable) as caught:
        ipam.address([subnet("10.1.0.0/29")], [f"10.1.0.{n}" for n in range(2, 7)], None, None)
    assert caught.value.reason == "AddressesExhausted"


def test_address__two_subnets__goes_on_in_the_second_before_it_comes_around() -> None:
    subnets = [subnet("10.1.0.0/30"), subnet("10.2.0.0/30")]
    assert ipam.address(subnets, [], None, "10.1.0.2") == "10.2.0.2"
    assert ipam.address(subnets, [], None, "10.2.0.2") == "10.1.0.2"
    assert ipam.address(subnets, ["10.2.0.2"], None, "10.1.0.2") == "10.1.0.2"


def test_address__range__is_kept_to_but_a_fixed_one_may_be_outside() -> None:
    ranged = [subnet("10.1.0.0/16", part="10.1.5.0/30")]
    assert ipam.address(ranged, [], None, None) == "10.1.5.1"
    assert ipam.address(ranged, ["10.1.5.1"], None, "10.1.77.1") == "10.1.5.2"
    assert ipam.address(ranged, [], "10.1.77.1", None) == "10.1.77.1"


def test_address__whole_class_a__is_found_without_listing_it() -> None:
    assert ipam.address([subnet("10.0.0.0/8")], [], None, "10.255.255.253") == "10.255.255.254"
    assert ipam.address([subnet("10.0.0.0/8")], [], None, "10.255.255.254") == "10.0.0.2"


@pytest.mark.parametrize("wanted", ["10.1.0.7", "10.1.0.1"])
def test_address__fixed_and_taken__conflict(wanted: str) -> None:
    with pytest.raises(errors.Conflict, match=wanted) as caught:
        ipam.address([subnet("10.1.0.0/24")], ["10.1.0.7"], wanted, None)
    assert caught.value.reason == "AddressInUse"


def test_address__fixed_and_outside__refused() -> None:
    with pytest.raises(errors.Refused) as caught:
        ipam.address([subnet("10.1.0.0/24")], [], "10.2.0.7", None)
    assert caught.value.reason == "AddressOutside"


@pytest.mark.parametrize("wanted", ["10.1.0.0", "10.1.0.255"])
def test_address__fixed_and_the_networks_own_or_broadcast__refused(wanted: str) -> None:
    with pytest.raises(errors.Refused) as caught:
        ipam.address([subnet("10.1.0.0/24")], [], wanted, None)
    assert caught.value.reason == "AddressOutside"


@given(st.data(), st.lists(NETWORKS, min_size=1, max_size=3, unique=True))
def test_addresses__given_out_until_all_are__are_distinct_inside_and_never_the_last_one_again(
    data: st.DataObject, networks: list[ipaddress.IPv4Network]
) -> None:
    subnets = [subnet(f"{network.network_address}/28") for network in networks]
    gateways = {one.gateway for one in subnets}
    taken: list[str] = []
    last = None
    for _ in range(40):
        if taken and data.draw(st.booleans()):
            taken.remove(data.draw(st.sampled_from(taken)))
        try:
            given_out = ipam.address(subnets, taken, None, last)
        except errors.Unavailable:
            assert len(taken) == 13 * len({one.subnet for one in subnets})
            return
        assert given_out not in taken
        assert given_out != last or len(taken) == 13 * len({one.subnet for one in subnets}) - 1
        assert given_out not in gateways
        assert any(ipaddress.IPv4Address(given_out) in ipaddress.IPv4Network(one.subnet) for one in subnets)
        taken.append(given_out)
        last = given_out


def test_hardware_address__of_an_address__is_local_unicast_and_made_from_it() -> None:
    assert ipam.hardware_address("10.89.0.255") == "02:42:0a:59:00:ff"


def test_prefix_and_gateway__of_several_subnets__are_those_that_the_address_is_in() -> None:
    subnets = [subnet("10.1.0.0/24"), subnet("10.2.0.0/16", "10.2.3.4")]
    assert (ipam.prefix(subnets, "10.1.0.9"), ipam.gateway(subnets, "10.1.0.9")) == (24, "10.1.0.1")
    assert (ipam.prefix(subnets, "10.2.9.9"), ipam.gateway(subnets, "10.2.9.9")) == (16, "10.2.3.4")
