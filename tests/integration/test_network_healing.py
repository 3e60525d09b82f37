"""What somebody does to networks behind the agent's back: how it is noticed, and that it is mended and stays so.

The rows of ops/docs/self-healing.md that are about networks.
"""

import asyncio
import contextlib
import os
import pathlib
import shutil
import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from agent.model import container, network
from agent.model.key import Kind
from agent.runtime import events
from tests import hostports, networking

pytestmark = pytest.mark.root
_SOON = 8.0
"""Seconds for what takes a fraction of one on a machine that is not busy."""
_QUIET = 0.6
"""Seconds in which an agent that woke itself would have done so again."""


@pytest.fixture
async def bench(busybox_archive: pathlib.Path, tmp_path: pathlib.Path) -> AsyncIterator[networking.Bench]:
    """A runtime with nothing in it but an image, on a host of its own; afterwards nothing of it is left."""
    with networking.own_network():
        async with networking.opened(busybox_archive, tmp_path) as networking_bench:
            yield networking_bench


@pytest.fixture
async def shop(bench: networking.Bench) -> network.NetworkConfig:
    """A network with two containers, one of which publishes a port; all of it is sound."""
    config = await bench.add_network("shop", mtu=1400)
    ports = (container.PortMapping(hostports.free_port(), 80, container.TransportProtocol.TCP, "127.0.0.1"),)
    await bench.start("web", "shop", ports=ports)
    await bench.start("client", "shop")
    assert (await bench.observed("shop")).healthy
    return config


@contextlib.asynccontextmanager
async def told_of(bench: networking.Bench, name: str) -> AsyncIterator[None]:
    """See that the runtime tells of a network after what the block does."""
    await asyncio.sleep(0.3)  # what was done before is told by then, and is not meant
    stream = bench.runtime.events.subscribe()
    yield
    async with asyncio.timeout(_SOON):
        await _next_of(stream, name)


async def _next_of(stream: AsyncIterator[events.RuntimeEvent], name: str) -> None:
    async for event in stream:
        if event.kind is Kind.NETWORK and event.name == name:
            return


async def assert_mended(bench: networking.Bench, config: network.NetworkConfig) -> None:
    """See that a network is unhealthy, that creating it again mends it, and that this wakes nobody."""
    assert not (await bench.observed("shop")).healthy
    await bench.runtime.networks.create(config, ())
    bench.runtime.engine.networks.request_thorough_check()
    assert await bench.runtime.engine.networks.problems() == {}
    stream = bench.runtime.events.subscribe()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(_QUIET):
            await _next_of(stream, "shop")
    async with networking.telling(bench.namespace("web")):
        address = (await bench.addresses("web"))["shop"]
        assert await networking.ask(bench.namespace("client"), address) == (await bench.addresses("client"))["shop"]
        assert await networking.ask(networking.HOST, address) == config.subnets[0].gateway
    assert await bench.routes("web") == [config.subnets[0].gateway]


@pytest.mark.parametrize(
    "harm",
    [
        "ip link delete {bridge}",
        "ip link set {bridge} down",
        "ip link set {bridge} mtu 1300",
        "ip address flush dev {bridge}",
        "ip link delete {veth}",
        "ip link set {veth} down",
        "ip link set {veth} nomaster",
        "ip -n {namespace} link set eth0 down",
        "ip -n {namespace} address flush dev eth0",
        "ip -n {namespace} route delete default",
        "nft flush ruleset",
        "nft flush chain inet {table} publish-local",
        "nft flush chain inet {table} guard",
        "nft insert rule inet {table} forward drop",
        "nft delete table inet {table}",
    ],
)
async def test_harm__that_the_kernel_tells_of__wakes_the_agent_and_is_mended(bench, shop, harm: str) -> None:
    async with told_of(bench, "shop"):
        networking.command(*harm.format(**names(bench)).split())
    await assert_mended(bench, shop)


def names(bench: networking.Bench) -> dict[str, str]:
    """Return what the parts of the network are called."""
    instance = bench.runtime.engine.where.instance
    bridge = bench.bridge("shop")
    namespace = bench.namespace("web")
    inside = networking.inside(namespace, "ip", "-o", "link", "show", "dev", "eth0")
    index = inside.partition("@if")[2].partition(":")[0]
    ports = networking.command("ip", "-o", "link", "show", "master", bridge).splitlines()
    veth = next(line.split()[1].partition("@")[0] for line in ports if line.startswith(f"{index}:"))
    named = pathlib.Path("/run/netns", f"ttw{os.getpid()}")
    if not named.exists():  # ip -n knows names only
        named.parent.mkdir(exist_ok=True)
        named.symlink_to(namespace)
    return {"bridge": bridge, "veth": veth, "namespace": named.name, "table": f"trimtab-{instance}"}


@pytest.fixture(autouse=True)
def name_of_namespace_removed() -> Iterator[None]:
    """Forget the name that ip knows the namespace by."""
    yield
    pathlib.Path("/run/netns", f"ttw{os.getpid()}").unlink(missing_ok=True)


@pytest.mark.parametrize(
    "setting",
    ["net.ipv4.conf.{bridge}.route_localnet=0", "net.ipv6.conf.{bridge}.disable_ipv6=0"],
)
async def test_setting_of_the_kernel__is_compared_at_the_relist_and_mended(bench, shop, setting: str) -> None:
    networking.command("sysctl", "-q", "-w", setting.format(**names(bench)).replace("/", "."))
    bench.runtime.engine.networks.request_thorough_check()
    await assert_mended(bench, shop)


async def test_forwarding__turned_off__is_seen_at_the_next_pass_and_mended(bench, shop) -> None:
    forwarding = pathlib.Path("/proc/sys/net/ipv4/ip_forward")
    forwarding.write_text("0")
    await assert_mended(bench, shop)
    assert forwarding.read_text() == "1\n"


async def test_dns_server__killed__wakes_the_agent_and_is_mended(bench, shop) -> None:
    async with told_of(bench, "shop"):
        os.kill(server(bench), signal.SIGKILL)
    await assert_mended(bench, shop)


async def test_dns_server__stopped_by_a_signal__is_seen_at_the_next_pass_and_replaced(bench, shop) -> None:
    first = server(bench)
    os.kill(first, signal.SIGSTOP)
    async with asyncio.timeout(_SOON):
        while (await bench.observed("shop")).healthy:  # noqa: ASYNC110 - its threads stop one after the other
            await asyncio.sleep(0.01)
    await assert_mended(bench, shop)
    assert server(bench) != first


async def test_dns_files__changed_or_removed__are_compared_at_the_relist_and_mended(bench, shop) -> None:
    (bench.runtime.engine.where.dns / "shop").write_text("127.0.0.99\n")
    bench.runtime.engine.networks.request_thorough_check()
    await assert_mended(bench, shop)
    shutil.rmtree(bench.runtime.engine.where.dns)
    await assert_mended(bench, shop)


async def test_namespace__of_a_container_that_runs__is_kept_by_its_processes_and_no_mount(bench, shop) -> None:
    engine = bench.runtime.engine
    mark = engine.networks.namespace(engine.containers.get("web").id)
    assert mark.exists()
    assert not [target for target in engine.recovery.kernel.mounts() if target.startswith(str(engine.where.run))]
    networking.inside(bench.namespace("web"), "ip", "address", "flush", "dev", "eth0")
    await assert_mended(bench, shop)


async def test_namespace__kept_by_a_mount_as_an_earlier_release_did__is_handed_over(bench, shop) -> None:
    engine = bench.runtime.engine
    record = engine.containers.get("web")
    mark = engine.networks.namespace(record.id)
    networking.command("mount", "--bind", str(bench.namespace("web")), str(mark))
    await engine.networks.restore(networking.openers(bench))
    assert str(mark) not in engine.recovery.kernel.mounts()
    networking.inside(bench.namespace("web"), "ip", "address", "flush", "dev", "eth0")
    await assert_mended(bench, shop)


async def test_namespace__its_mark_was_removed__is_entered_all_the_same_and_marked_again(bench, shop) -> None:
    engine = bench.runtime.engine
    mark = engine.networks.namespace(engine.containers.get("web").id)
    mark.unlink()
    await engine.networks.restore(networking.openers(bench))
    assert mark.exists()
    networking.inside(bench.namespace("web"), "ip", "address", "flush", "dev", "eth0")
    await assert_mended(bench, shop)


async def test_container__has_just_ended__keeps_no_other_one_from_being_mended(bench, shop) -> None:
    engine = bench.runtime.engine
    engine.networks._sandboxes.entrances.drop(engine.containers.get("web").id)
    networking.inside(bench.namespace("client"), "ip", "address", "flush", "dev", "eth0")
    networking.inside(bench.namespace("web"), "ip", "address", "flush", "dev", "eth0")
    engine.networks.request_thorough_check()
    await bench.runtime.networks.create(shop, ())
    client = (await bench.addresses("client"))["shop"]
    assert client in networking.inside(bench.namespace("client"), "ip", "-o", "address", "show", "dev", "eth0")


async def test_start_and_stop__our_own_work__wakes_nobody(bench, shop) -> None:
    stream = bench.runtime.events.subscribe()
    await bench.start("third", "shop")
    await bench.runtime.containers.remove("third")
    await bench.add_network("back")
    await bench.runtime.networks.remove("back")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(_QUIET):
            await _next_of(stream, shop.name)


def server(bench: networking.Bench) -> int:
    """Return the DNS server's pid."""
    return int((bench.runtime.engine.where.dns / "aardvark.pid").read_text())
