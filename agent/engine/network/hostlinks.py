"""A cache of the host's links and addresses: listed once, updated by the kernel's events, listed again by a relist.

One socket hears of every change of links and addresses here, and of links, addresses and routes in the namespaces of
containers, each by the number that this namespace knows that one by. Nothing has to be asked for again as long as it
has told nothing, and of a thousand containers only those are looked into that something has happened to.
"""

import contextlib
import errno
import ipaddress
import socket
import struct
import threading

from agent.engine.network import netlink
from agent.kit import frozen

UP, LOWER_UP = 0x1, 0x10000
_GROUPS = (1, 5, 7)
"""``RTNLGRP_LINK``, ``RTNLGRP_IPV4_IFADDR``, ``RTNLGRP_IPV4_ROUTE``."""
_SOL_NETLINK, _ADD_MEMBERSHIP, _LISTEN_ALL_NSID = 270, 1, 8
_RECEIVE_BUFFER_FORCED = 33
"""``SO_RCVBUFFORCE``."""
_BACKLOG = 4 << 20
_MOST = 1 << 16
_NEW_LINK, _DELETE_LINK, _GET_LINK = 16, 17, 18
_NEW_ADDRESS, _DELETE_ADDRESS, _GET_ADDRESS = 20, 21, 22
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBi")
_NAME, _MTU, _MASTER, _NAMESPACE = 3, 4, 10, 37
_LOCAL = 2
_FILTER = struct.pack("=HHI", 8, 29, 1 << 3)
"""``IFLA_EXT_MASK``: without statistics."""


@frozen.value
class Link:
    """One link of the host."""

    name: str
    index: int
    flags: int
    mtu: int
    master: int
    """Index of its bridge; 0 where it has none."""
    namespace: int
    """Number of the namespace of its peer; -1 where it has none."""

    @property
    def is_connected(self) -> bool:
        """Return whether the link and its peer are up."""
        return bool(self.flags & UP and self.flags & LOWER_UP)


class HostLinks:
    """A cache of the host's links and addresses, and of namespaces with recent events."""

    def __init__(self) -> None:
        """Start empty; ``listen`` and ``load`` fill the cache."""
        self._socket: socket.socket | None = None
        self.links: dict[str, Link] = {}
        self._names: dict[int, str] = {}
        self.addresses: dict[int, set[str]] = {}
        """Addresses with their prefix length, by the link's index."""
        self.touched: set[int] = set()
        """Numbers of the namespaces in which links, addresses or routes have changed."""
        self.changes = 0
        """The number of events about the host's own links and addresses."""
        self._complete = False
        self._lock = threading.RLock()

    @property
    def is_listening(self) -> bool:
        """Return whether the kernel's events are subscribed to."""
        return self._socket is not None

    @property
    def descriptor(self) -> int:
        """The descriptor that becomes readable with an event; -1 where there is none."""
        return self._socket.fileno() if self._socket is not None else -1

    @property
    def is_complete(self) -> bool:
        """Return whether no event was lost since everything was listed."""
        return self._complete

    def listen(self) -> None:
        """Subscribe to the kernel's events, in the calling thread's network namespace."""
        self.close()
        events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
        with contextlib.suppress(PermissionError):
            events.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER_FORCED, _BACKLOG)
        events.bind((0, 0))
        events.setsockopt(_SOL_NETLINK, _LISTEN_ALL_NSID, 1)
        for group in _GROUPS:
            events.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        self._socket, self._complete = events, False

    def close(self) -> None:
        """Close the subscription."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._complete = None, False

    def load(self) -> None:
        """List everything. Raises ``OSError``."""
        with self._lock:
            self._list()

    def _list(self) -> None:
        self.drain()
        for cache in (self.links, self._names, self.addresses):
            cache.clear()
        self._complete = self._socket is not None  # later changes arrive as events
        with netlink.Netlink() as host:
            for body in host.listed(_GET_LINK, _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + _FILTER):
                self._take(_NEW_LINK, body)
            for body in host.listed(_GET_ADDRESS, _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)):
                self._take(_NEW_ADDRESS, body)
        self.drain()

    def drain(self) -> None:
        """Apply the events that have arrived."""
        with self._lock:
            self._drain()

    def _drain(self) -> None:
        while self._socket is not None:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(_MOST, 64)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._complete = False  # the receive buffer has overflowed
                self.changes += 1
                continue
            number = next((value for level, _, value in ancillary if level == _SOL_NETLINK), None)
            if number is not None:
                self.touched.add(struct.unpack("=i", number)[0])
                continue
            for kind, _, body in netlink.split(data):
                self._take(kind, body)

    def asked(self, name: str) -> Link:
        """Return a cached link as the kernel has it now: the event of a new carrier comes a little later."""
        request = struct.pack("=HH", 4 + len(name) + 1, _NAME) + name.encode() + b"\0"
        with contextlib.suppress(OSError), netlink.Netlink() as host:
            body = host.ask(
                _GET_LINK, _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + request.ljust(-(-len(request) // 4) * 4, b"\0")
            )
            with self._lock:
                self._take(_NEW_LINK, body)
        return self.links[name]

    def named(self, *prefixes: str) -> list[str]:
        """Return the links whose names begin so, sorted."""
        return sorted(name for name in self.links if name.startswith(prefixes))

    def _take(self, kind: int, body: bytes) -> None:
        if kind in {_NEW_LINK, _DELETE_LINK}:
            self._take_link(kind, body)
        elif kind in {_NEW_ADDRESS, _DELETE_ADDRESS}:
            self._take_address(kind, body)

    def _take_link(self, kind: int, body: bytes) -> None:
        family, _, index, flags, _ = _LINK.unpack_from(body)
        if family != socket.AF_UNSPEC:
            return  # a bridge sends the same message about its ports
        if kind == _DELETE_LINK:
            self.links.pop(self._names.pop(index, ""), None)
            self.addresses.pop(index, None)
            self.changes += 1
            return
        link = _link(index, flags, netlink.attributes(body, _LINK.size))
        if self.links.get(link.name) != link:
            self.links.pop(self._names.get(index, ""), None)  # it may have had another name
            self._names[index] = link.name
            self.links[link.name] = link
            self.changes += 1

    def _take_address(self, kind: int, body: bytes) -> None:
        family, length, _, _, index = _ADDRESS.unpack_from(body)
        own = netlink.attributes(body, _ADDRESS.size).get(_LOCAL)
        if family != socket.AF_INET or own is None:
            return
        held = self.addresses.setdefault(index, set())
        (held.add if kind == _NEW_ADDRESS else held.discard)(f"{ipaddress.IPv4Address(own)}/{length}")
        self.changes += 1


def _link(index: int, flags: int, attributes: dict[int, bytes]) -> Link:
    def number(kind: int, default: int) -> int:
        return struct.unpack("=i", attributes[kind])[0] if kind in attributes else default

    name = attributes[_NAME].rstrip(b"\0").decode(errors="replace")
    return Link(name, index, flags, number(_MTU, 0), number(_MASTER, 0), number(_NAMESPACE, -1))
