"""Which subnet, which address."""

import ipaddress
from collections.abc import Collection, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import errors
from agent.engine.network import ipam
from agent.engine.spec import network as network_spec
from tests import addressing

NETWORKS = st.builds(
    lambda number, prefix: ipaddress.IPv4Network((number >> (32 - prefix) << (32 - prefix), prefix)),
    st.integers(0x0A000000, 0x0AFFFFFF),
    st.integers(12, 28),
)


def subnet(network: str, gateway: str | None = None, part: str | None = None) -> network_spec.Subnet:
    """Return a subnet with its gateway."""
    return addressing.subnet(network, gateway or str(ipaddress.IPv4Network(network)[1]), part)


def address(subnets: Iterable[network_spec.Subnet], taken: Iterable[str], fixed: str | None, last: str | None) -> str:
    """Choose an address."""
    pool = ipam.Addresses(subnets, map(ipaddress.ip_address, taken), ipaddress.ip_address(last) if last else None)
    return str(pool.choose(ipaddress.ip_address(fixed) if fixed else None))


def complete(
    subnets: tuple[network_spec.Subnet, ...], taken: Collection[network_spec.Range], instance: int
) -> tuple[network_spec.Subnet, ...]:
    """Complete a network's subnets."""
    return ipam.complete(network_spec.NetworkSpec("shop", subnets), taken, instance).subnets


def test_complete__nothing_said__chooses_the_first_free_subnet_with_room_for_more_than_a_bridge_takes() -> None:
    assert complete((), [], 0) == (addressing.subnet("10.89.0.0/20", "10.89.0.1", None),)
    taken = [ipaddress.IPv4Network("10.89.0.0/19"), ipaddress.IPv4Network("10.89.32.128/25")]
    assert complete((), taken, 0) == (addressing.subnet("10.89.48.0/20", "10.89.48.1", None),)


def test_complete__other_instance__begins_elsewhere_and_comes_around() -> None:
    assert complete((), [], 0x11)[0].subnet == ipaddress.IPv4Network("10.90.16.0/20")
    last = 160 * 16 - 1
    assert complete((), [], last)[0].subnet == ipaddress.IPv4Network("10.248.240.0/20")
    assert complete((), [ipaddress.IPv4Network("10.248.240.0/20")], last)[0].subnet == ipaddress.IPv4Network(
        "10.89.0.0/20"
    )


def test_complete__routes_lead_all_of_ten_elsewhere__chooses_from_the_rest_of_what_is_private() -> None:
    assert complete((), [ipaddress.IPv4Network("10.0.0.0/8")], 0)[0].subnet == ipaddress.IPv4Network("172.20.0.0/20")
    taken = [ipaddress.IPv4Network("10.0.0.0/8"), ipaddress.IPv4Network("172.16.0.0/12")]
    assert complete((), taken, 1)[0].subnet == ipaddress.IPv4Network("192.168.16.0/20")


def test_complete__all_is_taken__is_unavailable() -> None:
    private = [ipaddress.IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
    with pytest.raises(errors.Unavailable) as caught:
        complete((), private, 5)
    assert caught.value.reason == "SubnetsExhausted"


def test_complete__subnets_given__gateways_are_their_first_addresses_unless_said() -> None:
    given_ones = (
        addressing.subnet("10.1.0.0/24"),
        addressing.subnet("10.2.0.0/16", "10.2.255.254", "10.2.9.0/24"),
    )
    assert complete(given_ones, [], 0) == (
        addressing.subnet("10.1.0.0/24", "10.1.0.1", None),
        addressing.subnet("10.2.0.0/16", "10.2.255.254", "10.2.9.0/24"),
    )


@pytest.mark.parametrize("taken", ["10.1.0.0/16", "10.1.2.0/24", "10.1.2.64/26"])
def test_complete__subnet_overlaps_another__conflict_names_both(taken: str) -> None:
    with pytest.raises(errors.Conflict, match=f"10.1.2.0/24 overlaps {taken}") as caught:
        complete((addressing.subnet("10.1.2.0/24"),), [ipaddress.IPv4Network(taken)], 0)
    assert caught.value.reason == "SubnetInUse"


@given(st.lists(NETWORKS, max_size=20), st.integers(0, 0xFFFFF))
def test_complete__whatever_is_taken__the_choice_is_free(taken: list[ipaddress.IPv4Network], instance: int) -> None:
    (chosen,) = complete((), taken, instance)
    network = chosen.subnet
    assert not any(network.overlaps(subnet_taken) for subnet_taken in taken)
    assert network.prefixlen == 20
    assert chosen.gateway == network[1]


def test_address__nothing_given_out__is_the_first_behind_the_gateway() -> None:
    assert address([subnet("10.1.0.0/24")], [], None, None) == "10.1.0.2"
    assert address([subnet("10.1.0.0/24", "10.1.0.9")], [], None, None) == "10.1.0.1"


def test_address__one_was_given_back__is_not_given_out_at_once() -> None:
    taken = ["10.1.0.2", "10.1.0.4"]
    assert address([subnet("10.1.0.0/24")], taken, None, "10.1.0.4") == "10.1.0.5"


def test_address__end_of_the_subnet__comes_around_and_never_gives_network_or_broadcast() -> None:
    taken = ["10.1.0.2", "10.1.0.6"]
    assert address([subnet("10.1.0.0/29")], taken, None, "10.1.0.6") == "10.1.0.3"
    with pytest.raises(errors.Unavailable) as caught:
        address([subnet("10.1.0.0/29")], [f"10.1.0.{n}" for n in range(2, 7)], None, None)
    assert caught.value.reason == "AddressesExhausted"


def test_address__two_subnets__goes_on_in_the_second_before_it_comes_around() -> None:
    subnets = [subnet("10.1.0.0/30"), subnet("10.2.0.0/30")]
    assert address(subnets, [], None, "10.1.0.2") == "10.2.0.2"
    assert address(subnets, [], None, "10.2.0.2") == "10.1.0.2"
    assert address(subnets, ["10.2.0.2"], None, "10.1.0.2") == "10.1.0.2"


def test_address__range__is_kept_to_but_a_fixed_one_may_be_outside() -> None:
    ranged = [subnet("10.1.0.0/16", part="10.1.5.0/30")]
    assert address(ranged, [], None, None) == "10.1.5.1"
    assert address(ranged, ["10.1.5.1"], None, "10.1.77.1") == "10.1.5.2"
    assert address(ranged, [], "10.1.77.1", None) == "10.1.77.1"


def test_address__whole_class_a__is_found_without_listing_it() -> None:
    assert address([subnet("10.0.0.0/8")], [], None, "10.255.255.253") == "10.255.255.254"
    assert address([subnet("10.0.0.0/8")], [], None, "10.255.255.254") == "10.0.0.2"


@pytest.mark.parametrize("requested", ["10.1.0.7", "10.1.0.1"])
def test_address__fixed_and_taken__conflict(requested: str) -> None:
    with pytest.raises(errors.Conflict, match=requested) as caught:
        address([subnet("10.1.0.0/24")], ["10.1.0.7"], requested, None)
    assert caught.value.reason == "AddressInUse"


def test_address__fixed_and_outside__refused() -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        address([subnet("10.1.0.0/24")], [], "10.2.0.7", None)
    assert caught.value.reason == "AddressOutside"


@pytest.mark.parametrize("requested", ["10.1.0.0", "10.1.0.255"])
def test_address__fixed_and_the_networks_own_or_broadcast__refused(requested: str) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        address([subnet("10.1.0.0/24")], [], requested, None)
    assert caught.value.reason == "AddressOutside"


@given(st.data(), st.lists(NETWORKS, min_size=1, max_size=3, unique=True))
def test_addresses__given_out_until_all_are__are_distinct_inside_and_never_the_last_one_again(
    data: st.DataObject, networks: list[ipaddress.IPv4Network]
) -> None:
    subnets = [subnet(f"{network.network_address}/28") for network in networks]
    gateways = {str(subnet.gateway) for subnet in subnets}
    taken: list[str] = []
    last = None
    for _ in range(40):
        if taken and data.draw(st.booleans()):
            taken.remove(data.draw(st.sampled_from(taken)))
        try:
            given_out = address(subnets, taken, None, last)
        except errors.Unavailable:
            assert len(taken) == 13 * len({subnet.subnet for subnet in subnets})
            return
        assert given_out not in taken
        assert given_out != last or len(taken) == 13 * len({subnet.subnet for subnet in subnets}) - 1
        assert given_out not in gateways
        assert any(ipaddress.IPv4Address(given_out) in subnet.subnet for subnet in subnets)
        taken.append(given_out)
        last = given_out


def test_hardware_address__of_an_address__is_local_unicast_and_made_from_it() -> None:
    assert ipam.hardware_address([ipaddress.IPv4Address("10.89.0.255")]) == "02:42:0a:59:00:ff"


def test_prefix_and_gateway__of_several_subnets__are_those_that_the_address_is_in() -> None:
    subnets = [subnet("10.1.0.0/24"), subnet("10.2.0.0/16", "10.2.3.4")]
    inside = ipaddress.IPv4Address("10.1.0.9")
    assert (ipam.prefix(subnets, inside), str(ipam.gateway(subnets, [inside]))) == (24, "10.1.0.1")
    inside = ipaddress.IPv4Address("10.2.9.9")
    assert (ipam.prefix(subnets, inside), str(ipam.gateway(subnets, [inside]))) == (16, "10.2.3.4")


def test_prefix_and_gateway__of_an_address_in_no_subnet__are_its_own_length_and_none() -> None:
    for text, length in (("10.3.0.1", 32), ("fd00::1", 128)):
        outside = ipaddress.ip_address(text)
        assert ipam.prefix([subnet("10.1.0.0/24")], outside) == length
        assert ipam.gateway([subnet("10.1.0.0/24")], [outside]) is None


def test_addresses__of_ipv6__are_none_of_its_own() -> None:
    pool = ipam.Addresses([subnet("10.1.0.0/24")], [ipaddress.ip_address("fd00::2")], None)
    pool.take([ipaddress.ip_address("::10.1.0.2")])
    assert str(pool.choose(None)) == "10.1.0.2"
    with pytest.raises(errors.InvalidArgument) as caught:
        pool.choose(ipaddress.ip_address("::10.1.0.9"))
    assert caught.value.reason == "AddressOutside"


def test_complete__subnet_of_ipv6__is_refused() -> None:
    with pytest.raises(errors.InvalidArgument, match="fd00::/64: its driver has IPv4 only"):
        complete((addressing.subnet("fd00::/64"),), [], 0)
