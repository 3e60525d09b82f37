"""Netfilter's state in the kernel, by netlink: whether a table exists, and conntrack's flows.

A flow is translated as its first packet was. So a UDP client that never pauses would talk to a published port's former
container for ever, unless its flow is forgotten.
"""

import contextlib
import ipaddress
import socket
import struct

from agent.engine.network import netlink
from agent.kit import frozen, lean

with lean.bare("pyroute2"):
    from pyroute2.netlink.nfnetlink.nfctsocket import nfct_msg
    from pyroute2.netlink.nfnetlink.nftsocket import nft_table_msg

NETFILTER = 12
"""The netlink family: ``socket`` has no name for it."""
_INET = 1
_GET_TABLE, _GET_GENERATION = 10 << 8 | 1, 10 << 8 | 16
_GENERATION_ID = 1
_NETFILTER_HEADER = struct.Struct("=BBH")
"""``struct nfgenmsg``."""
_GET_FLOW, _DELETE_FLOW = 1 << 8 | 1, 1 << 8 | 2
_PROTOCOL_IS, _DESTINATION_PORT_IS = 1 << 3, 1 << 5
_ORIGINAL, _REPLY = 1, 2


@frozen.value
class Flow:
    """A UDP flow: from whom to whom it began, and who answers it."""

    source: ipaddress.IPv4Address
    source_port: int
    destination: ipaddress.IPv4Address
    destination_port: int
    answerer: ipaddress.IPv4Address


def has_table(name: str) -> bool:
    """Return whether there is an nft table of family inet; False where the kernel cannot say."""
    message = nft_table_msg()
    netlink.head(message, _GET_TABLE, 0)
    message["nfgen_family"] = _INET
    message["attrs"] = [("NFTA_TABLE_NAME", name)]
    try:
        with netlink.Netlink(NETFILTER) as kernel:
            kernel.perform([message])
    except OSError:
        return False
    return True


def generation() -> int | None:
    """Return the generation of this namespace's rules, which each transaction increments.

    ``None``: the kernel does not report it.
    """
    request = _NETFILTER_HEADER.pack(socket.AF_UNSPEC, 0, 0)
    try:
        with netlink.Netlink(NETFILTER) as kernel:
            answer = kernel.ask(_GET_GENERATION, request)
    except OSError:
        return None
    return int.from_bytes(netlink.attributes(answer, _NETFILTER_HEADER.size)[_GENERATION_ID], "big")


def next_generation(number: int | None) -> int | None:
    """Return the number after one transaction more: never 0."""
    return None if number is None else (number + 1) % (1 << 32) or 1


def flows(port: int) -> list[Flow]:
    """Return all UDP flows to a port; none where the kernel has no ctnetlink."""
    entries: list[Flow | None] = []
    with contextlib.suppress(OSError), netlink.Netlink(NETFILTER) as kernel:
        entries = [_flow(body) for body in kernel.dump(_flows_request(port))]
    return [flow for flow in entries if flow is not None and flow.destination_port == port]


def forget(flow: Flow) -> None:
    """Delete a flow, so that its next packet is translated anew."""
    message = nfct_msg()
    netlink.head(message, _DELETE_FLOW, 0)
    message["nfgen_family"] = socket.AF_INET
    addresses = [("CTA_IP_V4_SRC", str(flow.source)), ("CTA_IP_V4_DST", str(flow.destination))]
    message["attrs"] = [_original(addresses, _ports(flow.source_port, flow.destination_port))]
    with contextlib.suppress(FileNotFoundError), netlink.Netlink(NETFILTER) as kernel:
        kernel.perform([message])


def _flows_request(port: int) -> netlink.Message:
    """Return the request for flows to a port; kernels before 5.8 answer with all, so callers filter."""
    message = nfct_msg()
    netlink.head(message, _GET_FLOW, netlink.DUMP)
    message["nfgen_family"] = socket.AF_INET
    what = [("CTA_FILTER_ORIG_FLAGS", _PROTOCOL_IS | _DESTINATION_PORT_IS)]
    message["attrs"] = [_original([], _ports(None, port)), ("CTA_FILTER", {"attrs": what})]
    return message


def _ports(source: int | None, destination: int) -> list[tuple[str, int]]:
    own = [("CTA_PROTO_SRC_PORT", source)] if source is not None else []
    return [("CTA_PROTO_NUM", socket.IPPROTO_UDP), *own, ("CTA_PROTO_DST_PORT", destination)]


def _original(addresses: list[tuple[str, str]], ports: list[tuple[str, int]]) -> tuple[str, object]:
    parts = [("CTA_TUPLE_IP", {"attrs": addresses})] if addresses else []
    return "CTA_TUPLE_ORIG", {"attrs": [*parts, ("CTA_TUPLE_PROTO", {"attrs": ports})]}


def _flow(body: bytes) -> Flow | None:
    """Read an entry; ``None``: it is not UDP."""
    entry = netlink.attributes(body, 4)
    original, reply = netlink.attributes(entry[_ORIGINAL]), netlink.attributes(entry[_REPLY])
    addresses, ports = netlink.attributes(original[1]), netlink.attributes(original[2])
    if ports[1][0] != socket.IPPROTO_UDP:
        return None
    return Flow(
        source=ipaddress.IPv4Address(addresses[1]),
        source_port=int.from_bytes(ports[2], "big"),
        destination=ipaddress.IPv4Address(addresses[2]),
        destination_port=int.from_bytes(ports[3], "big"),
        answerer=ipaddress.IPv4Address(netlink.attributes(reply[1])[1]),
    )
