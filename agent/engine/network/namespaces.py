"""Network namespaces, kept by a bind mount on a file, and the two ends of a cable into one.

All of it is blocking and quick (about two milliseconds), and some of it is a property of the calling thread. So it runs
on threads of its own, which always come back to the host's namespace.
"""

import concurrent.futures
import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from agent.engine.kernel import api
from agent.engine.network import netlink
from agent.kit import tasks

T = TypeVar("T")

_THREADS = 4


class Threads:
    """Threads that may enter namespaces, each with a netlink socket in the host's."""

    def __init__(self) -> None:
        """Start none yet."""
        self._pool = concurrent.futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="network")

    async def run(self, work: Callable[[], T]) -> T:
        """Run blocking work on one of them; who is cancelled meanwhile is so when it has ended, and can undo it."""
        return await tasks.in_thread(work, pool=self._pool)

    def close(self) -> None:
        """Let them end."""
        self._pool.shutdown()


@contextlib.contextmanager
def made(kernel: api.Kernel, path: pathlib.Path) -> Iterator[tuple[int, netlink.Netlink]]:
    """Make a namespace on ``path`` and give a descriptor of it and a socket in it. Undone where the block fails."""
    path.touch(mode=0o600)
    try:
        with _returning(kernel):
            kernel.unshare(api.CLONE_NEWNET)
            kernel.mount("/proc/thread-self/ns/net", str(path), "none", api.MS_BIND, "")
            inside = netlink.Netlink()
        with inside, _opened(path) as namespace:
            yield namespace, inside
    except BaseException:
        remove(kernel, path)
        raise


@contextlib.contextmanager
def entered(kernel: api.Kernel, path: pathlib.Path) -> Iterator[tuple[int, netlink.Netlink]]:
    """Give a descriptor of a namespace that is there, and a socket in it."""
    with _opened(path) as namespace:
        with _returning(kernel):
            kernel.enter(namespace, api.CLONE_NEWNET)
            inside = netlink.Netlink()
        with inside:
            yield namespace, inside


def remove(kernel: api.Kernel, path: pathlib.Path) -> None:
    """Let go of a namespace; its interfaces go with it. One that is not there is no failure."""
    with contextlib.suppress(FileNotFoundError):
        if path.exists():
            with contextlib.suppress(OSError):  # not a mount: the crash came before it
                kernel.umount(str(path), api.MNT_DETACH)
            path.unlink()


@contextlib.contextmanager
def _returning(kernel: api.Kernel) -> Iterator[None]:
    """Come back to the namespace that the thread was in."""
    with _opened(pathlib.Path("/proc/thread-self/ns/net")) as home:
        try:
            yield
        finally:
            kernel.enter(home, api.CLONE_NEWNET)


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
