"""Names in networks: a network's file, and the server that is told of it."""

import asyncio
import contextlib
import ipaddress
import os
import pathlib
import shutil
import signal
import socket
import threading
from collections.abc import AsyncIterator

import pytest

from agent import errors
from agent.engine.network import aardvark
from agent.kit import processes
from tests import addressing

WEB = addressing.endpoint("c2", "web", "shop", "eth0", "10.1.0.2", ("www", "web", "front", "www"))
DB = addressing.endpoint("c1", "db", "shop", "eth0", "10.1.0.3", ())
LISTEN = f"127.77.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
"""A loopback address of this process: port 53 is free there."""
LISTEN_TOO = f"127.78.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"


def test_file__of_a_network__has_gateways_and_a_line_a_container_with_each_name_once() -> None:
    lines = {endpoint.container_id: aardvark.line(endpoint) for endpoint in (DB, WEB)}
    assert aardvark.File(("10.1.0.1",), lines).text() == "10.1.0.1\nc1 10.1.0.3  db\nc2 10.1.0.2  web,www,front\n"


def test_line__of_several_addresses__has_those_of_ipv4_and_of_ipv6_apart() -> None:
    addresses = map(ipaddress.ip_address, ("10.1.0.3", "fd00::3", "10.2.0.3", "fd00::4"))
    assert aardvark.line(DB.at(tuple(addresses))) == "c1 10.1.0.3,10.2.0.3 fd00::3,fd00::4 db"


def test_file__of_a_network_with_two_subnets_and_nobody_in_it__has_both_gateways() -> None:
    assert aardvark.File(("10.1.0.1", "10.2.0.1")).text() == "10.1.0.1,10.2.0.1\n"


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder for the server's files."""
    directory = tmp_path / "dns"
    directory.mkdir()
    return directory


@pytest.fixture
async def server(folder: pathlib.Path) -> AsyncIterator[aardvark.Server]:
    """A server; it ends with the test."""
    dns_server = aardvark.Server(folder, {})
    yield dns_server
    await dns_server.stop()


def network(*containers: str) -> aardvark.File:
    """Return the file of a network on the loopback address."""
    return aardvark.File((LISTEN,), {f"id{name}": f"id{name} 127.0.0.1  {name}" for name in containers})


@pytest.mark.root
async def test_apply__first_network__starts_the_server_with_its_file_and_nothing_beside_it(
    server: aardvark.Server, folder: pathlib.Path
) -> None:
    assert server.pid() is None
    server.put("shop", network("web"))
    await server.apply()
    pid = server.pid()
    assert pid is not None
    assert str(folder) in pathlib.Path(f"/proc/{pid}/cmdline").read_text()
    assert sorted(entry.name for entry in folder.iterdir()) == ["aardvark.pid", "shop"]
    assert (folder / "shop").read_text() == network("web").text()
    assert [entry.name for entry in folder.parent.iterdir()] == ["dns"]


@pytest.mark.root
async def test_apply__names_change__the_same_server_answers_them(server: aardvark.Server) -> None:
    server.put("shop", network("web"))
    await server.apply()
    pid = server.pid()
    await answering("web")
    server.put("shop", network("page"))
    await server.apply()
    assert server.pid() == pid
    await answering("page")
    assert not await answers("web")


@pytest.mark.root
async def test_apply__no_network_any_more__ends_the_server_and_leaves_no_file(
    server: aardvark.Server, folder: pathlib.Path
) -> None:
    server.put("shop", network("web"))
    await server.apply()
    pid = server.pid()
    server.put("shop", None)
    await server.apply()
    assert server.pid() is None
    assert not pathlib.Path(f"/proc/{pid}").exists() or ended(pid)
    assert list(folder.iterdir()) == []


@pytest.mark.root
async def test_apply__asked_for_together__shares_one_reload(server: aardvark.Server, folder: pathlib.Path) -> None:
    server.put("shop", network("web"))
    await server.apply()
    before = (folder / "shop").stat().st_ino
    inodes = set()

    async def change(name: str) -> None:
        server.put_line("shop", f"id{name}", f"id{name} 127.0.0.1  {name}")
        await server.apply()
        assert f"id{name} " in (folder / "shop").read_text()
        inodes.add((folder / "shop").stat().st_ino)

    await asyncio.gather(*(change(f"c{number}") for number in range(10)))
    assert len(inodes - {before}) == 1, "written once: all were asked for before the first one was served"


@pytest.mark.root
async def test_apply__many_containers_are_known__reloads_come_less_often(server: aardvark.Server) -> None:
    clock = asyncio.get_running_loop().time
    server.put("shop", aardvark.File((LISTEN,), {f"id{n}": f"id{n} 127.0.0.1  c{n}" for n in range(2000)}))
    await server.apply()
    began = clock()
    await server.apply()
    assert clock() - began >= 0.06


@pytest.mark.root
async def test_apply__server_was_killed__starts_another_one(server: aardvark.Server) -> None:
    server.put("shop", network("web"))
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
    server: aardvark.Server, folder: pathlib.Path
) -> None:
    server.put("shop", network("web"))
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind((LISTEN, 53))
        with pytest.raises(errors.Unavailable, match=f"port {LISTEN}:53/udp is in use") as caught:
            await server.apply()
        assert caught.value.reason == "NoDns"
        assert server.pid() is None
        assert not server.runs()
        assert list(folder.iterdir()) == []
    await server.apply()
    assert server.runs()
    await answering("web")


async def test_pid__of_a_process_that_is_no_server__is_none(server: aardvark.Server, folder: pathlib.Path) -> None:
    for text in (f"{os.getpid()}", "", "nonsense", "999999999"):
        (folder / "aardvark.pid").write_text(text)
        assert server.pid() is None
    await server.stop()
    assert not (folder / "aardvark.pid").exists()


async def test_apply__leftovers_of_a_crash__are_removed(server: aardvark.Server, folder: pathlib.Path) -> None:
    (folder / "gone").write_text("10.9.9.9\n")
    server.put("shop", None)
    await server.apply()
    assert list(folder.iterdir()) == []


@pytest.mark.root
async def test_runs__stopped_by_a_signal__is_noticed_and_mended(server: aardvark.Server) -> None:
    server.put("shop", network("web"))
    await server.apply()
    await answering("web")
    first = server.pid()
    assert first is not None
    assert server.runs()
    assert await server.answers()
    os.kill(first, signal.SIGSTOP)
    async with asyncio.timeout(5):
        while server.runs():  # noqa: ASYNC110 - its threads stop one after the other
            await asyncio.sleep(0.01)
    assert not await server.answers()
    await server.mend()
    assert server.pid() not in {None, first}
    await answering("web")


@pytest.mark.root
async def test_apply__its_folder_was_lost_meanwhile__finds_the_former_process_and_replaces_it(
    server: aardvark.Server, folder: pathlib.Path
) -> None:
    server.put("shop", network("web"))
    await server.apply()
    await answering("web")  # one that has not read its folder yet ends itself where it finds none
    first = server.pid()
    shutil.rmtree(folder)
    later = aardvark.Server(folder, {})
    assert later.strays() == [first]
    later.put("shop", network("page"))
    await later.apply()
    assert later.pid() not in {None, first}
    assert later.strays() == []
    await answering("page")


@pytest.mark.root
async def test_unlike__files_changed_added_and_removed_by_somebody__are_named_and_mended(
    server: aardvark.Server, folder: pathlib.Path
) -> None:
    for name in ("shop", "back"):
        server.put(name, network("web") if name == "shop" else aardvark.File((LISTEN_TOO,)))
    await server.apply()
    assert server.unlike() == []
    (folder / "shop").write_text(network("thief").text())
    (folder / "back").unlink()
    (folder / "other").write_text(network("other").text())
    assert server.unlike() == ["back", "other", "shop"]
    await server.mend()
    assert server.unlike() == []
    assert sorted(entry.name for entry in folder.iterdir()) == ["aardvark.pid", "back", "shop"]


@pytest.mark.root
async def test_no_proxy__unknown_name__is_answered_at_once_and_asks_nobody(folder: pathlib.Path) -> None:
    inner = aardvark.Server(folder, {"AARDVARK_NO_PROXY": "1"})
    inner.put("back", network("db"))
    try:
        await inner.apply()
        await answering("db")
        completed = await processes.run(["timeout", "2", "busybox", "nslookup", "-type=a", "example.com", LISTEN])
        assert b"NXDOMAIN" in completed.stdout
    finally:
        await inner.stop()


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
    """Return whether a process is dead and only waits to be reaped."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


class Searching(aardvark.Server):
    """Notes in which thread every process of the host is looked at."""

    threads: set[threading.Thread]

    def strays(self) -> list[int]:
        """Note the thread."""
        self.threads.add(threading.current_thread())
        return super().strays()


async def test_stop__many_processes_on_the_host__are_not_looked_at_in_the_event_loop(folder: pathlib.Path) -> None:
    server = Searching(folder, {})
    server.threads = set()
    await server.stop()
    assert server.threads
    assert threading.current_thread() not in server.threads
