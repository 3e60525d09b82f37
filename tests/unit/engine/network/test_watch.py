"""The watch of networks where the kernel allows no more watches of files."""

import ctypes
import errno
import logging
import pathlib
from collections.abc import AsyncIterator

import pytest

from agent.engine.kernel import inotify
from agent.engine.network import hostlinks, watch


class Refusing:
    """libc, with limits that are reached until the test raises them."""

    def __init__(self, function: str, number: int) -> None:
        self._real = ctypes.CDLL(None, use_errno=True)
        self._function, self._number = function, number
        self.is_full = True

    def _call(self, function: str, *arguments: object) -> int:
        if self.is_full and function == self._function:
            ctypes.set_errno(self._number)
            return -1
        return int(getattr(self._real, function)(*arguments))

    def inotify_init1(self, flags: int) -> int:
        """Return an instance, or the refusal."""
        return self._call("inotify_init1", flags)

    def inotify_add_watch(self, descriptor: int, folder: bytes, mask: int) -> int:
        """Return a watch, or the refusal."""
        return self._call("inotify_add_watch", descriptor, folder, mask)


@pytest.fixture
async def network_watch(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[watch.NetworkWatch]:
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.1\n")
    monkeypatch.setattr(watch, "_RESOLVERS", tmp_path / "resolv.conf")
    host = hostlinks.HostLinks()
    files_only = watch.NetworkWatch(host, ())
    yield files_only
    files_only._stack.close()
    host.close()


@pytest.mark.parametrize(
    "limit",
    [
        ("inotify_init1", errno.EMFILE, "fs.inotify.max_user_instances"),
        ("inotify_add_watch", errno.ENOSPC, "fs.inotify.max_user_watches"),
    ],
)
async def test_follow__no_watches_are_left__says_which_limit_once_and_watches_later(
    network_watch: watch.NetworkWatch,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    limit: tuple[str, int, str],
) -> None:
    function, number, sysctl = limit
    caplog.set_level(logging.INFO)
    libc = Refusing(function, number)
    monkeypatch.setattr(inotify.ctypes, "CDLL", lambda *_, **__: libc)
    for _ in range(3):
        network_watch._follow()
    (blind,) = [record.getMessage() for record in caplog.records]
    assert blind.startswith(f"{tmp_path} is not watched")
    assert blind.endswith(f"until it is; raise {sysctl}")
    libc.is_full = False
    network_watch._follow()
    assert caplog.records[-1].getMessage() == f"{tmp_path} is watched again"
    assert not network_watch._woken.is_set()
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.2\n")
    await network_watch._woken.wait()
    assert network_watch.resolvers_changed()
