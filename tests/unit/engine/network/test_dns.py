"""Names in networks: a network's file, and the server that is told of it."""

import asyncio
import contextlib
import os
import pathlib
import signal
import socket
from collections.abc import AsyncIterator, Mapping

import pytest

from agent.engine import errors
from agent.engine.network import dns, spec
from agent.kit import processes

SHOP = spec.NetworkRecord(0, "ttx-0", spec.NetworkSpec("shop", (spec.Subnet("10.1.0.0/24", "10.1.0.1"),)))
WEB = spec.Endpoint("c2", "web", "shop", "eth0", "10.1.0.2", ("www", "web", "front", "www"))
DB = spec.Endpoint("c1", "db", "shop", "eth0", "10.1.0.3", ())
LISTEN = f"127.77.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
"""A loopback address of this process: port 53 is free there."""


def test_text__of_a_network__has_gateways_and_containers_by_id_with_each_name_once() -> None:
    assert dns.text(SHOP, (WEB, DB)) == "10.1.0.1\nc1 10.1.0.3  db\nc2 10.1.0.2  web,www,front\n"


def test_text__of_a_network_with_two_subnets_and_nobody_in_it__has_both_gateways() -> None:
    subnets = (spec.Subnet("10.1.0.0/24", "10.1.0.1"), spec.Subnet("10.2.0.0/24", "10.2.0.1"))
    record = spec.NetworkRecord(0, "ttx-0", spec.NetworkSpec("shop", subnets))
    assert dns.text(record, ()) == "10.1.0.1,10.2.0.1\n"


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder for the server's files."""
    made = tmp_path / "dns"
    made.mkdir()
    return made


@pytest.fixture
async def files() -> dict[str, str]:
    """What the server should know."""
    return {}


@pytest.fixture
async def server(folder: pathlib.Path, files: Mapping[str, str]) -> AsyncIterator[dns.Dns]:
    """A server; it ends with the test."""
    made = dns.Dns(folder, lambda: files)
    yield made
    await made.stop()


def network(*containers: str) -> str:
    """Give a file of a network on the loopback address."""
    return f"{LISTEN}\n" + "".join(f"id{name} 127.0.0.1  {name}\n" for name in containers)


@pytest.mark.root
async def test_apply__first_network__starts_the_server_with_its_file_and_nothing_beside_it(
    server: dns.Dns, folder: pathlib.Path, files: dict[str, str]
) -> None:
    assert server.pid() is None
    files["shop"] = network("web")
    await server.apply()
    pid = server.pid()
    assert pid is not None
    assert str(folder) in pathlib.Path(f"/proc/{pid}/cmdline").read_text()
    assert sorted(entry.name for entry in folder.iterdir()) == ["aardvark.pid", "shop"]
    assert (folder / "shop").read_text() == network("web")
    assert [entry.name for entry in folder.parent.iterdir()] == ["dns"]


@pytest.mark.root
async def test_apply__names_change__the_same_server_answers_them(server: dns.Dns, files: dict[str, str]) -> None:
    files["shop"] = network("web")
    await server.apply()
    pid = server.pid()
    await answering("web")
    files["shop"] = network("page")
    await server.apply()
    assert server.pid() == pid
    await answering("page")
    assert not await answers("web")


@pytest.mark.root
async def test_apply__no_network_any_more__ends_the_server_and_leaves_no_file(
    server: dns.Dns, folder: pathlib.Path, files: dict[str, str]
) -> None:
    files["shop"] = network("web")
    await server.apply()
    pid = server.pid()
    files.clear()
    await server.apply()
    assert server.pid() is None
    assert not pathlib.Path(f"/proc/{pid}").exists() or ended(pid)
    assert list(folder.iterdir()) == []


@pytest.mark.root
async def test_apply__asked_for_together__shares_one_reload(server: dns.Dns, folder: pathlib.Path) -> None:
    names: list[str] = []
    looks = 0

    def current() -> dict[str, str]:
        nonlocal looks
        looks += 1
        return {"shop": network(*names)}

    async def change(name: str) -> None:
        names.append(name)
        await shared.apply()
        assert f"id{name} " in (folder / "shop").read_text()

    shared = dns.Dns(folder, current)
    await asyncio.gather(*(change(f"c{number}") for number in range(10)))
    assert looks == 1, "all were asked for before the first one looked"
    assert server.pid() == shared.pid() is not None


@pytest.mark.root
async def test_apply__server_was_killed__starts_another_one(server: dns.Dns, files: dict[str, str]) -> None:
    files["shop"] = network("web")
    await server.apply()
    first = server.pid()
    assert first is not None
    os.kill(first, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        await processes.wait(first)
    await server.apply()
    assert server.pid() not in {None, first}
    await answering("web")


@pytest.mark.root
async def test_apply__port_is_taken__says_by_whom_and_starts_nothing(
    server: dns.Dns, folder: pathlib.Path, files: dict[str, str]
) -> None:
    files["shop"] = network("web")
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind((LISTEN, 53))
        with pytest.raises(errors.Unavailable, match=f"port {LISTEN}:53/udp is in use") as caught:
            await server.apply()
        assert caught.value.reason == "NoDns"
        assert server.pid() is None
        assert not server.serves("shop")
        assert list(folder.iterdir()) == []
    await server.apply()
    assert server.serves("shop")
    await answering("web")


async def test_pid__of_a_process_that_is_no_server__is_none(server: dns.Dns, folder: pathlib.Path) -> None:
    for text in (f"{os.getpid()}", "", "nonsense", "999999999"):
        (folder / "aardvark.pid").write_text(text)
        assert server.pid() is None
    await server.stop()
    assert not (folder / "aardvark.pid").exists()


async def test_apply__leftovers_of_a_crash__are_removed(
    server: dns.Dns, folder: pathlib.Path, files: dict[str, str]
) -> None:
    (folder / "gone").write_text("10.9.9.9\n")
    files.clear()
    await server.apply()
    assert list(folder.iterdir()) == []


async def answers(name: str) -> bool:
    """Ask the server for a name."""
    completed = await processes.run(["timeout", "0.3", "busybox", "nslookup", "-type=a", name, LISTEN])
    return b"Address: 127.0.0.1\n" in completed.stdout


async def answering(name: str) -> None:
    """Wait until the server answers a name: it reads its files in its own time."""
    async with asyncio.timeout(5):
        while not await answers(name):
            pass


def ended(pid: int | None) -> bool:
    """Tell whether a process is dead and only waits to be reaped."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
