"""Networks of a driver of another kind beside bridges: one that chooses addresses by itself, two for each container."""

import contextlib
import ipaddress
import pathlib
from collections.abc import AsyncIterator

import pytest

from agent import errors
from agent.engine import layout, records
from agent.engine.kernel import linux
from agent.engine.network import networks
from agent.engine.spec import container as container_spec
from agent.engine.spec import network as network_spec
from agent.kit import state_format
from tests import addressing
from tests.conformance import choosing_driver

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("network_drivers")]  # one subnet of the host for all of them
SHOP = network_spec.NetworkSpec("shop", driver=choosing_driver.NAME)
LAN = network_spec.NetworkSpec("lan", (addressing.subnet("10.246.7.0/24"),))


@contextlib.asynccontextmanager
async def opened(
    home: pathlib.Path, drivers: dict[str, choosing_driver.ChoosingDriver]
) -> AsyncIterator[networks.Networks]:
    """Open the networks of an instance."""
    where = layout.of(home / "root", home / "run")
    where.prepare()
    with contextlib.closing(records.Database(where.records, [networks.SCHEMA])) as database:
        async with networks.Networks(where, database, linux.LinuxKernel(), drivers) as network:
            yield network


@pytest.fixture
async def network(tmp_path: pathlib.Path) -> AsyncIterator[networks.Networks]:
    async with opened(tmp_path, {choosing_driver.NAME: choosing_driver.ChoosingDriver()}) as instance:
        await instance.restore({})
        await instance.create(SHOP)
        await instance.create(LAN)
        yield instance
        await instance.detach("c1")
        for record in instance.list():
            await instance.remove(record.name)
        assert await instance.leftovers(()) == ()


def request(*names: str, ports: tuple[container_spec.Port, ...] = ()) -> network_spec.AttachRequest:
    """Ask for a container's network."""
    return network_spec.AttachRequest("c1", "web", tuple(map(container_spec.Attachment, names)), ports)


async def test_attach__driver_chooses_when_it_connects__all_its_addresses_are_the_containers(network) -> None:
    sandbox = await network.attach(request("shop"))
    addresses = [(name, str(address)) for name, address in sandbox.addresses]
    assert addresses == [("shop", "10.250.0.2"), ("shop", "10.251.0.2")]
    assert sandbox.nameservers == (), "the host is not in such a network: nobody answers for names there"
    await network.announce("c1")
    assert await network.problems() == {}


async def test_attach__beside_a_bridge__each_has_its_own(network) -> None:
    sandbox = await network.attach(request("lan", "shop"))
    assert [(name, str(address)) for name, address in sandbox.addresses] == [
        ("lan", "10.246.7.2"),
        ("shop", "10.250.0.2"),
        ("shop", "10.251.0.2"),
    ]
    assert sandbox.nameservers == ("10.246.7.1",)
    await network.announce("c1")
    assert await network.problems() == {}


async def test_attach__ports_where_the_host_leads_nothing__are_refused_and_nothing_is_left(network) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        await network.attach(request("shop", ports=(addressing.port("127.0.0.1", 18_080, 80, "tcp"),)))
    assert caught.value.reason == "PortUnreachable"


async def test_attach__second_network_fails__the_first_is_taken_back(network) -> None:
    driver = network._drivers.of(SHOP)
    record = next(record for record in network.list() if record.name == "shop")
    driver.remove(record)
    with pytest.raises(errors.Unavailable, match="network shop is gone"):
        await network.attach(request("lan", "shop"))
    assert not network.namespace("c1").exists()
    await network.detach("c1")
    assert await network.leftovers(()) == ()
    driver.ensure(record)


async def test_endpoint__opened_again__has_the_addresses_that_were_chosen(network, tmp_path: pathlib.Path) -> None:
    await network.attach(request("shop"))
    async with opened(tmp_path, {choosing_driver.NAME: choosing_driver.ChoosingDriver()}) as again:
        (endpoint,) = again._table.of_container("c1")
        assert endpoint.addresses == (ipaddress.ip_address("10.250.0.2"), ipaddress.ip_address("10.251.0.2"))


async def test_networks__of_a_driver_that_this_release_has_not__are_of_a_newer_one(network, tmp_path) -> None:
    assert [record.name for record in network.list()] == ["lan", "shop"]
    with pytest.raises(state_format.NewerState, match="network shop has the driver choosing"):
        async with opened(tmp_path, {}):
            pass
