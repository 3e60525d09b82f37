"""Attacks on the host and on other networks: from containers with capabilities of an attacker, and from the LAN."""

import asyncio
import contextlib
import ipaddress
import pathlib
import socket
import struct
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from agent.model import container
from tests import hostports, networking
from tests.networking import HOST, TCP, UDP

pytestmark = pytest.mark.root
KINDS = pytest.mark.parametrize("kind", [TCP, UDP], ids=["tcp", "udp"])
_SILENCE = 0.5
_ADVERTISEMENT = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
"""A router advertisement: a default route for half an hour."""


@pytest.fixture
async def bench(busybox_archive: pathlib.Path, tmp_path: pathlib.Path) -> AsyncIterator[networking.Bench]:
    """A runtime with nothing in it but an image; afterwards nothing of it is left on the host."""
    async with networking.opened(busybox_archive, tmp_path) as networking_bench:
        yield networking_bench


async def gateway_of(bench: networking.Bench, name: str) -> str:
    """Return the host's address in a network."""
    return str((await bench.observed(name)).config.subnets[0].gateway)


def published(port: int, address: str) -> tuple[container.PortMapping, ...]:
    """Publish the telling server, TCP and UDP."""
    protocols = (container.TransportProtocol.TCP, container.TransportProtocol.UDP)
    return tuple(container.PortMapping(port, networking.PORT, protocol, address) for protocol in protocols)


def use_loopback_as_any(namespace: pathlib.Path) -> None:
    """Allow a namespace to send to and from 127/8 on its veth pair, as its root can."""
    networking.inside(namespace, "ip", "address", "flush", "dev", "lo")
    networking.inside(namespace, "sysctl", "-q", "-w", "net.ipv4.conf.all.route_localnet=1")


@KINDS
async def test_neighbour__routes_loopback_to_the_host__does_not_reach_what_is_published_there(bench, kind: int) -> None:
    port = hostports.free_port()
    await bench.add_network("shop")
    await bench.start("web", "shop", ports=published(port, "127.0.0.1"))
    with networking.neighbour() as outside:
        use_loopback_as_any(outside.namespace)
        networking.inside(outside.namespace, "ip", "route", "add", "127.0.0.1/32", "via", outside.host)
        async with networking.telling(bench.namespace("web")):
            assert await networking.ask(HOST, "127.0.0.1", port, kind) == await gateway_of(bench, "shop")
            assert await networking.silent(outside.namespace, "127.0.0.1", port, kind)


@KINDS
@pytest.mark.parametrize("source", ["127.0.0.9", "203.0.113.7"])
async def test_container__with_a_foreign_source__is_not_heard_by_services_of_the_host(
    bench, kind: int, source: str
) -> None:
    await bench.add_network("shop")
    await bench.start("web", "shop")
    namespace, gateway = bench.namespace("web"), await gateway_of(bench, "shop")
    use_loopback_as_any(namespace)
    networking.inside(namespace, "ip", "address", "add", f"{source}/32", "dev", "lo")
    own = (await bench.addresses("web"))["shop"]
    assert await heard_from(namespace, own, gateway, kind)
    assert not await heard_from(namespace, source, gateway, kind)


async def heard_from(namespace: pathlib.Path, source: str, target: str, kind: int) -> bool:
    """Return whether a packet with a source address arrives at the host: a TCP server's answer may go elsewhere."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(networking.made_in(HOST, socket.SOCK_RAW, socket.AF_INET, _protocol(kind)))
        server = stack.enter_context(networking.made_in(HOST, kind))
        server.bind((target, 0))
        if kind == TCP:
            server.listen()
        client = stack.enter_context(networking.made_in(namespace, kind))
        client.bind((source, 0))
        raw.bind((target, 0))
        with contextlib.suppress(OSError):
            async with asyncio.timeout(_SILENCE / 2):
                await loop.sock_connect(client, server.getsockname())
        with contextlib.suppress(OSError):
            client.send(b"?")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SILENCE):
                while True:
                    packet, sender = await loop.sock_recvfrom(raw, 2000)
                    if sender[0] == source and packet[22:24] == struct.pack("!H", server.getsockname()[1]):
                        return await _is_received(server, kind)
    return False


async def _is_received(server: socket.socket, kind: int) -> bool:
    """Raw sockets hear what the firewall's input chain drops as well as what it lets pass: ask the server."""
    if kind == TCP:
        return True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SILENCE):
            await asyncio.get_running_loop().sock_recvfrom(server, 100)
            return True
    return False


def _protocol(kind: int) -> int:
    return socket.IPPROTO_TCP if kind == TCP else socket.IPPROTO_UDP


async def test_router_advertisement__from_a_container__is_no_default_route_of_the_host(bench) -> None:
    await bench.add_network("shop")
    await bench.start("web", "shop")
    namespace, bridge = bench.namespace("web"), bench.bridge("shop")
    assert "inet6" not in networking.command("ip", "address", "show", "dev", bridge)
    assert "inet6" not in networking.inside(namespace, "ip", "address", "show", "dev", "eth0")
    assert "inet6 ::1/128" in networking.inside(namespace, "ip", "address", "show", "dev", "lo"), (
        "its own loopback stays"
    )
    before = networking.command("ip", "-6", "route", "show", "default")
    turn_on_ipv6(namespace)
    with networking.made_in(namespace, socket.SOCK_RAW, socket.AF_INET6, socket.IPPROTO_ICMPV6) as router:
        router.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        index = index_of_eth0(namespace)
        for _ in range(3):
            router.sendto(_ADVERTISEMENT, ("ff02::1", 0, 0, index))
            await asyncio.sleep(0.1)
    assert networking.command("ip", "-6", "route", "show", "default") == before


async def test_internal_container__that_turns_on_ipv6__reaches_no_service_of_the_host(bench) -> None:
    await bench.add_network("back", internal=True)
    await bench.start("db", "back")
    namespace, bridge = bench.namespace("db"), bench.bridge("back")
    turn_on_ipv6(namespace)
    lines = map(str.split, networking.command("ip", "-6", "address", "show", "dev", bridge).splitlines())
    own = next((words[1].partition("/")[0] for words in lines if words[0] == "inet6"), link_local(bridge))
    with networking.made_in(HOST, TCP, socket.AF_INET6) as server:
        server.bind(("::", 0))
        server.listen()
        target = (own, server.getsockname()[1], 0, index_of_eth0(namespace))
        for _ in range(6):  # the kernel takes its time until an address may be used
            assert not await connects(namespace, target)
            await asyncio.sleep(_SILENCE / 2)


def link_local(link: str) -> str:
    """Return the address that a link gives itself."""
    hardware = pathlib.Path(f"/sys/class/net/{link}/address").read_text().strip()
    words = [int(part, 16) for part in hardware.split(":")]
    return str(ipaddress.IPv6Address(bytes([0xFE, 0x80, *[0] * 6, words[0] ^ 2, *words[1:3], 0xFF, 0xFE, *words[3:]])))


async def connects(namespace: pathlib.Path, target: tuple[str, int, int, int]) -> bool:
    """Return whether a connection over IPv6 is made."""
    with networking.made_in(namespace, TCP, socket.AF_INET6) as client, contextlib.suppress(OSError):
        async with asyncio.timeout(_SILENCE):
            await asyncio.get_running_loop().sock_connect(client, target)
            return True
    return False


def index_of_eth0(namespace: pathlib.Path) -> int:
    """Return the index of a container's first interface."""
    return int(networking.inside(namespace, "ip", "-o", "link", "show", "dev", "eth0").partition(":")[0])


def turn_on_ipv6(namespace: pathlib.Path) -> None:
    """Do what a container with a writable /proc/sys can."""
    networking.inside(namespace, "sysctl", "-q", "-w", "net.ipv6.conf.eth0.disable_ipv6=0")
    networking.inside(namespace, "sysctl", "-q", "-w", "net.ipv6.conf.eth0.accept_dad=0")
    networking.inside(namespace, "ip", "link", "set", "eth0", "down")
    networking.inside(namespace, "ip", "link", "set", "eth0", "up")


async def test_internal_network__a_name_of_the_world__is_asked_of_nobody(bench) -> None:
    await bench.add_network("back", internal=True)
    await bench.add_network("shop")
    await bench.start("db", "back")
    await bench.start("web", "back", "shop")
    mark = uuid.uuid4().hex[:12]
    with way_to_resolvers(), listening_to_all() as wire:
        await bench.run("web", "/bin/sh", "-c", f"timeout 1 nslookup -type=a {mark}w.example || true")
        assert await is_sent_out(wire, bench, f"{mark}w"), "who is in another network as well asks the world"
        await bench.run("db", "/bin/sh", "-c", f"timeout 2 nslookup -type=a {mark}d.example || true")
        spoofed = str(ipaddress.ip_address((await bench.addresses("db"))["back"]) + 77)
        networking.inside(bench.namespace("db"), "ip", "address", "add", f"{spoofed}/20", "dev", "eth0")
        with networking.made_in(bench.namespace("db"), UDP) as client:
            client.bind((spoofed, 0))
            client.sendto(question(f"{mark}d"), (await gateway_of(bench, "back"), 53))
            assert not await is_sent_out(wire, bench, f"{mark}d")


def question(name: str) -> bytes:
    """Return a DNS question for the address of a name in the domain ``example``."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in (name, "example"))
    return struct.pack("!HHHHHH", 1, 0x100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"


@contextlib.contextmanager
def way_to_resolvers() -> Iterator[None]:
    """Let questions to the host's resolvers leave it, also where it has no way out."""
    lines = map(str.split, pathlib.Path("/etc/resolv.conf").read_text().splitlines())
    resolvers = [words[1] for words in lines if words[:1] == ["nameserver"]]
    link = f"ttw{uuid.uuid4().hex[:6]}"
    networking.command("ip", "link", "add", link, "type", "veth", "peer", "name", f"{link}o")
    try:
        networking.command("ip", "link", "set", link, "up", "arp", "off")
        networking.command("ip", "link", "set", f"{link}o", "up")
        networking.command("ip", "address", "add", "198.18.255.1/32", "dev", link)
        for resolver in filter(is_out_of_reach, resolvers):
            networking.command("ip", "route", "add", f"{resolver}/32", "dev", link)
        yield
    finally:
        networking.command("ip", "link", "delete", link)


def is_out_of_reach(resolver: str) -> bool:
    """Return whether the host has no route to an IPv4 address: none that it has may be led elsewhere."""
    route = subprocess.run(["ip", "-4", "route", "get", resolver], check=False, capture_output=True)
    return route.returncode != 0 and ":" not in resolver


@contextlib.contextmanager
def listening_to_all() -> Iterator[socket.socket]:
    """Hear every packet on every link of the host."""
    everything = 3
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(everything)) as wire:
        yield wire


async def is_sent_out(wire: socket.socket, bench: networking.Bench, mark: str) -> bool:
    """Return whether a packet with a mark in it leaves the host, or goes to a resolver on it."""
    prefixes = (f"tt{bench.runtime.engine.where.instance}-", f"v{bench.runtime.engine.where.instance}")
    loop = asyncio.get_running_loop()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.5):
            while True:
                packet, sender = await loop.sock_recvfrom(wire, 2000)
                if mark.encode() in packet and not sender[0].startswith(prefixes):
                    return True
    return False


async def test_names_of_another_network__asked_of_its_gateway__are_not_answered(bench) -> None:
    for name, internal in (("shop", False), ("back", False), ("vault", True)):
        await bench.add_network(name, internal=internal)
        await bench.start(f"{name}-web", name)
    for asking in ("shop", "back", "vault"):
        for asked in ("shop", "back", "vault"):
            gateway, address = await gateway_of(bench, asked), (await bench.addresses(f"{asked}-web"))[asked]
            lookup = f"timeout 1 nslookup -type=a {asked}-web {gateway} || true"
            answer = await bench.run(f"{asking}-web", "/bin/sh", "-c", lookup)
            assert (address in answer) == (asking == asked), (asking, asked, answer)


async def test_internal_network__reaches_no_address_of_the_host_but_its_gateway(bench) -> None:
    await bench.add_network("vault", internal=True)
    await bench.add_network("shop")
    await bench.start("db", "vault")
    own, other = await gateway_of(bench, "vault"), await gateway_of(bench, "shop")
    networking.inside(bench.namespace("db"), "ip", "route", "add", "default", "via", own)
    port = hostports.free_port()
    async with networking.telling(HOST, port=port):
        assert await networking.ask(bench.namespace("db"), own, port) == (await bench.addresses("db"))["vault"]
        assert await networking.silent(bench.namespace("db"), other, port)


async def test_neighbour__uses_the_host_as_a_router_that_only_we_have_made_one__does_not_get_through(bench) -> None:
    with networking.neighbour() as left_host, networking.neighbour(1) as right:
        networking.inside(left_host.namespace, "ip", "route", "add", "default", "via", left_host.host)
        networking.inside(right.namespace, "ip", "route", "add", "default", "via", right.host)
        port = hostports.free_port()
        await bench.add_network("shop")  # forwarding is on from here
        await bench.start("web", "shop", ports=published(port, "0.0.0.0"))
        async with networking.telling(right.namespace), networking.telling(bench.namespace("web")):
            (bench.runtime.engine.where.forwarding).write_text(f"{left_host.link} {right.link}")
            await bench.add_network("back")
            assert await networking.silent(left_host.namespace, right.address)
            assert await networking.ask(bench.namespace("web"), right.address) == right.host
            assert await networking.ask(left_host.namespace, left_host.host, port) == left_host.address
            bench.runtime.engine.where.forwarding.unlink()
            await bench.add_network("side")
            assert await networking.ask(left_host.namespace, right.address) == left_host.address, (
                "others' forwarding stays open"
            )
