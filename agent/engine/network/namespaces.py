"""Network namespaces of containers: made, entered, removed.

A bind mount on a file keeps a namespace until a container's processes do, and is removed then: a mount for each
container would be copied with all others whenever a container is created, and read by the OCI runtime. The file stays
as its mark.

All of it is blocking and quick (about two milliseconds), and some of it is a property of the calling thread. So it runs
on threads of its own, which always come back to the host's namespace.
"""

import concurrent.futures
import contextlib
import os
import pathlib
import types
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from agent.engine.kernel import api
from agent.engine.network import netlink, sysctls
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
        """Shut the threads down."""
        self._pool.shutdown()


class Entrances:
    """Descriptors of running containers' namespaces, which are entered by them; each keeps its namespace alive.

    For the event loop's thread; others get descriptors lent, by ``in_use``.
    """

    def __init__(self) -> None:
        """Hold none yet."""
        self._descriptors: dict[str, int] = {}
        self._borrowers = 0
        self._dropped: list[int] = []

    def open(self, container_id: str, open_namespace: Callable[[], int]) -> None:
        """Hold a container's namespace. Raises what ``open_namespace`` raises, which returns a descriptor of it."""
        descriptor = open_namespace()
        self.drop(container_id)
        self._descriptors[container_id] = descriptor

    @contextlib.contextmanager
    def in_use(self) -> Iterator[Mapping[str, int]]:
        """Yield the descriptors by container id. What is dropped meanwhile is closed when the last block has ended.

        A number that was closed is given out again at once: whoever went by it would enter something else.
        """
        self._borrowers += 1
        try:
            yield types.MappingProxyType(self._descriptors)
        finally:
            self._borrowers -= 1
            self._close_dropped()

    def drop(self, container_id: str) -> None:
        """Hold a container's namespace no longer; a missing one is no failure."""
        descriptor = self._descriptors.pop(container_id, None)
        if descriptor is not None:
            self._dropped.append(descriptor)
        self._close_dropped()

    def close(self) -> None:
        """Hold none any more."""
        for container_id in list(self._descriptors):
            self.drop(container_id)

    def _close_dropped(self) -> None:
        while self._dropped and not self._borrowers:
            os.close(self._dropped.pop())


@contextlib.contextmanager
def created(kernel: api.Kernel, path: pathlib.Path) -> Iterator[tuple[int, netlink.Netlink]]:
    """Yield a descriptor of a new namespace on ``path``, and a netlink socket in it. Undone where the block fails."""
    path.touch(mode=0o600)
    try:
        with _returning(kernel):
            kernel.unshare(api.CLONE_NEWNET)
            kernel.mount("/proc/thread-self/ns/net", str(path), "none", api.MS_BIND, "")
            sysctls.without_ipv6()
            inside = netlink.Netlink()
        with inside, _opened(path) as namespace:
            yield namespace, inside
    except BaseException:
        remove(kernel, path)
        raise


def release(kernel: api.Kernel, path: pathlib.Path) -> None:
    """Remove the mount on ``path``: processes keep the namespace now. A missing one is no failure."""
    with contextlib.suppress(OSError):
        kernel.umount(str(path), api.MNT_DETACH)


@contextlib.contextmanager
def entered(kernel: api.Kernel, namespace: int) -> Iterator[netlink.Netlink]:
    """Yield a netlink socket in a namespace, given by a descriptor."""
    with _returning(kernel):
        kernel.enter(namespace, api.CLONE_NEWNET)
        sysctls.without_ipv6()
        inside = netlink.Netlink()
    with inside:
        yield inside


@contextlib.contextmanager
def visited(kernel: api.Kernel, namespace: int) -> Iterator[None]:
    """Enter a namespace, given by a descriptor, for the block."""
    with _returning(kernel):
        kernel.enter(namespace, api.CLONE_NEWNET)
        yield


def remove(kernel: api.Kernel, path: pathlib.Path) -> None:
    """Remove a namespace with its interfaces. A missing one is no failure."""
    with contextlib.suppress(FileNotFoundError):
        if path.exists():
            with contextlib.suppress(OSError):  # not a mount: the crash came before it
                kernel.umount(str(path), api.MNT_DETACH)
            path.unlink()


@contextlib.contextmanager
def _returning(kernel: api.Kernel) -> Iterator[None]:
    """Return to the thread's own namespace when the block ends."""
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
