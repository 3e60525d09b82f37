"""The instance's one nft table as text: a pure function of its networks, with a map element for each published port.

Ports come and go with containers, so they are elements and no rules: one more costs the same however many there are,
and a packet's way through the table is as long with a thousand of them as with one.
"""

import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator

from agent.engine.spec import container as container_spec
from agent.engine.spec import network as network_spec
from agent.kit import frozen

EVERYWHERE_MAP, ADDRESS_MAP = "everywhere", "addressed"
_ELEMENT = re.compile(r"([\w.]+(?: \. [\w.]+)*) : ([\d.]+ \. \d+)")
_ELEMENTS = re.compile(r"elements = \{(.*?)\}", re.DOTALL)
_MAP = re.compile(r"\tmap (\w+) \{\n(.*?)\n\t\}\n", re.DOTALL)
_DNS = "meta l4proto { tcp, udp } th dport 53"


@frozen.value
class Forwarding:
    """A published port and the container's address behind it."""

    port: container_spec.Port
    address: ipaddress.IPv4Address


@frozen.value(order=True)
class Element:
    """A published port as it stands in one of the two maps."""

    map: str
    key: str
    target: str

    @property
    def slot(self) -> tuple[str, str]:
        """The map and the key: unique within the table."""
        return self.map, self.key


@frozen.value
class Listing:
    """A table as the kernel lists it: its lines without the ports, and the ports."""

    fixed: str
    elements: frozenset[Element]


def element(forwarding: Forwarding) -> Element:
    """Return the map element of a published port."""
    port = forwarding.port
    target = f"{forwarding.address} . {port.container}"
    if port.address.is_unspecified:
        return Element(EVERYWHERE_MAP, f"{port.protocol} . {port.host}", target)
    return Element(ADDRESS_MAP, f"{port.address} . {port.protocol} . {port.host}", target)


def replacement(
    table: str,
    networks: Collection[network_spec.NetworkRecord],
    forwardings: Iterable[Forwarding],
    routed: Collection[str],
) -> str:
    """Return the transaction that replaces the table: add it (so that it is there), delete it, and make it anew.

    ``routed``: the links that packets are only forwarded from because this instance has turned forwarding on.
    """
    lines = [f"table inet {table}", f"delete table inet {table}", f"table inet {table} {{"]
    lines += (f"\t{line}" for line in (*_sets(networks, routed), *_maps(map(element, forwardings))))
    for name, (kind, hook, priority), rules in _chains(networks, routed):
        lines += [f"\tchain {name} {{", f"\t\ttype {kind} hook {hook} priority {priority}; policy accept;"]
        lines += (f"\t\t{rule}" for rule in rules)
        lines.append("\t}")
    return "\n".join((*lines, "}", ""))


def change(table: str, removed: Iterable[Element], added: Iterable[Element]) -> str:
    """Return the transaction that takes ports out of a table and puts others in."""
    lines = [f"delete element inet {table} {port.map} {{ {port.key} }}" for port in sorted(removed)]
    lines += [f"add element inet {table} {port.map} {{ {port.key} : {port.target} }}" for port in sorted(added)]
    return "\n".join((*lines, ""))


def read(listing: str) -> Listing:
    """Read a table as ``nft -s list table`` prints it."""
    elements = set()
    for name, body in _MAP.findall(listing):
        for text in _ELEMENTS.findall(body):
            elements |= {Element(name, key, target) for key, target in _ELEMENT.findall(text)}
    fixed = _MAP.sub(lambda match: f"\tmap {match[1]} {match[2].partition('elements')[0].strip()}\n", listing)
    return Listing(_ELEMENTS.sub(_sorted, fixed), frozenset(elements))


def _sorted(elements: re.Match[str]) -> str:
    """Return a set's elements in an order of ours: the kernel's own one may change."""
    return ", ".join(sorted(map(str.strip, elements[1].split(","))))


def _sets(networks: Collection[network_spec.NetworkRecord], routed: Collection[str]) -> Iterator[str]:
    named = [record for record in networks if record.spec.dns]
    internal = [record for record in networks if record.spec.internal]
    yield _set("bridges", "ifname", (_quoted(record.bridge) for record in networks))
    yield _set("sources", "ifname . ipv4_addr; flags interval", _each_subnet(networks, "subnet"))
    yield _set("servers", "ipv4_addr", (str(subnet.gateway) for record in named for subnet in record.spec.subnets))
    yield _set("resolvers", "ifname . ipv4_addr", _each_subnet(named, "gateway"))
    yield _set("internal", "ifname", (_quoted(record.bridge) for record in internal))
    yield _set("internal-gateways", "ifname . ipv4_addr", _each_subnet(internal, "gateway"))
    yield _set("routed", "ifname", map(_quoted, routed))


def _maps(elements: Iterable[Element]) -> Iterator[str]:
    ports: dict[str, list[str]] = {EVERYWHERE_MAP: [], ADDRESS_MAP: []}
    for port in elements:
        ports[port.map].append(f"{port.key} : {port.target}")
    kinds = {EVERYWHERE_MAP: "inet_proto . inet_service", ADDRESS_MAP: "ipv4_addr . inet_proto . inet_service"}
    for name, kind in kinds.items():
        yield _set(name, f"{kind} : ipv4_addr . inet_service", ports[name], word="map")


def _chains(
    networks: Collection[network_spec.NetworkRecord], routed: Collection[str]
) -> Iterator[tuple[str, tuple[str, str, int], Iterable[str]]]:
    yield "guard", ("filter", "prerouting", -300), _guard()
    yield "publish", ("nat", "prerouting", -100), ("ip daddr 127.0.0.0/8 return", *_publish())
    yield "publish-local", ("nat", "output", -100), _publish()
    yield "source", ("nat", "postrouting", 100), _source(networks)
    yield "input", ("filter", "input", 0), _input()
    yield "forward", ("filter", "forward", 0), _forward(networks, routed)


def _guard() -> Iterator[str]:
    """Drop packets with a source that their link must not send, before any other rule.

    Only the host itself talks to its loopback: not containers, which ``route_localnet`` would let, and not a neighbour
    that routes 127/8 to this host. And a bridge's containers have addresses of its subnets, and no IPv6.
    """
    yield 'iifname != "lo" ip daddr 127.0.0.0/8 drop'
    yield "iifname @bridges meta nfproto ipv6 drop"
    yield "iifname @bridges iifname . ip saddr != @sources drop"


def _publish() -> Iterator[str]:
    """Translate to containers; queries to a network's DNS server are exempt from a published port 53."""
    yield "meta nfproto != ipv4 return"
    yield f"dnat ip to ip daddr . meta l4proto . th dport map @{ADDRESS_MAP}"
    yield f"ip daddr @servers {_DNS} return"
    yield f"fib daddr type local dnat ip to meta l4proto . th dport map @{EVERYWHERE_MAP}"


def _source(networks: Iterable[network_spec.NetworkRecord]) -> Iterator[str]:
    """Hide container addresses where the answer would not find its way back."""
    for record in networks:
        for subnet in record.spec.subnets:
            network = str(subnet.subnet)
            if not record.spec.internal:
                yield f"ip saddr {network} oifname != {_quoted(record.bridge)} masquerade"
            # hairpin: to itself by the host's address
            yield f"ip saddr {network} ip daddr {network} ct status dnat masquerade"
        yield f"oifname {_quoted(record.bridge)} ip saddr 127.0.0.0/8 masquerade"


def _input() -> Iterator[str]:
    """Restrict DNS servers to their own network's containers, and internal containers to their gateway."""
    yield f'iifname != "lo" ip daddr @servers {_DNS} iifname . ip daddr != @resolvers drop'
    yield "iifname @internal iifname . ip daddr != @internal-gateways drop"


def _forward(networks: Iterable[network_spec.NetworkRecord], routed: Collection[str]) -> Iterator[str]:
    """Accept answers, published ports and everything out; nothing else in, and nothing between networks.

    Where forwarding is on because of us, the host is no router for anybody else: what others publish passes, too.
    """
    yield "ct state established,related accept"
    for record in networks:
        bridge = _quoted(record.bridge)
        yield f"iifname {bridge} oifname {bridge} accept"
        if record.spec.internal:
            yield f"iifname {bridge} drop"
            yield f"oifname {bridge} drop"
    yield "oifname @bridges ct status dnat accept"
    yield "oifname @bridges drop"
    if routed:
        yield "iifname @bridges accept"
        yield "iifname @routed ct status dnat accept"
        yield "iifname @routed drop"


def _set(name: str, kind: str, elements: Iterable[str], word: str = "set") -> str:
    content = ", ".join(sorted(elements))
    return f"{word} {name} {{ type {kind}; {f'elements = {{ {content} }};' if content else ''} }}"


def _each_subnet(networks: Iterable[network_spec.NetworkRecord], field: str) -> Iterator[str]:
    for record in networks:
        for subnet in record.spec.subnets:
            yield f"{_quoted(record.bridge)} . {getattr(subnet, field)}"


def _quoted(link: str) -> str:
    return f'"{link}"'
