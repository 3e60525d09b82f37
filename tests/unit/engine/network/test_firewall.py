"""The ruleset, a pure function of a picture; and what nft and the kernel make of it."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from agent.engine import errors
from agent.engine.containers import spec as containers
from agent.engine.network import firewall, netfilter, spec
from agent.kit import processes

SHOP = spec.NetworkRecord(0, "ttx-0", spec.NetworkSpec("shop", (spec.Subnet("10.1.0.0/24", "10.1.0.1"),)))
BACK = spec.NetworkRecord(
    1, "ttx-1", spec.NetworkSpec("back", (spec.Subnet("10.2.0.0/16", "10.2.0.1"),), internal=True)
)
EVERYWHERE = firewall.Forwarding(containers.Port("0.0.0.0", 8080, 80, "tcp"), "10.1.0.5")
LOOPBACK = firewall.Forwarding(containers.Port("127.0.0.1", 5353, 53, "udp"), "10.1.0.6")


def said(*networks: spec.NetworkRecord, forwardings: tuple[firewall.Forwarding, ...] = ()) -> list[str]:
    """Give the rules in a short form: ``chain: expressions``."""
    commands = firewall.ruleset("t", firewall.Picture(networks, forwardings))
    rules = [command["add"]["rule"] for command in commands if "rule" in command.get("add", {})]
    return [f"{rule['chain']}: {' '.join(_expression(one) for one in rule['expr'])}" for rule in rules]


def _expression(one: dict[str, Any]) -> str:
    """Say an expression as nft would, nearly."""
    (kind, body), *_ = one.items()
    if kind == "match":
        operator = {"==": "", "in": "", "!=": "!="}[body["op"]]
        return f"{_value(body['left'])} {operator}{_value(body['right'])}"
    if kind == "dnat":
        return f"dnat {body['addr']}:{body['port']}"
    return str(kind)


def _value(one: Any) -> str:
    if not isinstance(one, dict):
        return str(one)
    (kind, body), *_ = one.items()
    if kind == "set":
        return "{" + ",".join(body) + "}"
    if kind == "prefix":
        return f"{body['addr']}/{body['len']}"
    if kind == "payload":
        return f"{body['protocol']}.{body['field']}"
    return f"{kind}.{body['flags'][0] if kind == 'fib' else body['key']}"


def test_ruleset__begins_with_replacing_the_table_and_its_chains() -> None:
    commands = firewall.ruleset("t", firewall.Picture((), ()))
    table = {"table": {"family": "inet", "name": "t"}}
    assert commands[:3] == [{"add": table}, {"delete": table}, {"add": table}]
    chains = [command["add"]["chain"] for command in commands[3:]]
    assert [(one["name"], one["type"], one["hook"], one["prio"]) for one in chains] == [
        ("guard", "filter", "prerouting", -300),
        ("publish", "nat", "prerouting", -100),
        ("publish-local", "nat", "output", -100),
        ("source", "nat", "postrouting", 100),
        ("forward", "filter", "forward", 0),
    ]
    assert {(one["family"], one["table"], one["policy"]) for one in chains} == {("inet", "t", "accept")}


def test_ruleset__a_network__lets_everything_out_and_only_answers_and_published_ports_in() -> None:
    assert said(SHOP) == [
        "guard: meta.iifname {ttx-0} ip.daddr 127.0.0.0/8 drop",
        "source: ip.saddr 10.1.0.0/24 meta.oifname !=ttx-0 masquerade",
        "source: ip.saddr 10.1.0.0/24 ip.daddr 10.1.0.0/24 ct.status dnat masquerade",
        "source: meta.oifname ttx-0 ip.saddr 127.0.0.0/8 masquerade",
        "forward: ct.state {established,related} accept",
        "forward: meta.iifname ttx-0 meta.oifname ttx-0 accept",
        "forward: meta.oifname {ttx-0} ct.status dnat accept",
        "forward: meta.oifname {ttx-0} drop",
    ]


def test_ruleset__an_internal_network_beside__is_not_masqueraded_and_nothing_passes_its_edge() -> None:
    assert said(BACK, SHOP) == [
        "guard: meta.iifname {ttx-0,ttx-1} ip.daddr 127.0.0.0/8 drop",
        "source: ip.saddr 10.2.0.0/16 ip.daddr 10.2.0.0/16 ct.status dnat masquerade",
        "source: meta.oifname ttx-1 ip.saddr 127.0.0.0/8 masquerade",
        "source: ip.saddr 10.1.0.0/24 meta.oifname !=ttx-0 masquerade",
        "source: ip.saddr 10.1.0.0/24 ip.daddr 10.1.0.0/24 ct.status dnat masquerade",
        "source: meta.oifname ttx-0 ip.saddr 127.0.0.0/8 masquerade",
        "forward: ct.state {established,related} accept",
        "forward: meta.iifname ttx-1 meta.oifname ttx-1 accept",
        "forward: meta.iifname ttx-1 drop",
        "forward: meta.oifname ttx-1 drop",
        "forward: meta.iifname ttx-0 meta.oifname ttx-0 accept",
        "forward: meta.oifname {ttx-0,ttx-1} ct.status dnat accept",
        "forward: meta.oifname {ttx-0,ttx-1} drop",
    ]


def test_ruleset__published_ports__are_translated_for_others_and_for_the_host_itself() -> None:
    rules = [rule for rule in said(SHOP, forwardings=(EVERYWHERE, LOOPBACK)) if rule.startswith("publish")]
    assert rules == [
        "publish: meta.nfproto ipv4 fib.daddr local tcp.dport 8080 dnat 10.1.0.5:80",
        "publish-local: meta.nfproto ipv4 fib.daddr local tcp.dport 8080 dnat 10.1.0.5:80",
        "publish: meta.nfproto ipv4 ip.daddr 127.0.0.1 udp.dport 5353 dnat 10.1.0.6:53",
        "publish-local: meta.nfproto ipv4 ip.daddr 127.0.0.1 udp.dport 5353 dnat 10.1.0.6:53",
    ]


def test_ruleset__of_one_picture__is_the_same_text_each_time() -> None:
    picture = firewall.Picture((BACK, SHOP), (EVERYWHERE,))
    assert json.dumps(firewall.ruleset("t", picture)) == json.dumps(firewall.ruleset("t", picture))


@pytest.mark.root
@pytest.mark.parametrize("networks", [(), (SHOP,), (BACK, SHOP)])
def test_ruleset__whatever_the_picture__is_accepted_by_nft(networks: tuple[spec.NetworkRecord, ...]) -> None:
    picture = firewall.Picture(networks, (EVERYWHERE, LOOPBACK) if networks else ())
    document = {"nftables": firewall.ruleset(f"trimtab-test-{os.getpid()}", picture)}
    completed = subprocess.run(
        ["nft", "-c", "-j", "-f", "-"], input=json.dumps(document), text=True, capture_output=True, check=False
    )
    assert (completed.returncode, completed.stderr) == (0, "")


@pytest.fixture
def name() -> Iterator[str]:
    """A table's name; afterwards there is none of it."""
    made = f"trimtab-test-{os.getpid()}"
    yield made
    subprocess.run(["nft", "delete", "table", "inet", made], capture_output=True, check=False)


@pytest.fixture
async def stranger(name: str) -> AsyncIterator[str]:
    """Somebody else's table."""
    await processes.run(["nft", "add", "table", "inet", f"{name}-other"])
    yield f"{name}-other"
    await processes.run(["nft", "delete", "table", "inet", f"{name}-other"])


@pytest.mark.root
async def test_apply__replaces_the_whole_table_and_no_other(name: str, stranger: str) -> None:
    networks = [SHOP, BACK]
    wall = firewall.Firewall(name, lambda: firewall.Picture(tuple(networks), (EVERYWHERE,)))
    assert not wall.present()
    await wall.apply()
    assert wall.present()
    first = listed(name)
    assert 'iifname { "ttx-0", "ttx-1" } ip daddr 127.0.0.0/8 drop' in first
    subprocess.run(["nft", "add", "rule", "inet", name, "forward", "drop"], check=True)
    assert listed(name) != first
    await wall.apply()
    assert listed(name) == first
    networks.pop()
    await wall.apply()
    assert "ttx-1" not in listed(name)
    await wall.remove()
    assert not wall.present()
    assert netfilter.table_there(stranger)


@pytest.mark.root
async def test_remove__no_table__is_no_failure(name: str) -> None:
    wall = firewall.Firewall(name, lambda: firewall.Picture((), ()))
    await wall.remove()
    assert not wall.present()


@pytest.mark.root
async def test_apply__asked_for_together__shares_transactions_and_all_see_the_last_picture(name: str) -> None:
    networks: list[spec.NetworkRecord] = []
    looks = 0

    def picture() -> firewall.Picture:
        nonlocal looks
        looks += 1
        return firewall.Picture(tuple(networks), ())

    async def change(record: spec.NetworkRecord) -> None:
        networks.append(record)
        await wall.apply()
        assert record.bridge in listed(name)

    wall = firewall.Firewall(name, picture)
    numbers = range(10)
    await asyncio.gather(*(change(spec.NetworkRecord(n, f"ttx-{n}", SHOP.spec)) for n in numbers))
    assert looks == 2, "one for the first, and one for all that came while it was made"


@pytest.mark.root
async def test_apply__nft_refuses__is_unavailable_and_the_former_table_stays(name: str) -> None:
    bridges = [SHOP]
    wall = firewall.Firewall(name, lambda: firewall.Picture(tuple(bridges), ()))
    await wall.apply()
    before = listed(name)
    bridges.append(spec.NetworkRecord(1, "a-name-longer-than-any-link-has", SHOP.spec))
    with pytest.raises(errors.Unavailable, match="nft refuses the firewall") as caught:
        await wall.apply()
    assert caught.value.reason == "FirewallFailed"
    assert listed(name) == before
    bridges.pop()
    await wall.apply()
    assert listed(name) == before


def listed(name: str) -> str:
    """Give the table as nft lists it."""
    return subprocess.run(["nft", "list", "table", "inet", name], check=True, text=True, capture_output=True).stdout
