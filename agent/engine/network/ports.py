"""Leases of host ports: a bound socket each, so that a port in use is an error and not silently taken by the firewall.

The sockets do not listen: without the firewall's rewriting, connections are refused as at any closed port.
"""

import contextlib
import dataclasses
import errno
import ipaddress
import os
import pathlib
import socket
import struct
from collections.abc import Callable, Collection, Iterable

from agent import errors
from agent.engine.network import netlink
from agent.engine.spec import container as container_spec
from agent.reasons import Reason

_DNS = 53
_GET_ADDRESS, _LOCAL = 22, 2
_ADDRESS = struct.Struct("=BBBBi")
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class PortTaken(errors.Conflict):
    """A port that is in use. Its owner is searched for in all of /proc later, by ``explained``."""

    def __init__(self, message: str, port: container_spec.Port) -> None:
        """Store the port that is taken."""
        super().__init__(message, hint="stop that program or publish another port", reason=Reason.PORT_IN_USE)
        self.port = port

    def explained(self) -> errors.Conflict:
        """Return the same with the program that has the port. Blocks for as long as /proc is read."""
        return errors.Conflict(f"{self.message}{owner(self.port)}", hint=self.hint, reason=self.reason)


class Claims:
    """The ports that this process holds for containers."""

    def __init__(self, own: Callable[[], Collection[container_spec.Address]] = tuple) -> None:
        """Hold none. ``own``: the host's addresses at which DNS servers of ours have port 53."""
        self._held: dict[str, list[socket.socket]] = {}
        self._own = own

    def claim(self, container_id: str, ports: Iterable[container_spec.Port]) -> None:
        """Bind a container's ports, all or none. Raises ``PortTaken``, or ``errors.Conflict`` (``AddressInUse``)."""
        self.release(container_id)
        bound: list[socket.socket] = []
        try:
            for port in ports:
                for part in self._parts(port):
                    bound.append(_bind(part))  # noqa: PERF401 - what was bound before a failure has to be known
        except BaseException:
            for claimed in bound:
                claimed.close()
            raise
        if bound:
            self._held[container_id] = bound

    def release(self, container_id: str) -> None:
        """Release a container's ports."""
        for claimed in self._held.pop(container_id, []):
            claimed.close()

    def close(self) -> None:
        """Release all ports."""
        for container_id in list(self._held):
            self.release(container_id)

    def _parts(self, port: container_spec.Port) -> Iterable[container_spec.Port]:
        """Return what is to be bound: port 53 everywhere means everywhere but where our own DNS servers listen."""
        if port.host != _DNS or not port.address.is_unspecified:
            return (port,)
        addresses = sorted(host_addresses() - set(self._own()))
        return tuple(dataclasses.replace(port, address=address) for address in addresses)


def host_addresses() -> set[ipaddress.IPv4Address]:
    """Return the host's IPv4 addresses."""
    with netlink.Netlink() as host:
        bodies = host.listed(_GET_ADDRESS, _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0))
    owned = (netlink.attributes(body, _ADDRESS.size).get(_LOCAL) for body in bodies)
    return {ipaddress.IPv4Address(address) for address in owned if address is not None}


def _bind(port: container_spec.Port) -> socket.socket:
    claimed = socket.socket(netlink.family(port.address), _KINDS[port.protocol] | socket.SOCK_CLOEXEC)
    try:
        if port.protocol == "tcp":
            # A port whose last connection lingers in TIME_WAIT is free. Whoever says so may share the port with
            # others who say so as long as none listens: listening finds out whether there is one.
            claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        claimed.bind((str(port.address), port.host))
        if port.protocol == "tcp":
            claimed.listen(1)
            claimed.shutdown(socket.SHUT_RD)  # listens no more, and stays bound
            claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)  # so that nobody else can listen
    except OSError as error:
        claimed.close()
        raise _failure(port, error) from error
    return claimed


def _failure(port: container_spec.Port, error: OSError) -> errors.Conflict:
    listener = f"{port.address}:{port.host}/{port.protocol}"
    if error.errno == errno.EADDRNOTAVAIL:
        return errors.Conflict(f"this host has no address {port.address}", reason=Reason.ADDRESS_IN_USE)
    if error.errno != errno.EADDRINUSE:
        return errors.Conflict(f"port {listener} cannot be claimed: {error.strerror}", reason=Reason.PORT_IN_USE)
    return PortTaken(f"port {listener} is in use", port)


def check(port: container_spec.Port) -> None:
    """Check that a port is free, without holding it. Raises ``PortTaken``."""
    _bind(port).close()


def owner(port: container_spec.Port) -> str:
    """Return the program that has a port, as far as /proc tells: `` by nginx (pid 12)``, or nothing."""
    inodes = set()
    for name in (port.protocol, f"{port.protocol}6"):
        with contextlib.suppress(OSError):
            for line in pathlib.Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
                fields = line.split()
                if int(fields[1].rpartition(":")[2], 16) == port.host:
                    inodes.add(f"socket:[{fields[9]}]")
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(descriptor.readlink()) in inodes and int(process.name) != os.getpid():
                        return f" by {(process / 'comm').read_text().strip()} (pid {process.name})"
    return ""
