"""What wakes the watch of networks, and how soon: events of the kernel, and the host's resolvers, however kept."""

import asyncio
import contextlib
import dataclasses
import pathlib
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from agent.engine.network import hostlinks, watch
from tests import networking

pytestmark = pytest.mark.root
_SOON = 5.0


@pytest.fixture
def resolvers(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A file of resolvers in place of the host's, behind a link as systemd-resolved has it."""
    for name in ("etc", "run"):
        (tmp_path / name).mkdir()
    (tmp_path / "run" / "stub").write_text("nameserver 192.0.2.1\n")
    (tmp_path / "etc" / "resolv.conf").symlink_to(tmp_path / "run" / "stub")
    monkeypatch.setattr(watch, "_RESOLVERS", tmp_path / "etc" / "resolv.conf")
    return tmp_path / "etc" / "resolv.conf"


@pytest.fixture
async def events(resolvers: pathlib.Path) -> AsyncIterator[watch.NetworkWatch]:
    """A watch over that file and no servers."""
    assert resolvers.exists()
    host = hostlinks.HostLinks()
    async with watch.NetworkWatch(host, ()) as link_watch:
        yield link_watch
    host.close()


def rewrite_target(path: pathlib.Path) -> None:
    """Write the file that the link leads to."""
    path.resolve().write_text("nameserver 192.0.2.2\n")


def replace_target(path: pathlib.Path) -> None:
    """Rename another file onto the one that the link leads to, as systemd-resolved does."""
    other = path.resolve().with_name("new")
    other.write_text("nameserver 192.0.2.2\n")
    other.rename(path.resolve())


def replace_link(path: pathlib.Path) -> None:
    """Put a file in the link's place, as DHCP clients do."""
    other = path.with_name("new")
    other.write_text("nameserver 192.0.2.2\n")
    other.rename(path)


@pytest.mark.parametrize("change", [rewrite_target, replace_target, replace_link])
async def test_resolvers__changed_on_the_host__wake_the_watch(
    events: watch.NetworkWatch, resolvers: pathlib.Path, change: Callable[[pathlib.Path], None]
) -> None:
    hints = events.hints()
    assert not events.resolvers_changed()
    waiting = anext(hints)
    asyncio.get_running_loop().call_later(0.1, change, resolvers)
    async with asyncio.timeout(_SOON):
        assert await waiting
        while not events.resolvers_changed():
            assert await anext(hints)
    assert not events.resolvers_changed()


@dataclasses.dataclass(frozen=True, slots=True)
class Served:
    """A server as the watch knows it: a process, and a folder of its files."""

    folder: pathlib.Path
    process: subprocess.Popen[bytes]

    def pid(self) -> int:
        """Return its process."""
        return self.process.pid


@pytest.fixture
def served(tmp_path: pathlib.Path) -> Iterator[Served]:
    """A server that does nothing."""
    (tmp_path / "dns").mkdir()
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield Served(tmp_path / "dns", process)
        process.kill()


async def _next_of(hints: AsyncIterator[bool]) -> bool:
    return await anext(hints)


EVENTS: dict[str, Callable[[Served], object]] = {
    "link made": lambda _: networking.command("ip", "link", "add", "ttw0", "type", "veth", "peer", "name", "ttw1"),
    "link changed": lambda _: networking.command("ip", "link", "set", "lo", "mtu", "60000"),
    "address added": lambda _: networking.command("ip", "address", "add", "192.0.2.7/32", "dev", "lo"),
    "route added": lambda _: networking.command("ip", "route", "add", "unreachable", "198.51.100.0/24"),
    "rules changed": lambda _: networking.command("nft", "add", "table", "inet", "somebody"),
    "rules flushed": lambda _: networking.command("nft", "flush", "ruleset"),
    "server killed": lambda server: server.process.kill(),
    "server's file written": lambda server: (server.folder / "shop").write_text("127.0.0.1\n"),
}
"""What happens outside, by each of the watch's sources."""


@pytest.mark.parametrize("event", EVENTS)
async def test_event__wakes_the_watch_within_a_second(resolvers: pathlib.Path, served: Served, event: str) -> None:
    """The hint alone is measured: the pass that it causes takes what a pass takes, also on a machine that is busy."""
    assert resolvers.exists()
    with networking.own_network():
        networking.command("nft", "add", "table", "inet", "before")
        with contextlib.closing(hostlinks.HostLinks()) as host:
            async with watch.NetworkWatch(host, (served,)) as link_watch:
                hints = link_watch.hints()
                with contextlib.suppress(TimeoutError):  # what was done until now is told by then, and is not meant
                    async with asyncio.timeout(0.5):
                        await anext(hints)
                hints = link_watch.hints()
                waiting = asyncio.get_running_loop().create_task(_next_of(hints))
                await asyncio.sleep(0.5)
                assert not waiting.done(), "nothing has happened yet"
                EVENTS[event](served)
                begun = time.monotonic()
                async with asyncio.timeout(_SOON):
                    assert await waiting
                assert time.monotonic() - begun < 1.0
