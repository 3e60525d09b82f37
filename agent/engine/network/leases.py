"""Endpoints in the records: leased before anything is made of them on the host, and settled when they are connected."""

from agent.engine.network import driver, table
from agent.engine.spec import container as container_spec
from agent.engine.spec import network as network_spec


class Leases:
    """Interfaces and addresses of containers in networks."""

    def __init__(self, records: table.Table, drivers: driver.Drivers) -> None:
        """Take the records, and the drivers of networks."""
        self._table = records
        self._drivers = drivers

    def lease(self, container_id: str, name: str, attachment: container_spec.Attachment) -> network_spec.Endpoint:
        """Keep an endpoint for a container, with addresses where its network's driver chooses them before it connects.

        Raises ``errors.NotFound`` (the network), and as ``driver.NetworkDriver.lease``.
        """
        record = self._table.network(attachment.network)
        held = self._table.of_container(container_id)
        own = next((endpoint for endpoint in held if endpoint.network == attachment.network), None)
        used = {endpoint.interface for endpoint in held}
        interface = own.interface if own else next(f"eth{n}" for n in range(len(used) + 1) if f"eth{n}" not in used)
        pool, network_driver = self._table.addresses(record.name), self._drivers.of(record.spec)
        addresses = network_driver.lease(pool, attachment.ipv4, own.addresses if own else ())
        endpoint = network_spec.Endpoint(container_id, name, record.name, interface, None, attachment.aliases)
        endpoint = endpoint.at(addresses)
        self._table.put_endpoint(endpoint)
        return endpoint

    def settle(
        self, endpoint: network_spec.Endpoint, addresses: tuple[network_spec.Address, ...]
    ) -> network_spec.Endpoint:
        """Keep the addresses that a connected endpoint has, where they are not those that were leased."""
        settled = endpoint.at(addresses)
        if settled != endpoint:
            self._table.put_endpoint(settled)
        return settled
