"""Networks, endpoints and publications in the records."""

import ipaddress
import sqlite3

from agent import errors
from agent.engine import records
from agent.engine.network import ipam
from agent.engine.spec import network as network_spec
from agent.kit import canonical
from agent.reasons import Reason

SCHEMA = """
CREATE TABLE IF NOT EXISTS networks (
    name TEXT PRIMARY KEY,
    number INTEGER NOT NULL UNIQUE,
    body TEXT NOT NULL,
    last_address TEXT
);
CREATE TABLE IF NOT EXISTS endpoints (
    container_id TEXT NOT NULL,
    network TEXT NOT NULL,
    address TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (container_id, network),
    UNIQUE (network, address)
);
CREATE TABLE IF NOT EXISTS publications (
    container_id TEXT PRIMARY KEY,
    body TEXT NOT NULL
);
"""


class Table:
    """Records of the instance's networks: kept in RAM, written through."""

    def __init__(self, database: records.Database, instance: str) -> None:
        """Read everything. Raises as ``records.Database.value``."""
        self._database = database
        self._instance = instance
        self._networks: dict[str, network_spec.NetworkRecord] = {}
        self._addresses: dict[str, ipam.Addresses] = {}
        self._by_container: dict[str, dict[str, network_spec.Endpoint]] = {}
        self._by_network: dict[str, dict[str, network_spec.Endpoint]] = {}
        for row in database.query("SELECT * FROM networks"):
            network = database.value(network_spec.NetworkSpec, row["body"], f"network {row['name']}")
            self._keep(self._record(row["number"], network), _address(row["last_address"]))
        for row in database.query("SELECT container_id, body FROM endpoints"):
            self._index(
                database.value(network_spec.Endpoint, row["body"], f"an endpoint of container {row['container_id']}")
            )
        self._publications = {
            row["container_id"]: database.value(
                network_spec.Publication, row["body"], f"the ports of container {row['container_id']}"
            )
            for row in database.query("SELECT container_id, body FROM publications")
        }

    def networks(self) -> tuple[network_spec.NetworkRecord, ...]:
        """Return all networks, sorted by name."""
        return tuple(self._networks[name] for name in sorted(self._networks))

    def network(self, name: str) -> network_spec.NetworkRecord:
        """Return one network. Raises ``errors.NotFound``."""
        if name not in self._networks:
            raise errors.NotFound(f"there is no network {name}", hint="declare it", reason=Reason.NETWORK_NOT_FOUND)
        return self._networks[name]

    def find(self, name: str) -> network_spec.NetworkRecord | None:
        """Return one network, or ``None``."""
        return self._networks.get(name)

    def put_network(self, network: network_spec.NetworkSpec) -> network_spec.NetworkRecord:
        """Keep a network under the first free number, or an existing one's new spec under its own."""
        present = self._networks.get(network.name)
        used = {record.number for record in self._networks.values()}
        number = present.number if present else next(n for n in range(len(used) + 1) if n not in used)
        self._database.execute(
            "INSERT INTO networks (name, number, body) VALUES (?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET body = excluded.body",
            (network.name, number, canonical.dumps(network).decode()),
        )
        return self._keep(self._record(number, network), self.last_address(network.name))

    def delete_network(self, name: str) -> None:
        """Forget a network."""
        self._database.execute("DELETE FROM networks WHERE name = ?", (name,))
        self._networks.pop(name, None)
        self._addresses.pop(name, None)

    def last_address(self, network: str) -> network_spec.Address | None:
        """Return the address that was given out last."""
        addresses = self._addresses.get(network)
        return addresses.last if addresses else None

    def addresses(self, network: str) -> ipam.Addresses:
        """Return a network's addresses, to choose one from. Raises ``errors.NotFound``."""
        self.network(network)
        return self._addresses[network]

    def endpoints(self) -> tuple[network_spec.Endpoint, ...]:
        """Return all endpoints."""
        return tuple(endpoint for endpoints in self._by_container.values() for endpoint in endpoints.values())

    def of_network(self, network: str) -> tuple[network_spec.Endpoint, ...]:
        """Return a network's endpoints."""
        return tuple(self._by_network.get(network, {}).values())

    def of_container(self, container_id: str) -> tuple[network_spec.Endpoint, ...]:
        """Return a container's endpoints, in the order of its interfaces."""
        endpoints = self._by_container.get(container_id, {}).values()
        # eth10 sorts after eth9
        return tuple(sorted(endpoints, key=lambda endpoint: (len(endpoint.interface), endpoint.interface)))

    def put_endpoint(self, endpoint: network_spec.Endpoint) -> None:
        """Keep an endpoint with its addresses. Raises ``errors.Conflict`` where another container has the first."""
        body, address = canonical.dumps(endpoint).decode(), _column(endpoint)
        try:
            with self._database.transaction():
                self._database.execute(
                    "INSERT INTO endpoints (container_id, network, address, body) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (container_id, network)"
                    " DO UPDATE SET address = excluded.address, body = excluded.body",
                    (endpoint.container_id, endpoint.network, address, body),
                )
                if endpoint.address is not None:
                    self._database.execute(
                        "UPDATE networks SET last_address = ? WHERE name = ?", (address, endpoint.network)
                    )
        except sqlite3.IntegrityError as error:
            raise errors.Conflict(f"address {endpoint.address} is taken", reason=Reason.ADDRESS_IN_USE) from error
        self._unindex(endpoint.container_id, endpoint.network)
        self._index(endpoint)
        if endpoint.network in self._addresses and endpoint.address is not None:
            self._addresses[endpoint.network].last = endpoint.address

    def delete_endpoint(self, container_id: str, network: str) -> None:
        """Release a container's address in a network."""
        self._database.execute("DELETE FROM endpoints WHERE container_id = ? AND network = ?", (container_id, network))
        self._unindex(container_id, network)

    def publication(self, container_id: str) -> network_spec.Publication | None:
        """Return what a container publishes, or ``None``."""
        return self._publications.get(container_id)

    def publications(self) -> tuple[network_spec.Publication, ...]:
        """Return all publications."""
        return tuple(self._publications.values())

    def put_publication(self, publication: network_spec.Publication) -> None:
        """Keep what a container publishes."""
        self._database.execute(
            "INSERT OR REPLACE INTO publications (container_id, body) VALUES (?, ?)",
            (publication.container_id, canonical.dumps(publication).decode()),
        )
        self._publications[publication.container_id] = publication

    def delete_publication(self, container_id: str) -> bool:
        """Forget what a container publishes; True where there was something."""
        self._database.execute("DELETE FROM publications WHERE container_id = ?", (container_id,))
        return self._publications.pop(container_id, None) is not None

    def containers(self) -> frozenset[str]:
        """Return the ids of all containers that have anything here."""
        return frozenset(self._by_container.keys() | self._publications.keys())

    def _record(self, number: int, network: network_spec.NetworkSpec) -> network_spec.NetworkRecord:
        return network_spec.NetworkRecord(number, f"tt{self._instance}-{number}", network)

    def _keep(
        self, record: network_spec.NetworkRecord, last: network_spec.Address | None
    ) -> network_spec.NetworkRecord:
        """Keep a network in RAM; its addresses are counted anew where its subnets are others."""
        present = self._networks.get(record.name)
        self._networks[record.name] = record
        if present is None or present.spec.subnets != record.spec.subnets:
            taken = (address for endpoint in self.of_network(record.name) for address in endpoint.addresses)
            self._addresses[record.name] = ipam.Addresses(record.spec.subnets, taken, last)
        return record

    def _index(self, endpoint: network_spec.Endpoint) -> None:
        self._by_container.setdefault(endpoint.container_id, {})[endpoint.network] = endpoint
        self._by_network.setdefault(endpoint.network, {})[endpoint.container_id] = endpoint
        if endpoint.network in self._addresses:
            self._addresses[endpoint.network].take(endpoint.addresses)

    def _unindex(self, container_id: str, network: str) -> None:
        endpoint = self._by_container.get(container_id, {}).pop(network, None)
        if endpoint is None:
            return
        self._by_network[network].pop(container_id, None)
        if not self._by_container[container_id]:
            del self._by_container[container_id]
        if not self._by_network[network]:
            del self._by_network[network]
        if network in self._addresses:
            self._addresses[network].give_back(endpoint.addresses)


def _column(endpoint: network_spec.Endpoint) -> str:
    """Return the text of an endpoint's address, which no other endpoint of its network has."""
    return str(endpoint.address) if endpoint.address is not None else f"undecided {endpoint.container_id}"


def _address(text: str | None) -> network_spec.Address | None:
    return ipaddress.ip_address(text) if text else None
