"""Events that may mean a broken network: netlink, nftables, inotify, pidfds. All are hints to check."""

import asyncio
import contextlib
import logging
import os
import pathlib
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Self

from agent.engine.kernel import inotify
from agent.engine.network import aardvark, hostlinks, netfilter
from agent.kit import watch_limits

_log = logging.getLogger(__name__)

SETTLE = 0.1
"""Seconds in which events are gathered before a check: our own changes come in bursts."""
_PAUSE = 0.4
"""Seconds between two hints: others may change their own links and rules all the time."""
_COMPARE_INTERVAL = 60.0
"""Seconds after which files are compared without an event: a bind mount's changes may send none."""
_RESOLVERS = pathlib.Path("/etc/resolv.conf")
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_RULES_GROUP = 7
"""``NFNLGRP_NFTABLES``."""


class NetworkWatch:
    """The event sources of the network watch. Used as an asynchronous context manager, in the loop that it wakes."""

    def __init__(self, host: hostlinks.HostLinks, servers: Iterable[aardvark.Server]) -> None:
        """Return what hears of links, and the servers whose ends and files are to be noticed."""
        self._host = host
        self._servers = tuple(servers)
        self._stack = contextlib.ExitStack()
        self._woken = asyncio.Event()
        self._files: inotify.Inotify | None = None
        self._report = watch_limits.Report(_log)
        self._processes: dict[aardvark.Server, tuple[int, int]] = {}
        self._resolvers = resolvers()
        self._not_before = 0.0

    async def __aenter__(self) -> Self:
        if not self._host.is_listening:
            self._host.listen()
        self._read(self._host.descriptor, self._host.drain)
        rules = self._stack.enter_context(_rules())
        self._read(rules.fileno(), lambda: _drain(rules))
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in list(self._processes):
            self._let_go(server)
        self._stack.close()

    async def hints(self) -> AsyncIterator[bool]:
        """Return True whenever something has happened, once for what comes together; False where nothing has."""
        while True:
            self._follow()
            try:
                async with asyncio.timeout(_COMPARE_INTERVAL):
                    await self._woken.wait()
            except TimeoutError:
                yield False
                continue
            await asyncio.sleep(max(SETTLE, self._not_before - asyncio.get_running_loop().time()))
            self._woken.clear()
            self._not_before = asyncio.get_running_loop().time() + _PAUSE
            yield True

    def resolvers_changed(self) -> bool:
        """Return whether the host's resolvers have changed since the last call."""
        before, self._resolvers = self._resolvers, resolvers()
        return before != self._resolvers

    def _follow(self) -> None:
        """Watch the files and processes that there are now."""
        self._follow_files()
        for server in self._servers:
            pid = server.pid()
            if pid != self._processes.get(server, (None, 0))[0]:
                self._let_go(server)
                with contextlib.suppress(OSError):
                    if pid is not None:
                        self._hold(server, pid)

    def _follow_files(self) -> None:
        """Watch the files' folders. What the kernel's limits leave out is told, and tried once more the next time."""
        folders = (_RESOLVERS.parent, _RESOLVERS.resolve().parent, *(server.folder for server in self._servers))
        try:
            refused = self._watched_files().watch(folders)
        except OSError as error:
            refused = {folders[0]: error}
        for folder, refusal in refused.items():
            self._report.failed(str(folder), refusal, "changes of resolv.conf and of DNS servers' files are found late")
        if not refused:
            self._report.succeeded()

    def _watched_files(self) -> inotify.Inotify:
        if self._files is None:
            files = inotify.Inotify()
            self._stack.callback(files.close)
            self._read(files.descriptor, files.drain)
            self._files = files
        return self._files

    def _hold(self, server: aardvark.Server, pid: int) -> None:
        descriptor = os.pidfd_open(pid)
        self._processes[server] = pid, descriptor
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(descriptor)  # it stays readable
            self._woken.set()

        loop.add_reader(descriptor, ended)

    def _let_go(self, server: aardvark.Server) -> None:
        if server in self._processes:
            _, descriptor = self._processes.pop(server)
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)

    def _read(self, descriptor: int, take: Callable[[], None]) -> None:
        def wake() -> None:
            take()
            self._woken.set()

        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, wake)
        self._stack.callback(loop.remove_reader, descriptor)


def resolvers() -> bytes:
    """Return the host's resolver configuration as it is now."""
    with contextlib.suppress(OSError):
        return _RESOLVERS.read_bytes()
    return b""


@contextlib.contextmanager
def _rules() -> Iterator[socket.socket]:
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, netfilter.NETFILTER
    ) as events:
        events.bind((0, 0))
        events.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _RULES_GROUP)
        yield events


def _drain(events: socket.socket) -> None:
    """Discard pending messages, also an overflow of the socket's buffer."""
    while True:
        try:
            events.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            continue
