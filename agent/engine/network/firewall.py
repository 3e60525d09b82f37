"""The instance's one nft table: a pure function of the records, replaced whole in one transaction.

So no rule can be left behind, and a table that somebody changed is right again at the next change. Other tables,
Docker's for example, are never touched.
"""

import asyncio
import contextlib
import dataclasses
import json
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from agent.engine import errors
from agent.engine.containers import spec as containers
from agent.engine.network import netfilter, spec
from agent.kit import failpoint, processes

_APPLY = failpoint.register("network.firewall")

Json = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Forwarding:
    """A published port and the container's address behind it."""

    port: containers.Port
    address: str


@dataclasses.dataclass(frozen=True, slots=True)
class Picture:
    """All that the table is made from."""

    networks: tuple[spec.NetworkRecord, ...]
    forwardings: tuple[Forwarding, ...]


class Firewall:
    """Keeps the table as ``picture`` says. Changes that come together share a transaction."""

    def __init__(self, table: str, picture: Callable[[], Picture]) -> None:
        """Name the table; nothing is applied yet."""
        self._table = table
        self._picture = picture
        self._lock = asyncio.Lock()
        self._asked = 0
        self._applied = 0
        self._forwardings: frozenset[Forwarding] = frozenset()
        """Those whose flows are known to be in order."""

    async def apply(self) -> None:
        """Make the table agree with the records as they are now. Raises ``errors.Unavailable`` where nft refuses."""
        self._asked += 1
        mine = self._asked
        async with self._lock:
            if self._applied >= mine:
                return
            upto = self._asked
            picture = self._picture()
            before = self._forwardings if self.present() else frozenset()
            await _nft(ruleset(self._table, picture))
            self._forwardings = frozenset(picture.forwardings)
            await asyncio.to_thread(_forget, self._forwardings - before, before - self._forwardings)
            self._applied = upto
        _APPLY.hit()

    async def remove(self) -> None:
        """Take the table away."""
        async with self._lock:
            await _nft([{"add": _in(self._table, "table")}, {"delete": _in(self._table, "table")}])

    def present(self) -> bool:
        """Tell whether the table is there."""
        return netfilter.table_there(self._table)


def _forget(begun: Iterable[Forwarding], ended: Iterable[Forwarding]) -> None:
    """Forget the UDP flows that go on as the rules of before had it."""
    for one in (one for one in begun if one.port.protocol == "udp"):
        for flow in netfilter.flows(one.port.host):
            if flow.answerer != one.address and _meant(flow.destination, one.port.address):
                netfilter.forget(flow)
    for one in (one for one in ended if one.port.protocol == "udp"):
        for flow in netfilter.flows(one.port.host):
            if flow.answerer == one.address and flow.destination != one.address:
                netfilter.forget(flow)


def _meant(destination: str, published: str) -> bool:
    """Tell whether a port that is published on an address answers for a destination."""
    if published != _EVERYWHERE:
        return destination == published
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((destination, 0))  # only the host's own addresses can be bound
        return True
    return False


def ruleset(table: str, picture: Picture) -> list[Json]:
    """Give the transaction that replaces the table: add (so that it is there), delete, and make it anew."""
    bridges = sorted(record.bridge for record in picture.networks)
    commands: list[Json] = [{"add": _in(table, "table")}, {"delete": _in(table, "table")}, {"add": _in(table, "table")}]
    for name, kind, hook, priority in _CHAINS:
        chain = {"family": "inet", "table": table, "name": name, "type": kind, "hook": hook, "prio": priority}
        commands.append({"add": {"chain": {**chain, "policy": "accept"}}})
    if bridges:
        rules = (*_guard(bridges), *_publish(picture), *_source(picture), *_forward(picture, bridges))
        commands += [
            {"add": {"rule": {"family": "inet", "table": table, "chain": chain, "expr": expression}}}
            for chain, expression in rules
        ]
    return commands


_CHAINS = (
    ("guard", "filter", "prerouting", -300),
    ("publish", "nat", "prerouting", -100),
    ("publish-local", "nat", "output", -100),
    ("source", "nat", "postrouting", 100),
    ("forward", "filter", "forward", 0),
)
_Rule = tuple[str, list[Json]]


def _guard(bridges: list[str]) -> Iterator[_Rule]:
    """Keep containers from the host's own loopback, which ``route_localnet`` would let them reach."""
    yield "guard", [_match(_meta("iifname"), {"set": bridges}), _match(_ip("daddr"), _LOOPBACK), _DROP]


def _publish(picture: Picture) -> Iterator[_Rule]:
    for one in picture.forwardings:
        everywhere = one.port.address == _EVERYWHERE
        where = _match(_LOCAL, "local") if everywhere else _match(_ip("daddr"), one.port.address)
        what = _match({"payload": {"protocol": one.port.protocol, "field": "dport"}}, one.port.host)
        target = {"dnat": {"family": "ip", "addr": one.address, "port": one.port.container}}
        version = _match(_meta("nfproto"), "ipv4")
        yield "publish", [version, where, what, target]
        yield "publish-local", [version, where, what, target]


def _source(picture: Picture) -> Iterator[_Rule]:
    """Hide container addresses where the answer would not find its way back."""
    for record in picture.networks:
        for subnet in record.spec.subnets:
            inside = _match(_ip("saddr"), _prefix(subnet.subnet))
            if not record.spec.internal:
                yield "source", [inside, _match(_meta("oifname"), record.bridge, "!="), _MASQUERADE]
            back = _match(_ip("daddr"), _prefix(subnet.subnet))
            yield "source", [inside, back, _TRANSLATED, _MASQUERADE]  # hairpin: to itself by the host's address
        leaving = _match(_meta("oifname"), record.bridge)
        yield "source", [leaving, _match(_ip("saddr"), _LOOPBACK), _MASQUERADE]


def _forward(picture: Picture, bridges: list[str]) -> Iterator[_Rule]:
    """Let answers and published ports pass, everything out, nothing else in, and nothing between networks."""
    yield "forward", [_match({"ct": {"key": "state"}}, {"set": ["established", "related"]}, "in"), _ACCEPT]
    for record in picture.networks:
        coming, going = _match(_meta("iifname"), record.bridge), _match(_meta("oifname"), record.bridge)
        yield "forward", [coming, going, _ACCEPT]
        if record.spec.internal:
            yield "forward", [coming, _DROP]
            yield "forward", [going, _DROP]
    yield "forward", [_match(_meta("oifname"), {"set": bridges}), _TRANSLATED, _ACCEPT]
    yield "forward", [_match(_meta("oifname"), {"set": bridges}), _DROP]


def _in(table: str, what: str) -> Json:
    return {what: {"family": "inet", "name": table}}


def _match(left: Json, right: object, operator: str = "==") -> Json:
    return {"match": {"op": operator, "left": left, "right": right}}


def _meta(key: str) -> Json:
    return {"meta": {"key": key}}


def _ip(field: str) -> Json:
    return {"payload": {"protocol": "ip", "field": field}}


def _prefix(subnet: str) -> Json:
    address, _, length = subnet.partition("/")
    return {"prefix": {"addr": address, "len": int(length)}}


_EVERYWHERE = "0.0.0.0"  # noqa: S104 - what it is compared with
_LOCAL = {"fib": {"result": "type", "flags": ["daddr"]}}
_LOOPBACK = {"prefix": {"addr": "127.0.0.0", "len": 8}}
_TRANSLATED = _match({"ct": {"key": "status"}}, "dnat", "in")
_MASQUERADE: Json = {"masquerade": None}
_ACCEPT: Json = {"accept": None}
_DROP: Json = {"drop": None}


async def _nft(commands: Iterable[Json]) -> None:
    document = json.dumps({"nftables": [{"metainfo": {"json_schema_version": 1}}, *commands]})
    completed = await processes.run([_program(), "-j", "-f", "-"], processes.Options(stdin=document.encode()))
    if completed.returncode:
        said = completed.stderr.decode(errors="replace").strip()[:500]
        raise errors.Unavailable(f"nft refuses the firewall: {said}", hint="trimtab doctor", reason="FirewallFailed")


def _program() -> str:
    program = processes.which("nft")
    if program is None:
        raise errors.Unavailable("nft is not installed", hint="apt-get install nftables", reason="NoNft")
    return str(program)
