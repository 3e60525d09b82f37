"""What wakes the watch of networks by files: the host's resolvers, whichever way they are kept."""

import asyncio
import pathlib
from collections.abc import AsyncIterator, Callable

import pytest

from agent.engine.network import hostlinks, watch

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
