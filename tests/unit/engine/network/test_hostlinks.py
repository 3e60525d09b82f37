"""The host's links as the kernel tells them, against what it lists."""

import os
import socket
from collections.abc import Iterator

import pytest

from agent.engine.network import hostlinks
from tests import networking

pytestmark = pytest.mark.root
NAME = f"ttl{os.getpid()}"


@pytest.fixture
def host() -> Iterator[hostlinks.HostLinks]:
    """Host links that listen to changes; the links of the test are removed."""
    links_of_host = hostlinks.HostLinks()
    links_of_host.listen()
    links_of_host.load()
    yield links_of_host
    links_of_host.close()
    for name in (NAME, f"{NAME}n", f"{NAME}b"):
        if name in dict(map(reversed, socket.if_nameindex())):
            networking.command("ip", "link", "delete", name)


def listed() -> hostlinks.HostLinks:
    """Return what a fresh list says."""
    links_of_host = hostlinks.HostLinks()
    links_of_host.load()
    return links_of_host


@pytest.mark.parametrize(
    "steps",
    [
        ["link add {n} type bridge"],
        ["link add {n} type bridge", "link set {n} up", "address add 10.231.0.1/24 dev {n}"],
        ["link add {n} type bridge", "address add 10.231.0.1/24 dev {n}", "address delete 10.231.0.1/24 dev {n}"],
        ["link add {n} type bridge", "link set {n} name {n}n"],
        ["link add {n} type bridge", "link set {n} mtu 1300"],
        ["link add {n} type bridge", "address add 10.231.0.1/24 dev {n}", "link delete {n}"],
        ["link add {n}b type bridge", "link add {n} type veth peer name {n}n", "link set {n} master {n}b"],
        [
            "link add {n}b type bridge",
            "link add {n} type veth peer name {n}n",
            "link set {n} master {n}b",
            "link set {n} nomaster",
        ],
    ],
)
def test_events__of_changes__lead_to_what_is_listed(host: hostlinks.HostLinks, steps: list[str]) -> None:
    for step in steps:
        networking.command("ip", *step.format(n=NAME).split())
    host.drain()
    fresh = listed()
    names = {name for name in (*host.links, *fresh.links) if name.startswith(NAME)}
    assert {name: host.links.get(name) for name in names} == {name: fresh.links.get(name) for name in names}
    indexes = {fresh.links[name].index for name in names if name in fresh.links}
    assert {index: host.addresses.get(index, set()) for index in indexes} == {
        index: fresh.addresses.get(index, set()) for index in indexes
    }
    assert host.is_complete


def test_asked__a_pair_whose_other_end_has_just_come_up__is_connected(host: hostlinks.HostLinks) -> None:
    networking.command("ip", "link", "add", NAME, "type", "veth", "peer", "name", f"{NAME}n")
    networking.command("ip", "link", "set", NAME, "up")
    host.drain()
    assert not host.links[NAME].is_connected
    networking.command("ip", "link", "set", f"{NAME}n", "up")
    assert host.asked(NAME).is_connected


def test_drain__more_was_told_than_was_listened_to__everything_is_listed_again(host: hostlinks.HostLinks) -> None:
    networking.command("ip", "link", "add", NAME, "type", "bridge")
    steps = "\n".join(f"link set {NAME} mtu {1000 + number % 2}" for number in range(20_000))
    with open("/dev/null", "w") as nowhere:  # noqa: PTH123 - a descriptor for a program
        networking.subprocess.run(["ip", "-batch", "-"], input=steps, text=True, check=True, stdout=nowhere)
    host.drain()
    assert not host.is_complete
    host.load()
    assert host.is_complete
    assert host.links[NAME] == listed().links[NAME]
