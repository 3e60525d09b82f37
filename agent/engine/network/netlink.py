"""Netlink, links, addresses and routes: pyroute2 puts the messages together, one socket sends them in one batch.

A socket belongs to the namespace that it was opened in. So a container's is opened by the thread that has just made its
namespace, which costs microseconds; pyroute2's own ``IPRoute(netns=...)`` costs 14 ms.
"""

import contextlib
import errno
import fcntl
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any, Self, TypeAlias

from agent.kit import lean

with lean.bare("pyroute2"):
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_NEWADDR, _NEWROUTE = 20, 24
_REQUEST, _ACK, DUMP = 0x1, 0x4, 0x300
_CREATE, _EXCLUSIVE, _REPLACE = 0x400, 0x200, 0x100
_UP = 1
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_KIND = 0x3FFF
"""An attribute's kind without its two flags."""
_LINK_SIZE, _IFNAME = 16, 3
_BUFFER = 1024 * 1024
_GET_INDEX = 0x8933
"""``SIOCGIFINDEX``."""
_REQUEST_OF_NAME = struct.Struct("=16si20x")
"""``struct ifreq``."""
_UNIVERSE, _STATIC, _UNICAST, _MAIN = 0, 4, 1, 254

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Message: TypeAlias = Any
"""One of pyroute2's messages: it has no types of its own."""


class Netlink:
    """A socket in one namespace."""

    def __init__(self, family: int = socket.NETLINK_ROUTE) -> None:
        """Open it in the calling thread's network namespace."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def perform(self, messages: Sequence[Message]) -> None:
        """Send messages in one batch and wait until each is done. Raises ``OSError`` for the first that failed."""
        waiting = set()
        batch = bytearray()
        for message in messages:
            batch += self._encoded(message)
            waiting.add(self._sequence)
        self._socket.send(batch)
        failure = 0
        while waiting:
            for kind, sequence, body in split(self._socket.recv(_BUFFER)):
                if kind == _ERROR and sequence in waiting:
                    waiting.discard(sequence)
                    failure = failure or -struct.unpack_from("=i", body)[0]
        if failure:
            raise OSError(failure, os.strerror(failure), "netlink")

    def ask(self, kind: int, body: bytes) -> bytes:
        """Send a packed request and return the single message that answers it. Raises ``OSError``."""
        self._sequence += 1
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST, self._sequence, 0) + body)
        while True:
            for answer, sequence, content in split(self._socket.recv(_BUFFER)):
                if sequence == self._sequence and answer == _ERROR:
                    failure = -struct.unpack_from("=i", content)[0]
                    raise OSError(failure, os.strerror(failure), "netlink")
                if sequence == self._sequence:
                    return content

    def links(self) -> dict[str, int]:
        """Return the names and indexes of all links."""
        bodies = self.dump(_link(_GETLINK, DUMP))
        return {_name_of(body): struct.unpack_from("=i", body, 4)[0] for body in bodies}

    def dump(self, message: Message) -> list[bytes]:
        """Send a request for a list and return its messages, without their headers. Raises ``OSError``."""
        self._socket.send(self._encoded(message))
        return self._listed()

    def listed(self, kind: int, body: bytes) -> list[bytes]:
        """Send a packed request for a list and return its messages, without their headers."""
        self._sequence += 1
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | DUMP, self._sequence, 0) + body)
        return self._listed()

    def index_of(self, name: str) -> int:
        """Return the index of a link in the socket's namespace. Raises ``OSError`` where there is none."""
        answer = fcntl.ioctl(self._socket, _GET_INDEX, _REQUEST_OF_NAME.pack(name.encode(), 0))
        return int(_REQUEST_OF_NAME.unpack(answer)[1])

    def find(self, name: str) -> int | None:
        """Return the index of a link in the socket's namespace, or ``None``."""
        try:
            return self.index_of(name)
        except OSError:
            return None

    def _listed(self) -> list[bytes]:
        bodies: list[bytes] = []
        while True:
            for kind, _, body in split(self._socket.recv(_BUFFER)):
                if kind == _DONE:
                    return bodies
                if kind == _ERROR:
                    failure = -struct.unpack_from("=i", body)[0]
                    raise OSError(failure, os.strerror(failure), "netlink")
                bodies.append(body)

    def _encoded(self, message: Message) -> bytes:
        self._sequence += 1
        message["header"]["sequence_number"] = self._sequence
        message.encode()
        return bytes(message.data)


def bridge(name: str, mtu: int | None) -> Message:
    """Return the request that creates a bridge. It is down: IPv6 has to be off on it before it is up."""
    attributes: list[tuple[str, Any]] = [("IFLA_IFNAME", name)]
    if mtu is not None:
        attributes.append(("IFLA_MTU", mtu))
    attributes.append(("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "bridge")]}))
    return _link(_NEWLINK, _CREATE | _EXCLUSIVE, attributes)


def veth(name: str, bridge_index: int, peer: str, namespace: int, options: tuple[str | None, int | None]) -> Message:
    """Return the request that creates a pair: ``name`` up on a bridge, ``peer`` in another namespace (a descriptor).

    ``options`` are the peer's hardware address and the MTU of both; ``None``: the kernel's choice.
    """
    hardware, mtu = options
    size = [("IFLA_MTU", mtu)] if mtu is not None else []
    inner = [("IFLA_IFNAME", peer), ("IFLA_NET_NS_FD", namespace), *size]
    if hardware is not None:
        inner.append(("IFLA_ADDRESS", hardware))
    information = [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", {"attrs": [("VETH_INFO_PEER", {"attrs": inner})]})]
    attributes = [
        ("IFLA_IFNAME", name),
        ("IFLA_MASTER", bridge_index),
        *size,
        ("IFLA_LINKINFO", {"attrs": information}),
    ]
    return _link(_NEWLINK, _CREATE | _EXCLUSIVE, attributes, up=True)


def link_up(index: int) -> Message:
    """Return the request that brings a link up."""
    message = _link(_NEWLINK, 0, up=True)
    message["index"] = index
    return message


def set_mtu(index: int, mtu: int) -> Message:
    """Return the request that sets a link's MTU."""
    message = _link(_NEWLINK, 0, [("IFLA_MTU", mtu)])
    message["index"] = index
    return message


def set_master(index: int, bridge_index: int) -> Message:
    """Return the request that puts a link on a bridge."""
    message = _link(_NEWLINK, 0, [("IFLA_MASTER", bridge_index)])
    message["index"] = index
    return message


def hairpin(name: str) -> Message:
    """Return the request for a bridge port's hairpin mode: for a container that asks for its own published port.

    Only needed where netfilter sees bridged packets (``bridge-nf-call-iptables``, as Docker and Kubernetes have it on):
    it translates them before the bridge has chosen a port for them.
    """
    port = {"attrs": [("IFLA_BRPORT_MODE", 1)]}
    information = [("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", port)]
    return _link(_NEWLINK, 0, [("IFLA_IFNAME", name), ("IFLA_LINKINFO", {"attrs": information})])


def set_group(index: int, group: int) -> Message:
    """Return the request that puts a link into a group of its namespace."""
    message = _link(_NEWLINK, 0, [("IFLA_GROUP", group)])
    message["index"] = index
    return message


def delete_group(group: int) -> Message:
    """Remove all links of a group: the kernel waits once until nobody uses any of them, not once for each."""
    return _link(_DELLINK, 0, [("IFLA_GROUP", group)])


def address(index: int, value: Address, prefix: int) -> Message:
    """Return the request that gives a link an address; one that it has already is no failure."""
    message = ifaddrmsg()
    head(message, _NEWADDR, _CREATE | _REPLACE)
    message["family"], message["prefixlen"], message["index"] = family(value), prefix, index
    message["attrs"] = [("IFA_LOCAL", str(value)), ("IFA_ADDRESS", str(value))]
    return message


def default_route(gateway: Address) -> Message:
    """Return the request that sets the default route."""
    message = rtmsg()
    head(message, _NEWROUTE, _CREATE | _REPLACE)
    message["family"], message["table"], message["proto"] = family(gateway), _MAIN, _STATIC
    message["type"], message["scope"] = _UNICAST, _UNIVERSE
    message["attrs"] = [("RTA_GATEWAY", str(gateway))]
    return message


def family(address: Address) -> socket.AddressFamily:
    """Return the family of an address."""
    return socket.AF_INET if isinstance(address, ipaddress.IPv4Address) else socket.AF_INET6


@contextlib.contextmanager
def absent_is_fine() -> Iterator[None]:
    """Ignore the error for a link that is already removed."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


def _link(kind: int, flags: int, attributes: Sequence[tuple[str, Any]] = (), *, up: bool = False) -> Message:
    message = ifinfmsg()
    head(message, kind, flags)
    if up:
        message["flags"] = message["change"] = _UP
    message["attrs"] = list(attributes)
    return message


def head(message: Message, kind: int, flags: int) -> None:
    """Fill in a message's header: a request that is acknowledged, or answered by a list."""
    message["header"]["type"] = kind
    message["header"]["flags"] = _REQUEST | flags | (0 if flags & DUMP == DUMP else _ACK)


def split(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Return (type, sequence, body) of each message in a datagram."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return
        yield kind, sequence, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Split attributes, by their kinds: what pyroute2 decodes completely, and so much slower."""
    values = {}
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        values[kind & _KIND] = data[offset + _ATTRIBUTE.size : offset + length]
        offset += max((length + 3) & ~3, _ATTRIBUTE.size)
    return values


def _name_of(body: bytes) -> str:
    return attributes(body, _LINK_SIZE)[_IFNAME].rstrip(b"\0").decode(errors="replace")
