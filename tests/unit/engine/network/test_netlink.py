"""Netlink messages, read back by pyroute2's own decoder, and what the kernel makes of them."""

import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from agent.engine.network import links, netlink

REQUEST_AND_ACK = 0x5
CREATE, EXCLUSIVE, REPLACE = 0x400, 0x200, 0x100
UP = 1
ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
tun0\t00000000\t01000A0A\t0003\t0\t0\t0\t00000080\t0\t0\t0
tun0\t00000080\t01000A0A\t0003\t0\t0\t0\t00000080\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
tun0\t0000000A\t01000A0A\t0003\t0\t0\t0\t000000FF\t0\t0\t0
"""


def decoded(message: netlink.Message, kind: type[Any]) -> Any:
    """Send a message over no wire: what is encoded, decoded."""
    message["header"]["sequence_number"] = 7
    message.encode()
    read = kind(bytes(message.data))
    read.decode()
    return read


def test_bridge__encoded__asks_for_a_new_link_that_is_down_until_its_settings_are_made() -> None:
    read = decoded(netlink.bridge("tt0-0", 1400), ifinfmsg)
    assert read["header"]["type"] == 16
    assert read["header"]["flags"] == REQUEST_AND_ACK | CREATE | EXCLUSIVE
    assert (read["flags"], read["change"]) == (0, 0)
    assert (read.get_attr("IFLA_IFNAME"), read.get_attr("IFLA_MTU")) == ("tt0-0", 1400)
    assert read.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") == "bridge"


def test_bridge__no_mtu__says_none() -> None:
    assert decoded(netlink.bridge("tt0-0", None), ifinfmsg).get_attr("IFLA_MTU") is None


def test_veth__encoded__has_one_end_on_the_bridge_and_the_other_in_the_namespace() -> None:
    read = decoded(netlink.veth("v0", 12, "eth1", 34, ("02:42:0a:01:00:02", 1400)), ifinfmsg)
    assert read["header"]["flags"] == REQUEST_AND_ACK | CREATE | EXCLUSIVE
    assert (read["flags"], read["change"]) == (UP, UP)
    assert [read.get_attr(name) for name in ("IFLA_IFNAME", "IFLA_MASTER", "IFLA_MTU")] == ["v0", 12, 1400]
    peer = read.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA", "VETH_INFO_PEER")
    names = ("IFLA_IFNAME", "IFLA_ADDRESS", "IFLA_NET_NS_FD", "IFLA_MTU")
    assert [peer.get_attr(name) for name in names] == ["eth1", "02:42:0a:01:00:02", 34, 1400]


def test_link_messages__encoded__name_their_link() -> None:
    up = decoded(netlink.link_up(5), ifinfmsg)
    assert (up["index"], up["flags"], up["change"], up["header"]["type"]) == (5, UP, UP, 16)
    moved = decoded(netlink.set_master(5, 6), ifinfmsg)
    assert (moved["index"], moved["change"], moved.get_attr("IFLA_MASTER")) == (5, 0, 6)
    grouped = decoded(netlink.set_group(5, 1 << 30), ifinfmsg)
    assert (grouped["index"], grouped["header"]["type"], grouped.get_attr("IFLA_GROUP")) == (5, 16, 1 << 30)
    deleted = decoded(netlink.delete_group(1 << 30), ifinfmsg)
    assert (deleted["index"], deleted["header"]["type"], deleted.get_attr("IFLA_GROUP")) == (0, 17, 1 << 30)
    turned = decoded(netlink.hairpin("v0"), ifinfmsg)
    assert turned.get_attr("IFLA_IFNAME") == "v0"
    assert turned.get_nested("IFLA_LINKINFO", "IFLA_INFO_SLAVE_KIND") == "bridge"
    assert turned.get_nested("IFLA_LINKINFO", "IFLA_INFO_SLAVE_DATA", "IFLA_BRPORT_MODE") == 1
    for read in (up, moved, grouped, deleted, turned):
        assert read["header"]["flags"] == REQUEST_AND_ACK


def test_address__encoded__replaces_and_has_no_peer() -> None:
    read = decoded(netlink.address(5, ipaddress.ip_address("10.1.0.2"), 24), ifaddrmsg)
    assert (read["header"]["type"], read["header"]["flags"]) == (20, REQUEST_AND_ACK | CREATE | REPLACE)
    assert (read["family"], read["prefixlen"], read["index"]) == (socket.AF_INET, 24, 5)
    assert (read.get_attr("IFA_LOCAL"), read.get_attr("IFA_ADDRESS")) == ("10.1.0.2", "10.1.0.2")


def test_address_and_default_route__of_ipv6__are_of_that_family() -> None:
    value = ipaddress.ip_address("fd00::2")
    for read in (decoded(netlink.address(5, value, 64), ifaddrmsg), decoded(netlink.default_route(value), rtmsg)):
        assert read["family"] == socket.AF_INET6
        assert "fd00::2" in {read.get_attr("IFA_LOCAL"), read.get_attr("RTA_GATEWAY")}


def test_default_route__encoded__replaces_the_one_of_the_main_table() -> None:
    read = decoded(netlink.default_route(ipaddress.ip_address("10.1.0.1")), rtmsg)
    assert (read["header"]["type"], read["header"]["flags"]) == (24, REQUEST_AND_ACK | CREATE | REPLACE)
    assert (read["family"], read["dst_len"], read["table"], read["type"]) == (socket.AF_INET, 0, 254, 1)
    assert (read.get_attr("RTA_GATEWAY"), read.get_attr("RTA_DST")) == ("10.1.0.1", None)


@given(st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=40), max_size=8), st.binary(max_size=8))
def test_attributes__any_put_together__are_split_again(attributes: dict[int, bytes], ahead: bytes) -> None:
    data = ahead
    for kind, body in attributes.items():
        data += struct.pack("=HH", 4 + len(body), kind | 0x8000) + body + b"\0" * (-len(body) % 4)
    assert netlink.attributes(data, len(ahead)) == attributes


@given(st.binary(max_size=64))
def test_attributes__of_anything__come_to_an_end(data: bytes) -> None:
    assert all(len(body) <= len(data) for body in netlink.attributes(data).values())


def test_routes__of_a_host__have_links_and_networks() -> None:
    assert [(link, str(network)) for link, network in links.routes(ROUTES)] == [
        ("eth0", "0.0.0.0/0"),
        ("tun0", "0.0.0.0/1"),
        ("tun0", "128.0.0.0/1"),
        ("eth0", "192.168.1.0/24"),
        ("tun0", "10.0.0.0/8"),
    ]


def test_host_networks__halves_of_everything__are_a_way_out_and_no_network(tmp_path, monkeypatch) -> None:
    (tmp_path / "route").write_text(ROUTES)
    monkeypatch.setattr(links, "_ROUTES", tmp_path / "route")
    assert [str(host_network) for host_network in links.networks()] == ["192.168.1.0/24", "10.0.0.0/8"]


@pytest.fixture
def name() -> Iterator[str]:
    """A bridge's name; afterwards it is gone."""
    table_name = f"ttt{os.getpid()}"
    yield table_name
    links.delete([table_name])


@pytest.mark.root
def test_perform__bridge_made_and_deleted__is_a_link_between(name: str) -> None:
    with netlink.Netlink() as host:
        assert name not in host.links()
        host.perform([netlink.bridge(name, 1400)])
        assert host.links()[name] == socket.if_nametoindex(name)
        assert host.links()["lo"] == 1
        links.delete([name])
        assert name not in host.links()


@pytest.mark.root
def test_delete__many_links_and_one_that_is_missing__removes_all_of_them_and_no_other(name: str) -> None:
    names = [f"{name}{number}" for number in range(3)]
    with netlink.Netlink() as host:
        host.perform([netlink.bridge(link, None) for link in (name, *names)])
        links.delete([names[0], "no-such-link", *names[1:]])
        present = host.links()
    assert name in present
    assert not present.keys() & set(names)


@pytest.mark.root
def test_perform__one_of_a_batch_fails__raises_and_the_others_are_done(name: str) -> None:
    with netlink.Netlink() as host:
        with pytest.raises(OSError, match="netlink") as caught:
            host.perform([netlink.link_up(999999), netlink.bridge(name, None)])
        assert caught.value.errno == errno.ENODEV
        assert name in host.links()
        with pytest.raises(FileExistsError):
            host.perform([netlink.bridge(name, None)])


@pytest.mark.root
def test_absent_is_fine__link_is_gone__does_not_raise_and_passes_everything_else() -> None:
    with netlink.Netlink() as host, netlink.absent_is_fine():
        host.perform([netlink.link_up(999999)])
    with netlink.Netlink() as host, pytest.raises(OSError, match="netlink"), netlink.absent_is_fine():
        host.perform([netlink.bridge("a-name-longer-than-any", None)])
