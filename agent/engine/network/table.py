"""Networks, endpoints and publications in the records."""

import sqlite3

import pydantic

from agent.engine import errors, records
from agent.engine.network import spec
from agent.kit import canonical

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

_NETWORK = pydantic.TypeAdapter(spec.NetworkSpec)
_ENDPOINT = pydantic.TypeAdapter(spec.Endpoint)
_PUBLICATION = pydantic.TypeAdapter(spec.Publication)


class Table:
    """What is recorded of the instance's networks: kept in RAM, written through."""

    def __init__(self, database: records.Database, instance: str) -> None:
        """Read everything."""
        self._database = database
        self._instance = instance
        self._networks = {
            row["name"]: self._record(row["number"], _NETWORK.validate_json(row["body"]))
            for row in database.query("SELECT * FROM networks")
        }
        endpoints = [_ENDPOINT.validate_json(row["body"]) for row in database.query("SELECT body FROM endpoints")]
        self._endpoints = {(one.container_id, one.network): one for one in endpoints}
        found = [_PUBLICATION.validate_json(row["body"]) for row in database.query("SELECT body FROM publications")]
        self._publications = {one.container_id: one for one in found}

    def networks(self) -> tuple[spec.NetworkRecord, ...]:
        """Give all networks, sorted by name."""
        return tuple(self._networks[name] for name in sorted(self._networks))

    def network(self, name: str) -> spec.NetworkRecord:
        """Give one network. Raises ``errors.NotFound``."""
        if name not in self._networks:
            raise errors.NotFound(f"there is no network {name}", hint="declare it", reason="NetworkNotFound")
        return self._networks[name]

    def find(self, name: str) -> spec.NetworkRecord | None:
        """Give one network, or ``None``."""
        return self._networks.get(name)

    def put_network(self, wanted: spec.NetworkSpec) -> spec.NetworkRecord:
        """Keep a network under the first free number, or an existing one's new spec under its own."""
        present = self._networks.get(wanted.name)
        used = {record.number for record in self._networks.values()}
        number = present.number if present else next(n for n in range(len(used) + 1) if n not in used)
        self._database.execute(
            "INSERT INTO networks (name, number, body) VALUES (?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET body = excluded.body",
            (wanted.name, number, canonical.dumps(wanted).decode()),
        )
        self._networks[wanted.name] = self._record(number, wanted)
        return self._networks[wanted.name]

    def delete_network(self, name: str) -> None:
        """Forget a network."""
        self._database.execute("DELETE FROM networks WHERE name = ?", (name,))
        self._networks.pop(name, None)

    def last_address(self, network: str) -> str | None:
        """Give the address that was given out last."""
        row = self._database.first("SELECT last_address FROM networks WHERE name = ?", (network,))
        return row["last_address"] if row else None

    def endpoints(self) -> tuple[spec.Endpoint, ...]:
        """Give all endpoints."""
        return tuple(self._endpoints.values())

    def of_network(self, network: str) -> tuple[spec.Endpoint, ...]:
        """Give a network's endpoints."""
        return tuple(one for one in self._endpoints.values() if one.network == network)

    def of_container(self, container_id: str) -> tuple[spec.Endpoint, ...]:
        """Give a container's endpoints, in the order of its interfaces."""
        own = (one for one in self._endpoints.values() if one.container_id == container_id)
        return tuple(sorted(own, key=lambda one: (len(one.interface), one.interface)))  # eth10 comes after eth9

    def put_endpoint(self, endpoint: spec.Endpoint) -> None:
        """Lease an address. Raises ``errors.Conflict`` where another container has it."""
        try:
            with self._database.transaction():
                self._database.execute(
                    "INSERT INTO endpoints (container_id, network, address, body) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (container_id, network)"
                    " DO UPDATE SET address = excluded.address, body = excluded.body",
                    (endpoint.container_id, endpoint.network, endpoint.address, canonical.dumps(endpoint).decode()),
                )
                self._database.execute(
                    "UPDATE networks SET last_address = ? WHERE name = ?", (endpoint.address, endpoint.network)
                )
        except sqlite3.IntegrityError as error:
            raise errors.Conflict(f"address {endpoint.address} is taken", reason="AddressInUse") from error
        self._endpoints[endpoint.container_id, endpoint.network] = endpoint

    def delete_endpoint(self, container_id: str, network: str) -> None:
        """Give an address back."""
        self._database.execute("DELETE FROM endpoints WHERE container_id = ? AND network = ?", (container_id, network))
        self._endpoints.pop((container_id, network), None)

    def publications(self) -> tuple[spec.Publication, ...]:
        """Give all publications."""
        return tuple(self._publications.values())

    def put_publication(self, publication: spec.Publication) -> None:
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
        """Give the ids of all containers that have anything here."""
        return frozenset({key[0] for key in self._endpoints} | set(self._publications))

    def _record(self, number: int, wanted: spec.NetworkSpec) -> spec.NetworkRecord:
        return spec.NetworkRecord(number, f"tt{self._instance}-{number}", wanted)
