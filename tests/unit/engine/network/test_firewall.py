"""The ruleset, a pure function of networks and ports; and what nft and the kernel make of it."""

import asyncio
import ipaddress
import os
import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest

from agent import errors
from agent.engine.network import firewall, netfilter, ruleset
from agent.engine.spec import network as network_spec
from agent.kit import processes
from tests import addressing, networking

SHOP = network_spec.NetworkRecord(
    0, "ttx-0", network_spec.NetworkSpec("shop", (addressing.subnet("10.1.0.0/24", "10.1.0.1"),))
)
BACK = network_spec.NetworkRecord(
    1, "ttx-1", network_spec.NetworkSpec("back", (addressing.subnet("10.2.0.0/16", "10.2.0.1"),), internal=True)
)
EVERYWHERE = ruleset.Forwarding(addressing.port("0.0.0.0", 8080, 80, "tcp"), ipaddress.IPv4Address("10.1.0.5"))
LOOPBACK = ruleset.Forwarding(addressing.port("127.0.0.1", 5353, 53, "udp"), ipaddress.IPv4Address("10.1.0.6"))
Ports = dict[str, tuple[ruleset.Forwarding, ...]]


def rules(*networks: network_spec.NetworkRecord, chain: str, routed: tuple[str, ...] = ()) -> list[str]:
    """Return the rules of a chain."""
    text = ruleset.replacement("t", networks, (), routed)
    body = text.partition(f"\tchain {chain} {{\n")[2].partition("\n\t}\n")[0]
    return [line.strip() for line in body.splitlines()[1:]]


def test_replacement__begins_with_replacing_the_table_and_every_chain_accepts_what_no_rule_drops() -> None:
    lines = ruleset.replacement("t", (), (), ()).splitlines()
    assert lines[:3] == ["table inet t", "delete table inet t", "table inet t {"]
    assert [line.strip() for line in lines if "type filter" in line or "type nat" in line] == [
        "type filter hook prerouting priority -300; policy accept;",
        "type nat hook prerouting priority -100; policy accept;",
        "type nat hook output priority -100; policy accept;",
        "type nat hook postrouting priority 100; policy accept;",
        "type filter hook input priority 0; policy accept;",
        "type filter hook forward priority 0; policy accept;",
    ]


def test_replacement__a_network__lets_everything_out_and_only_answers_and_published_ports_in() -> None:
    assert rules(SHOP, chain="source") == [
        'ip saddr 10.1.0.0/24 oifname != "ttx-0" masquerade',
        "ip saddr 10.1.0.0/24 ip daddr 10.1.0.0/24 ct status dnat masquerade",
        'oifname "ttx-0" ip saddr 127.0.0.0/8 masquerade',
    ]
    assert rules(SHOP, chain="forward") == [
        "ct state established,related accept",
        'iifname "ttx-0" oifname "ttx-0" accept',
        "oifname @bridges ct status dnat accept",
        "oifname @bridges drop",
    ]


def test_replacement__an_internal_network_beside__is_not_masqueraded_and_nothing_passes_its_edge() -> None:
    assert 'ip saddr 10.2.0.0/16 oifname != "ttx-1" masquerade' not in rules(BACK, SHOP, chain="source")
    assert rules(BACK, SHOP, chain="forward") == [
        "ct state established,related accept",
        'iifname "ttx-1" oifname "ttx-1" accept',
        'iifname "ttx-1" drop',
        'oifname "ttx-1" drop',
        'iifname "ttx-0" oifname "ttx-0" accept',
        "oifname @bridges ct status dnat accept",
        "oifname @bridges drop",
    ]


def test_replacement__forwarding_was_turned_on_by_us__lets_nobody_use_the_host_as_a_router() -> None:
    assert rules(SHOP, chain="forward", routed=("eth0",))[-3:] == [
        "iifname @bridges accept",
        "iifname @routed ct status dnat accept",
        "iifname @routed drop",
    ]


def test_replacement__published_on_loopback__is_led_on_for_the_host_itself_only() -> None:
    assert rules(SHOP, chain="publish") == ["ip daddr 127.0.0.0/8 return", *rules(SHOP, chain="publish-local")]


def test_element__of_a_port__has_its_address_unless_that_is_every_one() -> None:
    assert ruleset.element(EVERYWHERE) == ruleset.Element("everywhere", "tcp . 8080", "10.1.0.5 . 80")
    assert ruleset.element(LOOPBACK) == ruleset.Element("addressed", "127.0.0.1 . udp . 5353", "10.1.0.6 . 53")


@pytest.mark.root
@pytest.mark.parametrize("networks", [(), (SHOP,), (BACK, SHOP)])
@pytest.mark.parametrize("routed", [(), ("eth0", "wlan0")])
def test_replacement__whatever_it_is_made_from__is_accepted_by_nft(
    networks: tuple[network_spec.NetworkRecord, ...], routed: tuple[str, ...]
) -> None:
    ports = (EVERYWHERE, LOOPBACK) if networks else ()
    text = ruleset.replacement(f"trimtab-test-{os.getpid()}", networks, ports, routed)
    completed = subprocess.run(["nft", "-c", "-f", "-"], input=text, text=True, capture_output=True, check=False)
    assert (completed.returncode, completed.stderr) == (0, "")


def keeper(name: str, networks: list[network_spec.NetworkRecord], ports: Ports) -> firewall.Firewall:
    """Return a keeper of a table that is made from what is in a list and a dictionary at the time."""
    return firewall.Firewall(
        name, lambda: firewall.RulesetInput(tuple(networks), ports), lambda container_id: ports.get(container_id, ())
    )


@pytest.fixture
def name() -> Iterator[str]:
    """A table's name; afterwards there is none of it."""
    table_name = f"trimtab-test-{os.getpid()}"
    yield table_name
    subprocess.run(["nft", "delete", "table", "inet", table_name], capture_output=True, check=False)


@pytest.fixture
async def stranger(name: str) -> AsyncIterator[str]:
    """A firewall table that is not ours."""
    await processes.run(["nft", "add", "table", "inet", f"{name}-other"])
    yield f"{name}-other"
    await processes.run(["nft", "delete", "table", "inet", f"{name}-other"])


@pytest.mark.root
async def test_apply__replaces_the_whole_table_and_no_other(name: str, stranger: str) -> None:
    networks = [SHOP, BACK]
    wall = keeper(name, networks, {"c1": (EVERYWHERE,)})
    assert not wall.present()
    await wall.apply()
    assert wall.present()
    first = listed(name)
    assert "tcp . 8080 : 10.1.0.5 . 80" in first
    subprocess.run(["nft", "add", "rule", "inet", name, "forward", "drop"], check=True)
    assert listed(name) != first
    await wall.apply()
    assert listed(name) == first
    networks.pop()
    await wall.apply()
    assert "ttx-1" not in listed(name)
    await wall.remove()
    assert not wall.present()
    assert netfilter.has_table(stranger)


@pytest.mark.root
async def test_remove__no_table__is_no_failure(name: str) -> None:
    wall = keeper(name, [], {})
    await wall.remove()
    assert not wall.present()


@pytest.mark.root
async def test_apply__asked_for_together__shares_transactions_and_all_see_the_last_input(name: str) -> None:
    networks: list[network_spec.NetworkRecord] = []
    wall = keeper(name, networks, {})
    await wall.apply()
    before = netfilter.generation()

    async def change(record: network_spec.NetworkRecord) -> None:
        networks.append(record)
        await wall.apply()
        assert record.bridge in listed(name)

    numbers = range(10)
    await asyncio.gather(*(change(network_spec.NetworkRecord(n, f"ttx-{n}", SHOP.spec)) for n in numbers))
    after = netfilter.generation()
    assert before is not None
    assert after is not None
    assert after - before <= 2, "one for the first, and one for all that came while it was made"


@pytest.mark.root
async def test_update__a_containers_ports__are_put_in_and_taken_out_and_nothing_else_is_touched(name: str) -> None:
    ports: Ports = {}
    wall = keeper(name, [SHOP], ports)
    await wall.apply()
    before = netfilter.generation()
    assert before is not None
    ports["c1"] = (EVERYWHERE, LOOPBACK)
    await wall.update("c1")
    assert netfilter.generation() == before + 1
    assert "127.0.0.1 . udp . 5353 : 10.1.0.6 . 53" in listed(name)
    ports["c2"] = ports.pop("c1")  # another container takes the very ports
    await asyncio.gather(wall.update("c2"), wall.update("c1"))
    assert netfilter.generation() == before + 1, "it is the same forwarding"
    del ports["c2"]
    await wall.update("c2")
    assert "10.1.0.6" not in listed(name)
    assert await wall.is_intact()
    assert netfilter.generation() == before + 2


@pytest.mark.root
@pytest.mark.parametrize(
    "harm",
    [
        "flush ruleset",
        "flush table inet {}",
        "flush chain inet {} publish",
        "flush chain inet {} guard",
        "flush map inet {} everywhere",
        "flush set inet {} bridges",
        "add rule inet {} forward drop",
        "insert rule inet {} input accept",
        "add element inet {} everywhere {{ tcp . 2222 : 10.1.0.5 . 22 }}",
        "add chain inet {} forward {{ policy drop; }}",
        "delete table inet {}",
    ],
)
async def test_is_intact__somebody_changed_the_table__is_noticed_and_the_next_update_mends_it(
    name: str, harm: str
) -> None:
    with networking.own_network():
        await assert_noticed_and_mended(name, harm)


async def assert_noticed_and_mended(name: str, harm: str) -> None:
    wall = keeper(name, [SHOP, BACK], {"c1": (EVERYWHERE, LOOPBACK)})
    await wall.apply()
    assert await wall.is_intact()
    first = listed(name)
    subprocess.run(["nft", harm.format(name)], check=True)
    assert not await wall.is_intact()
    await wall.update("c2")
    assert await wall.is_intact()
    assert listed(name) == first


@pytest.mark.root
async def test_is_intact__somebody_changed_another_table__it_is_compared_once_and_stays(
    name: str, stranger: str
) -> None:
    wall = keeper(name, [SHOP, BACK], {"c1": (EVERYWHERE, LOOPBACK)})
    await wall.apply()
    before = netfilter.generation()
    subprocess.run(["nft", "add", "chain", "inet", stranger, "any"], check=True)
    assert netfilter.generation() != before
    assert await wall.is_intact()


@pytest.mark.root
async def test_apply__nft_refuses__is_unavailable_and_the_former_table_stays(name: str) -> None:
    networks = [SHOP]
    wall = keeper(name, networks, {})
    await wall.apply()
    before = listed(name)
    networks.append(network_spec.NetworkRecord(1, "a-name-longer-than-any-link-has", SHOP.spec))
    with pytest.raises(errors.Unavailable, match="nft refuses the firewall") as caught:
        await wall.apply()
    assert caught.value.reason == "FirewallFailed"
    assert listed(name) == before
    networks.pop()
    await wall.apply()
    assert listed(name) == before


def listed(name: str) -> str:
    """Return the table as nft lists it."""
    return subprocess.run(["nft", "list", "table", "inet", name], check=True, text=True, capture_output=True).stdout
