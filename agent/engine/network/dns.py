"""Names in networks, served by two aardvark-dns: a forwarding one, and one for internal networks.

The second forwards nothing. A container that only internal networks know asks that one, so no question of its leaves
the host; one that is in other networks as well asks the first, which knows the names of its internal networks, too.
"""

import hashlib
import pathlib

from agent.engine.network import aardvark
from agent.engine.spec import network as network_spec
from agent.kit import tasks

_NO_FORWARDING = {"AARDVARK_NO_PROXY": "1"}


class Dns:
    """The files of both servers, kept by network and endpoint."""

    def __init__(self, folder: pathlib.Path, internal: pathlib.Path) -> None:
        """Take the folders of their files; nothing is started yet."""
        self._outer = aardvark.Server(folder, {})
        self._inner = aardvark.Server(internal, _NO_FORWARDING)
        self._networks: dict[str, network_spec.NetworkRecord] = {}

    @property
    def servers(self) -> tuple[aardvark.Server, ...]:
        """Both servers, the forwarding one first."""
        return self._outer, self._inner

    def put_network(self, record: network_spec.NetworkRecord, endpoints: tuple[network_spec.Endpoint, ...]) -> None:
        """Add or replace a network with its containers; one without names (``dns``) has no file."""
        self._networks[record.name] = record
        for server in self.servers:
            server.put(record.name, None)
        if record.spec.dns:
            lines = {endpoint.container_id: aardvark.line(endpoint) for endpoint in endpoints}
            gateways = tuple(str(subnet.gateway) for subnet in record.spec.subnets)
            self.of(record).put(record.name, aardvark.File(gateways, lines))
        self._let_outer_know()

    def delete_network(self, name: str) -> None:
        """Remove a network."""
        self._networks.pop(name, None)
        for server in self.servers:
            server.put(name, None)
        self._let_outer_know()

    def put_endpoint(self, endpoint: network_spec.Endpoint) -> None:
        """Add a container's names to a network."""
        for server in self.servers:
            server.put_line(endpoint.network, endpoint.container_id, aardvark.line(endpoint))

    def delete_endpoint(self, endpoint: network_spec.Endpoint) -> None:
        """Remove a container's names from a network."""
        for server in self.servers:
            server.put_line(endpoint.network, endpoint.container_id, None)

    async def apply(self) -> None:
        """Apply the changes to the servers. Raises ``errors.Unavailable`` (``NoDns``)."""
        await self._outer.apply()  # first: it may have to leave an address to the other one
        await self._inner.apply()

    def reload(self) -> None:
        """Make the forwarding server read the host's resolvers again."""
        self._outer.reload()

    async def mend(self) -> None:
        """Apply after comparing every file, and replace a server that does not answer."""
        for server in self.servers:
            await server.mend()

    def runs(self, record: network_spec.NetworkRecord) -> bool:
        """Return whether a network's server runs and is not stopped."""
        return not record.spec.dns or self.of(record).runs()

    def serves(self, record: network_spec.NetworkRecord) -> bool:
        """Return whether a network's file is there for a server that runs, as seen without the agent's memory."""
        present = any((server.folder / record.name).exists() and server.pid() is not None for server in self.servers)
        return not record.spec.dns or present

    def of(self, record: network_spec.NetworkRecord) -> aardvark.Server:
        """Return the server that listens on a network's gateways."""
        return self._inner if record.spec.internal else self._outer

    async def stop(self) -> None:
        """End both."""
        await tasks.together("end of DNS", *(server.stop() for server in self.servers))

    def _let_outer_know(self) -> None:
        """Add the names of internal networks to the forwarding server, if it runs at all."""
        named = [record for record in self._networks.values() if record.spec.dns]
        is_needed = any(not record.spec.internal for record in named)
        for record in (record for record in named if record.spec.internal):
            if not is_needed:
                self._outer.put(record.name, None)
            elif record.name not in self._outer.files:
                lines = dict(self._inner.files[record.name].lines)
                self._outer.put(record.name, aardvark.File((_nowhere(record),), lines))


def _nowhere(record: network_spec.NetworkRecord) -> str:
    """Return a loopback address of the network's own: aardvark-dns has to listen somewhere to know its names."""
    number = int.from_bytes(hashlib.sha256(record.bridge.encode()).digest()[:3], "big")
    return f"127.{64 + (number >> 16 & 63)}.{number >> 8 & 255}.{number & 255}"
