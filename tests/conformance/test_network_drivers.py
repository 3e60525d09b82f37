"""What the engine may expect of a network driver, whichever it is."""

import contextlib
import dataclasses
import functools
import ipaddress
import os
import pathlib
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest

from agent import errors
from agent.engine.kernel import api as kernel_api
from agent.engine.kernel import linux
from agent.engine.network import bridge, driver, hostlinks, inside, ipam, links, namespaces, netlink
from agent.engine.spec import network as network_spec
from tests import addressing
from tests.conformance import choosing_driver

pytestmark = pytest.mark.root
INSTANCE = f"{os.getpid() & 0xFFFFF:05x}"
SUBNET = "10.247.77.0/24"
DRIVERS: dict[str, Callable[[], driver.NetworkDriver]] = {
    bridge.NAME: functools.partial(bridge.BridgeDriver, INSTANCE),
    choosing_driver.NAME: choosing_driver.ChoosingDriver,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Bench:
    """A driver with a network of its own."""

    driver: driver.NetworkDriver
    record: network_spec.NetworkRecord
    pool: ipam.Addresses
    kernel: kernel_api.Kernel
    folder: pathlib.Path

    def connection(self, container_id: str) -> driver.Connection:
        """Return the connection of a container, with the addresses that are leased for it."""
        addresses = self.driver.lease(self.pool, None, ())
        self.pool.take(addresses)
        endpoint = network_spec.Endpoint(container_id, f"name-{container_id}", self.record.name, "eth0", None, ())
        return driver.Connection(endpoint.at(addresses), self.record)

    @contextlib.contextmanager
    def namespace(self, container_id: str) -> Iterator[driver.Namespace]:
        """Make a container's namespace."""
        path = self.folder / container_id
        with namespaces.created(self.kernel, path) as (descriptor, inner):
            inner.perform([netlink.link_up(1)])
            yield driver.Namespace(descriptor, inner)
        namespaces.remove(self.kernel, path)

    def connect(self, namespace: driver.Namespace, connection: driver.Connection) -> driver.Connection:
        """Connect, and return the connection with the addresses that it has."""
        addresses = self.driver.connect(namespace, connection)
        return dataclasses.replace(connection, endpoint=connection.endpoint.at(addresses))

    def problems(self, namespace: driver.Namespace, connection: driver.Connection) -> list[str]:
        """Return what is wrong with a network and a connection."""
        host = hostlinks.HostLinks()
        host.load()
        outside = [*self.driver.problems(self.record, host), *self.driver.settings_problems(self.record)]
        outside += self.driver.connection_problems(connection, host)
        return outside + inside.problems(self.kernel, namespace.descriptor, [connection])

    def own_links(self) -> set[str]:
        """Return the links of the instance on the host."""
        return {name for name in links.names() if name.startswith((f"tt{INSTANCE}", f"v{INSTANCE}"))}


@pytest.fixture(params=sorted(DRIVERS))
def bench(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[Bench]:
    network_driver = DRIVERS[request.param]()
    requested = network_spec.NetworkSpec("shop", (addressing.subnet(SUBNET),), driver=request.param)
    completed = network_driver.complete(requested, ())
    record = network_spec.NetworkRecord(0, f"tt{INSTANCE}-0", completed)
    pool = ipam.Addresses(completed.subnets, (), None)
    under_test = Bench(network_driver, record, pool, linux.LinuxKernel(), tmp_path)
    network_driver.ensure(record)
    yield under_test
    network_driver.remove(record)
    assert under_test.own_links() == set()


def test_complete__keeps_what_is_asked_for(bench: Bench) -> None:
    spec = bench.record.spec
    assert (spec.name, [str(subnet.subnet) for subnet in spec.subnets]) == ("shop", [SUBNET])
    assert all(subnet.gateway in subnet.subnet for subnet in spec.subnets if subnet.gateway is not None)
    assert all(subnet.gateway is not None for subnet in spec.subnets) or not bench.driver.is_gateway


def test_complete__subnet_is_in_use__is_a_conflict(bench: Bench) -> None:
    with pytest.raises(errors.Conflict) as caught:
        bench.driver.complete(bench.record.spec, [ipaddress.ip_network("10.247.0.0/16")])
    assert caught.value.reason == "SubnetInUse"


def test_ensure__again__changes_nothing_and_nothing_is_wrong(bench: Bench) -> None:
    before = bench.own_links()
    bench.driver.ensure(bench.record)
    host = hostlinks.HostLinks()
    host.load()
    assert [*bench.driver.problems(bench.record, host), *bench.driver.settings_problems(bench.record)] == []
    assert bench.own_links() == before == set(bench.driver.links(bench.record))


def test_remove__is_noticed__can_be_repeated__and_ensure_makes_it_again(bench: Bench) -> None:
    for _ in range(2):
        bench.driver.remove(bench.record)
        host = hostlinks.HostLinks()
        host.load()
        assert list(bench.driver.problems(bench.record, host)) != []
        assert bench.own_links() == set()
    bench.driver.ensure(bench.record)
    host.load()
    assert list(bench.driver.problems(bench.record, host)) == []


def test_lease__for_two_containers__differs__and_what_one_holds_is_free_for_it(bench: Bench) -> None:
    first, second = bench.connection("a").endpoint.addresses, bench.connection("b").endpoint.addresses
    assert not set(first) & set(second)
    if first:
        assert bench.driver.lease(bench.pool, first[0], first) == first
        with pytest.raises(errors.Conflict):
            bench.driver.lease(bench.pool, first[0], ())


def test_connect__gives_the_addresses_that_it_returns(bench: Bench) -> None:
    with bench.namespace("a") as namespace:
        leased = bench.connection("a")
        connected = bench.connect(namespace, leased)
        assert connected.endpoint.addresses
        assert leased.endpoint.addresses in {(), connected.endpoint.addresses}
        assert bench.problems(namespace, connected) == []
        link = bench.driver.link(connected.endpoint)
        assert link is None or link in bench.own_links()
        bench.driver.disconnect([connected])


def test_connect__two_containers__have_different_addresses(bench: Bench) -> None:
    with bench.namespace("a") as first, bench.namespace("b") as second:
        connections = [bench.connect(first, bench.connection("a")), bench.connect(second, bench.connection("b"))]
        addresses = [address for connection in connections for address in connection.endpoint.addresses]
        assert len(set(addresses)) == len(addresses)
        for namespace, connection in zip((first, second), connections, strict=True):
            assert bench.problems(namespace, connection) == []
        bench.driver.disconnect(connections)


def test_connect__network_is_gone__fails_and_leaves_nothing(bench: Bench) -> None:
    bench.driver.remove(bench.record)
    with bench.namespace("a") as namespace:
        with pytest.raises(errors.Unavailable) as caught:
            bench.driver.connect(namespace, bench.connection("a"))
        assert caught.value.reason == "NetworkBroken"
        assert namespace.inside.find("eth0") is None
        assert bench.own_links() == set()


def test_connect__after_a_crash_in_the_middle__connects(bench: Bench) -> None:
    connection = bench.connection("a")
    with bench.namespace("former") as former:
        connection = bench.connect(former, connection)
        with bench.namespace("a") as namespace:
            again = bench.connect(namespace, connection)
            assert again.endpoint.addresses == connection.endpoint.addresses
            assert bench.problems(namespace, again) == []
            bench.driver.disconnect([again])


def test_disconnect__several_and_again__leaves_nothing_of_them(bench: Bench) -> None:
    with bench.namespace("a") as first, bench.namespace("b") as second:
        connections = [bench.connect(first, bench.connection("a")), bench.connect(second, bench.connection("b"))]
    for _ in range(2):
        bench.driver.disconnect(connections)
        assert bench.own_links() == set(bench.driver.links(bench.record))


@pytest.mark.parametrize("harm", [("address", "flush", "dev", "eth0"), ("link", "delete", "eth0")])
def test_mend__address_or_interface_is_gone__is_as_it_was(bench: Bench, harm: tuple[str, ...]) -> None:
    with bench.namespace("a") as namespace:
        connection = bench.connect(namespace, bench.connection("a"))
        run_inside(namespace, "ip", *harm)
        assert bench.problems(namespace, connection) != []
        bench.driver.mend(namespace, connection)
        assert bench.problems(namespace, connection) == []
        bench.driver.disconnect([connection])


def test_calls__from_other_threads__work_as_well(bench: Bench) -> None:
    problems: list[str] = []

    def work() -> None:
        with bench.namespace("a") as namespace:
            connection = bench.connect(namespace, bench.connection("a"))
            problems.extend(bench.problems(namespace, connection))
            bench.driver.disconnect([connection])
            problems.append("end")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert problems == ["end"]


def run_inside(namespace: driver.Namespace, *words: str) -> None:
    """Run a program of the host in a namespace."""
    command = ["nsenter", f"--net=/proc/self/fd/{namespace.descriptor}", *words]
    subprocess.run(command, check=True, capture_output=True, pass_fds=(namespace.descriptor,))
