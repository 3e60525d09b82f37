"""Published ports and masquerading over the real kernel, seen from the host, from containers and from outside."""

import pathlib
from collections.abc import AsyncIterator, Iterator

import pytest

from agent.model import container
from tests import hostports, networking
from tests.networking import HOST, TCP, UDP

pytestmark = pytest.mark.root
KINDS = pytest.mark.parametrize("kind", [TCP, UDP], ids=["tcp", "udp"])


@pytest.fixture
def own_network() -> Iterator[None]:
    """Be on a host of its own: port 53 everywhere would be taken by the names of a network that another test has."""
    with networking.own_network():
        yield


@pytest.fixture
async def bench(busybox_archive: pathlib.Path, tmp_path: pathlib.Path) -> AsyncIterator[networking.Bench]:
    """A runtime with nothing in it but an image; afterwards nothing of it is left on the host."""
    async with networking.opened(busybox_archive, tmp_path) as networking_bench:
        yield networking_bench


def published(port: int, address: str = "0.0.0.0") -> tuple[container.PortMapping, ...]:
    """Publish the telling server, TCP and UDP."""
    protocols = (container.TransportProtocol.TCP, container.TransportProtocol.UDP)
    return tuple(container.PortMapping(port, networking.PORT, protocol, address) for protocol in protocols)


async def gateway_of(bench: networking.Bench, name: str) -> str:
    """Return the host's address in a network."""
    return str((await bench.observed(name)).config.subnets[0].gateway)


@KINDS
async def test_port__published_everywhere__answers_on_every_address_of_the_host(bench, kind: int) -> None:
    port = hostports.free_port()
    await bench.add_network("shop")
    await bench.start("web", "shop", ports=published(port))
    gateway = await gateway_of(bench, "shop")
    with networking.neighbour() as outside:
        async with networking.telling(bench.namespace("web")):
            answers = {
                address: await networking.ask(HOST, address, port, kind)
                for address in ("127.0.0.1", "127.0.0.9", gateway, outside.host)
            }
            assert answers == {
                "127.0.0.1": gateway,
                "127.0.0.9": gateway,
                gateway: gateway,
                outside.host: outside.host,
            }


@KINDS
async def test_port__published_everywhere__answers_a_machine_next_to_the_host_and_sees_it(bench, kind: int) -> None:
    port = hostports.free_port()
    await bench.add_network("shop")
    await bench.start("web", "shop", ports=published(port))
    with networking.neighbour() as outside:
        async with networking.telling(bench.namespace("web")):
            assert await networking.ask(outside.namespace, outside.host, port, kind) == outside.address


@KINDS
async def test_port__published_everywhere__answers_other_containers_and_itself(bench, kind: int) -> None:
    port = hostports.free_port()
    await bench.add_network("shop")
    await bench.add_network("back")
    await bench.start("web", "shop", ports=published(port))
    await bench.start("friend", "shop")
    await bench.start("stranger", "back")
    gateways = [await gateway_of(bench, name) for name in ("shop", "back")]
    async with networking.telling(bench.namespace("web")):
        for host in gateways:
            assert await networking.ask(bench.namespace("friend"), host, port, kind) == gateways[0]
            assert await networking.ask(bench.namespace("web"), host, port, kind) == gateways[0]
            source_address = await networking.ask(bench.namespace("stranger"), host, port, kind)
            assert source_address == gateways[0], "masqueraded: what leaves its network is"


@KINDS
async def test_port__published_on_loopback__answers_there_and_nowhere_else(bench, kind: int) -> None:
    port = hostports.free_port()
    await bench.add_network("shop")
    await bench.start("web", "shop", ports=published(port, "127.0.0.1"))
    await bench.start("friend", "shop")
    gateway = await gateway_of(bench, "shop")
    with networking.neighbour() as outside:
        async with networking.telling(bench.namespace("web")):
            assert await networking.ask(HOST, "127.0.0.1", port, kind) == gateway
            for asking, address in (
                (HOST, "127.0.0.2"),
                (HOST, gateway),
                (HOST, outside.host),
                (outside.namespace, outside.host),
                (bench.namespace("friend"), gateway),
            ):
                assert await networking.silent(asking, address, port, kind)


@KINDS
async def test_port__published_on_one_address__answers_there_and_nowhere_else(bench, kind: int) -> None:
    port = hostports.free_port()
    await bench.add_network("shop")
    with networking.neighbour() as outside:
        await bench.start("web", "shop", ports=published(port, outside.host))
        await bench.start("friend", "shop")
        gateway = await gateway_of(bench, "shop")
        async with networking.telling(bench.namespace("web")):
            assert await networking.ask(outside.namespace, outside.host, port, kind) == outside.address
            assert await networking.ask(HOST, outside.host, port, kind) == outside.host
            assert await networking.ask(bench.namespace("friend"), outside.host, port, kind) == gateway
            assert await networking.silent(HOST, "127.0.0.1", port, kind)
            assert await networking.silent(bench.namespace("friend"), gateway, port, kind)


async def test_port__of_a_container_whose_first_network_is_internal__leads_to_the_other_one(bench) -> None:
    port = hostports.free_port()
    await bench.add_network("back", internal=True)
    await bench.add_network("shop")
    await bench.start("web", "back", "shop", ports=published(port))
    with networking.neighbour() as outside:
        async with networking.telling(bench.namespace("web"), (await bench.addresses("web"))["shop"]):
            assert await networking.ask(outside.namespace, outside.host, port) == outside.address


async def test_port__its_network_is_disconnected__leads_to_the_next_one(bench) -> None:
    port = hostports.free_port()
    await bench.add_network("back")
    await bench.add_network("shop")
    await bench.start("web", "back", "shop", ports=published(port))
    await bench.runtime.containers.disconnect("web", "back")
    with networking.neighbour() as outside:
        async with networking.telling(bench.namespace("web")):
            assert await networking.ask(outside.namespace, outside.host, port) == outside.address


async def test_port__its_container_is_stopped__is_refused_and_free_again(bench) -> None:
    port = hostports.free_port()
    await bench.add_network("shop")
    await bench.start("web", "shop", ports=published(port))
    await bench.runtime.containers.stop("web", container.StopConfig("SIGKILL", 5.0))
    assert await networking.silent(HOST, "127.0.0.1", port)
    async with networking.telling(HOST, "127.0.0.1", port):
        assert await networking.ask(HOST, "127.0.0.1", port) == "127.0.0.1"


@KINDS
@pytest.mark.usefixtures("own_network")
async def test_port_53__published_everywhere__leads_to_the_container_and_names_are_still_answered(
    bench, kind: int
) -> None:
    await bench.add_network("shop")
    await bench.start("client", "shop")
    await bench.start("web", "shop", ports=published(53))
    gateway = await gateway_of(bench, "shop")
    with networking.neighbour() as outside:
        async with networking.telling(bench.namespace("web")):
            assert await networking.ask(outside.namespace, outside.host, 53, kind) == outside.address
            assert await networking.ask(HOST, outside.host, 53, kind) == outside.host
            assert (await bench.addresses("web"))["shop"] in await bench.run("client", "/bin/nslookup", "web", gateway)
            await bench.add_network("back")
            assert (await bench.observed("back")).healthy


@KINDS
async def test_container__asks_a_machine_next_to_the_host__is_seen_as_the_host(bench, kind: int) -> None:
    await bench.add_network("shop")
    await bench.start("web", "shop")
    with networking.neighbour() as outside:
        async with networking.telling(outside.namespace):
            assert await networking.ask(bench.namespace("web"), outside.address, kind=kind) == outside.host


async def test_container__asked_by_its_own_address_from_outside__does_not_answer(bench) -> None:
    await bench.add_network("shop")
    await bench.start("web", "shop")
    address = (await bench.addresses("web"))["shop"]
    with networking.neighbour() as outside:
        networking.inside(outside.namespace, "ip", "route", "add", "default", "via", outside.host)
        async with networking.telling(bench.namespace("web")):
            assert await networking.ask(HOST, address) == await gateway_of(bench, "shop")
            assert await networking.silent(outside.namespace, address)


@KINDS
async def test_container__that_routes_loopback_to_the_host__does_not_reach_its_services(bench, kind: int) -> None:
    """What ``route_localnet``, which ports published on 127.0.0.1 need, would open to one with CAP_NET_ADMIN."""
    port = hostports.free_port()
    await bench.add_network("shop")
    await bench.start("web", "shop")
    namespace = bench.namespace("web")
    gateway = await gateway_of(bench, "shop")
    networking.inside(namespace, "ip", "address", "flush", "dev", "lo")
    networking.inside(namespace, "sysctl", "-q", "-w", "net.ipv4.conf.all.route_localnet=1")
    networking.inside(namespace, "ip", "route", "add", "127.0.0.5/32", "via", gateway)
    async with networking.telling(HOST, "127.0.0.5", port):
        assert await networking.ask(HOST, "127.0.0.5", port, kind) == "127.0.0.1"
        assert await networking.silent(namespace, "127.0.0.5", port, kind)
        received = pathlib.Path(f"/sys/class/net/{bench.bridge('shop')}/statistics/rx_packets").read_text()
        assert int(received) > 0, "it did send something to the host"


async def test_udp_flow__that_never_pauses__finds_the_container_that_replaced_the_former_one(bench) -> None:
    port = hostports.free_port()
    await bench.add_network("shop")
    await bench.start("old", "shop", ports=published(port))
    with networking.neighbour() as outside, networking.made_in(outside.namespace, UDP) as client:
        async with networking.telling(bench.namespace("old")):
            assert await networking.asked(client, outside.host, port) == outside.address
        before = (await bench.addresses("old"))["shop"]
        await bench.runtime.containers.remove("old")
        await bench.start("new", "shop", ports=published(port))
        assert (await bench.addresses("new"))["shop"] != before
        async with networking.telling(bench.namespace("new")):
            assert await networking.asked(client, outside.host, port) == outside.address


async def test_udp_flow__that_began_before_the_port_was_published__finds_the_container(bench) -> None:
    port = hostports.free_port()
    await bench.add_network("shop")
    with networking.neighbour() as outside, networking.made_in(outside.namespace, UDP) as client:
        async with networking.telling(HOST, outside.host, port):
            assert await networking.asked(client, outside.host, port) == outside.address
        await bench.start("web", "shop", ports=published(port))
        async with networking.telling(bench.namespace("web")):
            assert await networking.asked(client, outside.host, port) == outside.address


async def test_udp_flow__through_the_host_to_another_machines_port__is_left_alone(bench) -> None:
    port = hostports.free_port()
    await bench.add_network("shop")
    await bench.start("client", "shop")
    with networking.neighbour() as outside, networking.made_in(bench.namespace("client"), UDP) as client:
        async with networking.telling(outside.namespace, port=port):
            assert await networking.asked(client, outside.address, port) == outside.host
            own = f"dport={port}"
            before = flows(own)
            await bench.start("web", "shop", ports=published(port))
            assert flows(own) == before
            assert len(before) == 1


def flows(mark: str) -> list[str]:
    """Return the ends of conntrack's entries that have a mark, without what changes by itself."""
    lines = pathlib.Path("/proc/net/nf_conntrack").read_text().splitlines()
    return [line[line.index("src=") :] for line in lines if mark in line]
