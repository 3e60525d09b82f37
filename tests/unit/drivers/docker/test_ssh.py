"""An engine behind ssh: the command line that leads to it, and a tunnel through a program that stands for ssh."""

import asyncio
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator

import pytest

from agent import errors
from agent.drivers.docker import connection, endpoint, ssh
from tests import archives, hanging
from tests.unit.drivers.docker import http_engine

SSH = ["ssh", "-T", "-o", "ConnectTimeout=15", "-o", "BatchMode=yes"]
FAKE_SSH = """#!/bin/sh
echo "$*" >> "{log}"
while [ "$1" != "--" ]; do shift; done
shift 2
"$@"
"""
FAKE_DOCKER = """#!{python}
import os, socket, sys, threading
engine = socket.socket(socket.AF_UNIX)
engine.connect("{socket}")
def towards():
    while data := os.read(0, 65536):
        engine.sendall(data)
    engine.shutdown(socket.SHUT_WR)
threading.Thread(target=towards, daemon=True).start()
while data := engine.recv(65536):
    os.write(1, data)
"""


def words(url: str, flavour: str = "docker") -> list[str]:
    return ssh.command(endpoint.Endpoint(flavour, url))


@pytest.mark.parametrize(
    ("flavour", "url", "remaining_words"),
    [
        ("docker", "ssh://far", ["--", "far", "docker", "system", "dial-stdio"]),
        ("docker", "ssh://me@Far.Example", ["-l", "me", "--", "Far.Example", "docker", "system", "dial-stdio"]),
        ("docker", "ssh://far:2222/", ["-p", "2222", "--", "far", "docker", "system", "dial-stdio"]),
        ("docker", "ssh://[fd00::1]:22", ["-p", "22", "--", "fd00::1", "docker", "system", "dial-stdio"]),
        (
            "docker",
            "ssh://far/run/d.sock",
            ["--", "far", "docker", "--host", "unix:///run/d.sock", "system", "dial-stdio"],
        ),
        (
            "podman",
            "ssh://a%40b@far/run/podman/podman.sock",
            ["-l", "a@b", "--", "far", "podman", "--url", "unix:///run/podman/podman.sock", "system", "dial-stdio"],
        ),
    ],
)
def test_command__of_an_address__is_one_call_of_ssh(flavour: str, url: str, remaining_words: list[str]) -> None:
    assert words(url, flavour) == [*SSH, *remaining_words]


@pytest.mark.parametrize(
    "url",
    [
        "ssh://",
        "ssh:///run/d.sock",
        "ssh://-oProxyCommand=x",
        "ssh://me@-x",
        "ssh://-l@far",
        "ssh://%2Dl@far",
        "ssh://@",
    ],
)
def test_command__no_host_or_an_option_in_its_place__is_refused(url: str) -> None:
    with pytest.raises(endpoint.BadEndpoint, match="names no host"):
        words(url)


def test_command__a_password__is_refused_and_not_shown() -> None:
    with pytest.raises(endpoint.BadEndpoint, match="has a password in it") as caught:
        words("ssh://me:s3cr3t@far")
    assert "s3cr3t" not in str(caught.value)


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    """A folder of the test's own for temporary files, with a name as short as sockets need it."""
    with tempfile.TemporaryDirectory(prefix="tt-") as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield pathlib.Path(name)


@pytest.fixture
def programs(tmp_path: pathlib.Path, temporary: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder before all others in which programs are looked for."""
    assert temporary.is_dir()
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def program(path: pathlib.Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def children() -> set[str]:
    """Return the processes that this one has started."""
    return set(pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


async def test_tunnel__to_an_engine__carries_requests_and_leaves_nothing_behind(
    programs: pathlib.Path, temporary: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    log, path = tmp_path / "log", tmp_path / "engine.sock"
    program(programs / "ssh", FAKE_SSH.format(log=log))
    program(programs / "docker", FAKE_DOCKER.format(python=sys.executable, socket=path))
    async with http_engine.serving(path, **{"GET info": {"big": "x" * 500_000}}) as served:
        fds, before = archives.descriptors(), children()
        async with connection.Connection(endpoint.Endpoint("docker", "ssh://me@far")) as engine:
            assert (await engine.version())["ApiVersion"] == "1.41"
            assert len((await engine.ask("info", "engine"))["big"]) == 500_000
            with pytest.raises(errors.NotFound):
                await engine.ask("containers/x/json", "container x")
            assert len(list(temporary.iterdir())) == 1
            assert children() - before
        assert served.calls() == ["GET info", "GET containers/x/json"]
        assert (children() - before, list(temporary.iterdir())) == (set(), [])
        assert {
            fd for fd, name in archives.descriptors().items() if fds.get(fd) != name and "socket" not in name
        } == set()
    assert log.read_text().splitlines()[0] == " ".join(words("ssh://me@far")[1:])


async def test_tunnel__through_what_ends_at_once__is_an_engine_that_is_down(programs: pathlib.Path) -> None:
    program(programs / "ssh", "#!/bin/sh\nexit 255\n")
    before = children()
    async with connection.Connection(endpoint.Endpoint("docker", "ssh://far")) as engine:
        for _ in range(3):
            with pytest.raises(errors.Unavailable) as caught:
                await engine.version()
            assert caught.value.reason == "EngineDown"
    assert children() == before


async def test_tunnel__through_what_cannot_be_run__is_an_engine_that_is_down(programs: pathlib.Path) -> None:
    program(programs / "ssh", "#!/nonexistent/interpreter\n")
    async with connection.Connection(endpoint.Endpoint("docker", "ssh://far")) as engine:
        with pytest.raises(errors.Unavailable) as caught:
            await engine.version()
        assert caught.value.reason == "EngineDown"


async def test_tunnel__through_what_hangs__is_ended_with_all_that_it_has_started(
    programs: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    child = tmp_path / "child"
    program(programs / "ssh", f"#!/bin/sh\nsleep 600 & echo $! > {child}.new; mv {child}.new {child}\nwait\n")
    async with connection.Connection(endpoint.Endpoint("docker", "ssh://far")) as engine:
        asking = asyncio.get_running_loop().create_task(engine.version())
        await until(child.exists)
        asking.cancel()
    await until(lambda: not runs(int(child.read_text())))
    assert asking.cancelled()


def runs(pid: int) -> bool:
    """Return whether a process is there and has not ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - observed from outside on purpose
            await asyncio.sleep(0.005)


async def test_tunnel__its_ssh_does_not_die__is_left_all_the_same(programs: pathlib.Path, monkeypatch) -> None:
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(str(context["exception"])))
    program(programs / "ssh", "#!/bin/sh\nexec sleep 60\n")
    with hanging.children(monkeypatch) as tracer:
        async with asyncio.timeout(15), ssh.tunnel(endpoint.Endpoint("docker", "ssh://far")) as local:
            _, writer = await asyncio.open_unix_connection(local.removeprefix("unix://"))
            await until(lambda: bool(tracer.traced))
        writer.close()
        assert [f"({programs}/ssh) does not end" in report for report in reported] == [True]
        assert tracer.release() == [-9]


async def test_tunnel__no_ssh_at_all__is_told_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh.processes, "which", {"ssh": None}.get)
    with pytest.raises(endpoint.BadEndpoint, match="there is no ssh to reach ssh://far by"):
        async with connection.Connection(endpoint.Endpoint("docker", "ssh://me@far")):
            pass
