"""Claims on host ports: a bound socket each, so that a port in use is an error and no silent theft by the firewall.

Nobody is answered by a claim: until the firewall rewrites connections, and where somebody took its table away, they are
refused as they are where nothing listens.
"""

import contextlib
import errno
import os
import pathlib
import socket
from collections.abc import Iterable

from agent.engine import errors
from agent.engine.containers import spec

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Claims:
    """The ports that this process holds for containers."""

    def __init__(self) -> None:
        """Hold none."""
        self._held: dict[str, list[socket.socket]] = {}

    def claim(self, container_id: str, ports: Iterable[spec.Port]) -> None:
        """Bind a container's ports, all or none. Raises ``errors.Conflict`` (``PortInUse``)."""
        self.release(container_id)
        bound: list[socket.socket] = []
        try:
            for port in ports:
                bound.append(_bind(port))  # noqa: PERF401 - what was bound before a failure has to be known
        except BaseException:
            for one in bound:
                one.close()
            raise
        if bound:
            self._held[container_id] = bound

    def release(self, container_id: str) -> None:
        """Give a container's ports back."""
        for one in self._held.pop(container_id, []):
            one.close()

    def close(self) -> None:
        """Give all back."""
        for container_id in list(self._held):
            self.release(container_id)


def _bind(port: spec.Port) -> socket.socket:
    claimed = socket.socket(socket.AF_INET, _KINDS[port.protocol] | socket.SOCK_CLOEXEC)
    try:
        if port.protocol == "tcp":
            # A port whose last connection lingers in TIME_WAIT is free. Whoever says so may share the port with
            # others who say so as long as none listens: listening finds out whether there is one.
            claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        claimed.bind((port.address, port.host))
        if port.protocol == "tcp":
            claimed.listen(1)
            claimed.shutdown(socket.SHUT_RD)  # listens no more, and stays bound
            claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)  # so that nobody else can listen
    except OSError as error:
        claimed.close()
        raise _failure(port, error) from error
    return claimed


def _failure(port: spec.Port, error: OSError) -> errors.Conflict:
    place = f"{port.address}:{port.host}/{port.protocol}"
    if error.errno == errno.EADDRNOTAVAIL:
        return errors.Conflict(f"this host has no address {port.address}", reason="AddressInUse")
    if error.errno != errno.EADDRINUSE:
        return errors.Conflict(f"port {place} cannot be claimed: {error.strerror}", reason="PortInUse")
    return errors.Conflict(
        f"port {place} is in use{owner(port)}", hint="stop that program or publish another port", reason="PortInUse"
    )


def check(port: spec.Port) -> None:
    """Find out whether a port is free, and hold nothing. Raises ``errors.Conflict``."""
    _bind(port).close()


def owner(port: spec.Port) -> str:
    """Name the program that has a port, as far as /proc tells: `` by nginx (pid 12)``, or nothing."""
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
