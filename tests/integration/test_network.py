"""Container networks over the real kernel: who finds whom, where routes lead, and what is mended."""

import asyncio
import contextlib
import os
import pathlib
import signal
import socket
from collections.abc import AsyncIterator

import pytest

from agent import errors
from agent.engine import recover
from agent.kit import processes, tasks
from agent.model import container, network
from tests import hostports, networking

pytestmark = pytest.mark.root
HTTPD = ("/bin/httpd", "-f", "-p", "80", "-h", "/www")
STOP_NOW = container.StopConfig("SIGKILL", 5.0)


@pytest.fixture
async def bench(busybox_archive: pathlib.Path, tmp_path: pathlib.Path) -> AsyncIterator[networking.Bench]:
    """A runtime with nothing in it but an image; afterwards nothing of it is left on the host."""
    async with networking.opened(busybox_archive, tmp_path) as networking_bench:
        yield networking_bench


async def test_names__in_one_network__lead_to_each_other_by_name_alias_and_address(bench) -> None:
    await bench.add_network("shop")
    await bench.start("web", container.NetworkAttachment("shop", ("www", "front")), command=HTTPD)
    await bench.start("client", "shop")
    address = (await bench.addresses("web"))["shop"]
    await listening(bench, address, 80)
    for name in ("web", "www", "front", address):
        page = await bench.run("client", "/bin/wget", "-q", "-O", "-", f"http://{name}/")
        assert "<html" in page.lower()


async def test_names__renamed__the_new_name_is_found_and_the_old_one_is_not(bench) -> None:
    await bench.add_network("shop")
    identity = await bench.start("web", "shop")
    await bench.start("client", "shop")
    address = (await bench.addresses("web"))["shop"]
    await bench.runtime.containers.rename(identity, "page")
    await resolving(bench, "client", "page", address)
    assert not await resolves(bench, "client", "web", address)


async def test_different_networks__neither_address_nor_name_is_reached(bench) -> None:
    await bench.add_network("shop")
    await bench.add_network("back")
    await bench.start("web", "shop")
    await bench.start("client", "back")
    await bench.start("friend", "shop")
    address = (await bench.addresses("web"))["shop"]
    async with networking.telling(bench.namespace("web")):
        assert await networking.silent(bench.namespace("client"), address)
        assert await networking.ask(bench.namespace("friend"), address) == (await bench.addresses("friend"))["shop"]
    await resolving(bench, "friend", "web", address)
    assert not await resolves(bench, "client", "web", address)


async def test_internal_network__has_no_way_out_and_no_default_route(bench) -> None:
    await bench.add_network("back", internal=True)
    await bench.start("db", "back")
    await bench.start("client", "back")
    assert await bench.routes("db") == []
    address = (await bench.addresses("db"))["back"]
    async with networking.telling(bench.namespace("db")):
        assert await networking.ask(bench.namespace("client"), address) == (await bench.addresses("client"))["back"]
    with networking.neighbour() as outside:
        gateway = (await bench.observed("back")).config.subnets[0].gateway
        networking.inside(bench.namespace("db"), "ip", "route", "add", "default", "via", str(gateway))
        async with networking.telling(outside.namespace):
            assert await networking.silent(bench.namespace("db"), outside.address)


async def test_default_route__leads_by_the_first_network_that_is_not_internal(bench) -> None:
    await bench.add_network("back", internal=True)
    gateways = {name: (await bench.add_network(name)).subnets[0].gateway for name in ("pub", "shop")}
    await bench.start("web", "back", "shop", "pub")
    assert await bench.routes("web") == [gateways["shop"]]


async def test_default_route__its_network_is_disconnected__leads_by_the_next_one(bench) -> None:
    await bench.add_network("back", internal=True)
    gateways = {name: (await bench.add_network(name)).subnets[0].gateway for name in ("pub", "shop")}
    await bench.start("web", "shop", "back", "pub")
    assert await bench.routes("web") == [gateways["shop"]]
    await bench.runtime.containers.disconnect("web", "shop")
    assert await bench.routes("web") == [gateways["pub"]]
    await bench.runtime.containers.disconnect("web", "back")
    assert await bench.routes("web") == [gateways["pub"]]
    await bench.runtime.containers.disconnect("web", "pub")
    assert await bench.routes("web") == []


async def test_default_route__first_network_that_is_not_internal_is_connected__leads_by_it(bench) -> None:
    await bench.add_network("back", internal=True)
    gateways = {name: (await bench.add_network(name)).subnets[0].gateway for name in ("pub", "shop")}
    await bench.start("web", "back")
    assert await bench.routes("web") == []
    await bench.runtime.containers.connect("web", container.NetworkAttachment("shop"))
    assert await bench.routes("web") == [gateways["shop"]]
    await bench.runtime.containers.connect("web", container.NetworkAttachment("pub"))
    assert await bench.routes("web") == [gateways["shop"]]


async def test_connect_and_disconnect__running__gives_and_takes_an_interface(bench) -> None:
    await bench.add_network("shop")
    await bench.add_network("back")
    await bench.start("web", "shop")
    await bench.start("db", "back")
    assert await interfaces(bench, "web") == ["eth0", "lo"]
    await bench.runtime.containers.connect("web", container.NetworkAttachment("back", ("front",)))
    assert await interfaces(bench, "web") == ["eth0", "eth1", "lo"]
    address = (await bench.addresses("web"))["back"]
    async with networking.telling(bench.namespace("web")):
        assert await networking.ask(bench.namespace("db"), address) == (await bench.addresses("db"))["back"]
        await resolving(bench, "db", "front", address)
        await bench.runtime.containers.disconnect("web", "back")
        assert await interfaces(bench, "web") == ["eth0", "lo"]
        assert await networking.silent(bench.namespace("db"), address)


async def test_address__fixed__is_kept_over_a_restart_and_refused_to_others(bench) -> None:
    await bench.add_network("shop", subnets=(network.Subnet("10.98.7.0/24", None, None),))
    fixed = container.NetworkAttachment("shop", (), "10.98.7.77")
    await bench.start("web", fixed)
    with pytest.raises(errors.Conflict) as caught:
        await bench.start("thief", fixed)
    assert caught.value.reason == "AddressInUse"
    await bench.runtime.containers.stop("web", STOP_NOW)
    await bench.runtime.containers.start("web")
    assert await bench.addresses("web") == {"shop": "10.98.7.77"}
    assert "10.98.7.77/24" in await bench.run("web", "/bin/ip", "address", "show", "eth0")


async def test_addresses__twenty_containers_at_once__are_distinct_and_answer(bench) -> None:
    await bench.add_network("shop")
    await tasks.together("start", *(bench.start(f"c{number}", "shop") for number in range(20)))
    addresses = {(await bench.addresses(f"c{number}"))["shop"] for number in range(20)}
    assert len(addresses) == 20
    async with networking.telling(bench.namespace("c7")):
        mine = (await bench.addresses("c7"))["shop"]
        assert await networking.ask(bench.namespace("c19"), mine) == (await bench.addresses("c19"))["shop"]


async def test_mtu__of_the_network__is_the_bridges_and_the_containers(bench) -> None:
    await bench.add_network("shop", mtu=1380)
    await bench.start("web", "shop")
    assert pathlib.Path(f"/sys/class/net/{bench.bridge('shop')}/mtu").read_text() == "1380\n"
    assert "mtu 1380" in await bench.run("web", "/bin/ip", "link", "show", "eth0")


async def test_resolv_conf__names_the_gateways_of_networks_with_dns_only(bench) -> None:
    gateways = [str((await bench.add_network(name)).subnets[0].gateway) for name in ("back", "shop")]
    await bench.add_network("mute", dns=False)
    await bench.start("web", "back", "mute", "shop")
    lines = (await bench.run("web", "/bin/cat", "/etc/resolv.conf")).splitlines()
    assert lines[:2] == [f"nameserver {gateway}" for gateway in gateways]
    assert not any(line.startswith("nameserver") for line in lines[2:])


async def test_resolv_conf__of_one_in_an_internal_network_and_another__names_servers_that_forward(bench) -> None:
    await bench.add_network("back", internal=True)
    gateway = str((await bench.add_network("shop")).subnets[0].gateway)
    await bench.start("web", "back", "shop")
    await bench.start("db", "back")
    lines = (await bench.run("web", "/bin/cat", "/etc/resolv.conf")).splitlines()
    assert [line for line in lines if line.startswith("nameserver")] == [f"nameserver {gateway}"]
    await resolving(bench, "web", "db", (await bench.addresses("db"))["back"])
    await resolving(bench, "db", "web", (await bench.addresses("web"))["back"])


async def test_resolv_conf__networks_are_entered_and_left_in_place__names_the_servers_of_those_that_it_is_in(
    bench,
) -> None:
    inner, outer = [
        str((await bench.add_network(name, internal=internal)).subnets[0].gateway)
        for name, internal in (("back", True), ("shop", False))
    ]
    await bench.start("web", "back")

    async def servers() -> list[str]:
        lines = (await bench.run("web", "/bin/cat", "/etc/resolv.conf")).splitlines()
        return [line.split()[1] for line in lines if line.startswith("nameserver")]

    assert await servers() == [inner]
    await bench.runtime.containers.connect("web", container.NetworkAttachment("shop"))
    assert await servers() == [outer]
    await bench.runtime.containers.disconnect("web", "shop")
    assert await servers() == [inner]


async def test_names__asked_over_tcp__are_answered_in_each_kind_of_network(bench) -> None:
    for name, internal in (("shop", False), ("back", True)):
        await bench.add_network(name, internal=internal)
        await bench.start(f"{name}-web", name)
        gateway = str((await bench.observed(name)).config.subnets[0].gateway)
        labels = f"{name}-web".encode()
        question = b"\0\1\1\0\0\1" + bytes(6) + bytes([len(labels)]) + labels + b"\0\0\1\0\1"
        loop = asyncio.get_running_loop()
        with networking.made_in(bench.namespace(f"{name}-web"), networking.TCP) as client:
            await loop.sock_connect(client, (gateway, 53))
            await loop.sock_sendall(client, len(question).to_bytes(2, "big") + question)
            answer = await loop.sock_recv(client, 1000)
        assert socket.inet_aton((await bench.addresses(f"{name}-web"))[name]) in answer


async def test_second_instance__with_the_same_names__runs_beside_it_and_neither_sees_the_other(
    bench, busybox_archive: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    mine = await bench.add_network("shop")
    await bench.start("web", "shop")
    async with networking.telling(bench.namespace("web")):
        async with networking.opened(busybox_archive, tmp_path / "other") as other:
            theirs = await other.add_network("shop")
            await other.start("web", "shop")
            await other.start("client", "shop")
            assert mine.subnets != theirs.subnets
            assert bench.bridge("shop") != other.bridge("shop")
            addresses = await other.addresses("web")
            await resolving(other, "client", "web", addresses["shop"])
            address = (await bench.addresses("web"))["shop"]
            assert await networking.silent(other.namespace("client"), address)
            assert [container.name for container in await bench.runtime.containers.list()] == ["web"]
        await bench.start("client", "shop")
        assert await networking.ask(bench.namespace("client"), address) == (await bench.addresses("client"))["shop"]
    assert (await bench.observed("shop")).healthy


async def test_bridge__deleted__is_unhealthy_and_mended_with_its_containers_on_it(bench) -> None:
    config = await bench.add_network("shop")
    await bench.start("web", "shop")
    await bench.start("client", "shop")
    networking.command("ip", "link", "delete", bench.bridge("shop"))
    assert not (await bench.observed("shop")).healthy
    await assert_mended(bench, config)


@pytest.mark.parametrize("harm", ["ip link set {} down", "ip address flush dev {}"])
async def test_bridge__changed__is_unhealthy_and_mended(bench, harm: str) -> None:
    config = await bench.add_network("shop")
    await bench.start("web", "shop")
    await bench.start("client", "shop")
    networking.command(*harm.format(bench.bridge("shop")).split())
    assert not (await bench.observed("shop")).healthy
    await assert_mended(bench, config)


async def test_firewall__its_table_is_deleted__is_unhealthy_and_back_with_the_next_change(bench) -> None:
    await bench.add_network("shop")
    await bench.add_network("back")
    await bench.start("web", "shop")
    await bench.start("client", "back")
    table = f"trimtab-{bench.runtime.engine.where.instance}"
    before = rules(table)
    networking.command("nft", "delete", "table", "inet", table)
    assert [network.healthy for network in await bench.runtime.networks.list()] == [False, False]
    await bench.runtime.containers.connect("client", container.NetworkAttachment("shop"))
    assert [network.healthy for network in await bench.runtime.networks.list()] == [True, True]
    assert rules(table) == before


async def test_dns_server__killed__is_unhealthy_and_mended(bench) -> None:
    config = await bench.add_network("shop")
    await bench.add_network("mute", dns=False)
    await bench.start("web", "shop")
    await bench.start("client", "shop")
    pid = int((bench.runtime.engine.where.dns / "aardvark.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        await processes.wait(pid)
    assert {network.name: network.healthy for network in await bench.runtime.networks.list()} == {
        "mute": True,
        "shop": False,
    }
    await assert_mended(bench, config)


async def test_restore__after_a_crash__removes_strangers_and_keeps_what_runs(
    busybox_archive: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    async with networking.opened(busybox_archive, tmp_path) as bench:
        await bench.add_network("shop")
        await bench.start("web", "shop")
        instance = bench.runtime.engine.where.instance
        strangers = [f"tt{instance}-99", f"v{instance}deadbeef"]
        networking.command("ip", "link", "add", strangers[0], "type", "bridge")
        networking.command("ip", "link", "add", strangers[1], "type", "veth", "peer", "name", f"ttp{instance}")
        bench.runtime.engine.networks.namespace("a" * 32).touch()
        leftovers = await recover.leftovers(bench.runtime.engine.recovery)
        assert sorted(leftovers) == [*(f"link {name}" for name in strangers), f"network namespace {'a' * 32}"]
        await bench.runtime.engine.networks.restore(networking.openers(bench))
        assert await recover.leftovers(bench.runtime.engine.recovery) == []
        assert await bench.routes("web") == [(await bench.observed("shop")).config.subnets[0].gateway]


async def test_opening__a_published_port_was_taken_meanwhile__goes_on_with_what_runs(
    busybox_archive: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    port = hostports.free_port()
    published = (container.PortMapping(port, networking.PORT, container.TransportProtocol.TCP, "127.0.0.1"),)
    try:
        async with networking.opened(busybox_archive, tmp_path, keep=True) as bench:
            await bench.add_network("shop")
            await bench.start("web", "shop", ports=published)
        with socket.create_server(("127.0.0.1", port)):
            async with networking.opened(busybox_archive, tmp_path, keep=True) as bench:
                gateway = (await bench.observed("shop")).config.subnets[0].gateway
                async with networking.telling(bench.namespace("web")):
                    assert await networking.ask(networking.HOST, "127.0.0.1", port) == gateway
    finally:
        async with networking.opened(busybox_archive, tmp_path):
            pass  # which empties it


async def assert_mended(bench: networking.Bench, config: network.NetworkConfig) -> None:
    """Mend a network and see that its containers reach each other in it by name."""
    await bench.runtime.networks.create(config, ())
    assert (await bench.observed(config.name)).healthy
    address = (await bench.addresses("web"))[config.name]
    async with networking.telling(bench.namespace("web")):
        assert await networking.ask(bench.namespace("client"), address) == (await bench.addresses("client"))["shop"]
        assert await networking.ask(networking.HOST, address) == config.subnets[0].gateway
    await resolving(bench, "client", "web", address)


async def interfaces(bench: networking.Bench, name: str) -> list[str]:
    """Return a container's interfaces."""
    return sorted((await bench.run(name, "/bin/ls", "/sys/class/net")).split())


async def resolves(bench: networking.Bench, asking: str, name: str, address: str) -> bool:
    """Return whether a name leads to an address, asked from a container."""
    answer = await bench.run(asking, "/bin/sh", "-c", f"nslookup {name} || true")
    return address in answer


async def resolving(bench: networking.Bench, asking: str, name: str, address: str) -> None:
    """Wait until a name leads to an address: the DNS server reads its files in its own time."""
    async with asyncio.timeout(5):
        while not await resolves(bench, asking, name, address):
            pass


async def listening(bench: networking.Bench, address: str, port: int) -> None:
    """Wait until a container's program listens."""
    async with asyncio.timeout(5):
        while True:
            with networking.made_in(networking.HOST, networking.TCP) as client:
                try:
                    return await asyncio.get_running_loop().sock_connect(client, (address, port))
                except ConnectionRefusedError:
                    await bench.runtime.containers.stats()


def rules(table: str) -> list[str]:
    """Return a table's rules."""
    return networking.command("nft", "list", "table", "inet", table).splitlines()
