"""What netfilter has in the kernel, asked by netlink: whether a table is there, and the flows that conntrack remembers.

A flow is translated as its first packet was. So a UDP client that never pauses would talk to a published port's former
container for ever, unless its flow is forgotten.
"""

import contextlib
import dataclasses
import ipaddress
import socket

from agent.engine.network import netlink
from agent.kit import lean

with lean.bare("pyroute2"):
    from pyroute2.netlink.nfnetlink.nfctsocket import nfct_msg
    from pyroute2.netlink.nfnetlink.nftsocket import nft_table_msg

_NETFILTER = 12
"""The netlink family: ``socket`` has no name for it."""
_INET = 1
_GET_TABLE = 10 << 8 | 1
_GET_FLOW, _DELETE_FLOW = 1 << 8 | 1, 1 << 8 | 2
_PROTOCOL_IS, _DESTINATION_PORT_IS = 1 << 3, 1 << 5
_ORIGINAL, _REPLY = 1, 2


@dataclasses.dataclass(frozen=True, slots=True)
class Flow:
    """A UDP flow: from whom to whom it began, and who answers it."""

    source: str
    source_port: int
    destination: str
    destination_port: int
    answerer: str


def table_there(name: str) -> bool:
    """Tell whether there is an nft table of family inet; a kernel that cannot say so has none."""
    message = nft_table_msg()
    netlink.head(message, _GET_TABLE, 0)
    message["nfgen_family"] = _INET
    message["attrs"] = [("NFTA_TABLE_NAME", name)]
    try:
        with netlink.Netlink(_NETFILTER) as kernel:
            kernel.perform([message])
    except OSError:
        return False
    return True


def flows(port: int) -> list[Flow]:
    """Give the UDP flows that began to a port, anybody's; a kernel without ctnetlink tells none."""
    found: list[Flow | None] = []
    with contextlib.suppress(OSError), netlink.Netlink(_NETFILTER) as kernel:
        found = [_flow(body) for body in kernel.dump(_wanted(port))]
    return [flow for flow in found if flow is not None and flow.destination_port == port]


def forget(flow: Flow) -> None:
    """Let a flow's next packet be its first one."""
    message = nfct_msg()
    netlink.head(message, _DELETE_FLOW, 0)
    message["nfgen_family"] = socket.AF_INET
    addresses = [("CTA_IP_V4_SRC", flow.source), ("CTA_IP_V4_DST", flow.destination)]
    message["attrs"] = [_original(addresses, _ports(flow.source_port, flow.destination_port))]
    with contextlib.suppress(FileNotFoundError), netlink.Netlink(_NETFILTER) as kernel:
        kernel.perform([message])


def _wanted(port: int) -> netlink.Message:
    """Ask for the flows to a port only: kernels before 5.8 give all, so what comes is looked at again."""
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
        source=str(ipaddress.IPv4Address(addresses[1])),
        source_port=int.from_bytes(ports[2], "big"),
        destination=str(ipaddress.IPv4Address(addresses[2])),
        destination_port=int.from_bytes(ports[3], "big"),
        answerer=str(ipaddress.IPv4Address(netlink.attributes(reply[1])[1])),
    )
