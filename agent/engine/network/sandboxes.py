"""Containers' network namespaces, as an agent holds them: created, left to their processes, entered, removed."""

import contextlib
import pathlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from agent import errors
from agent.engine.kernel import api
from agent.engine.network import driver, namespaces, netlink
from agent.engine.spec import network as network_spec
from agent.kit import batching, failpoint
from agent.reasons import Reason

T = TypeVar("T")
_NAMESPACE = failpoint.register("network.namespace")
_LOOPBACK_INDEX = 1
"""``lo`` is the first link of every namespace."""


class Sandboxes:
    """All sandboxes of an instance. Their marks lie in one folder, a file for each container."""

    def __init__(
        self, kernel: api.Kernel, threads: namespaces.Threads, folder: pathlib.Path, drivers: driver.Drivers
    ) -> None:
        """Hold none yet."""
        self._kernel = kernel
        self._drivers = drivers
        self._threads = threads
        self._folder = folder
        self.entrances = namespaces.Entrances()
        self._leaving: dict[str, Sequence[driver.Connection]] = {}
        self._removal = batching.Batch(self._delete_all_leaving)

    def path(self, container_id: str) -> pathlib.Path:
        """Return where a namespace is kept while it is created, and marked afterwards."""
        return self._folder / container_id

    def marked(self) -> frozenset[str]:
        """Return the containers that have a namespace, or had one until just now."""
        return frozenset(entry.name for entry in self._folder.iterdir())

    def holds(self, container_id: str) -> bool:
        """Return whether there is anything of a container's namespace."""
        with self.entrances.in_use() as descriptors:
            return container_id in descriptors or self.path(container_id).exists()

    async def create(
        self, container_id: str, connections: Sequence[driver.Connection]
    ) -> list[tuple[network_spec.Address, ...]]:
        """Create a namespace with its connections, and return the addresses of each. A failure leaves nothing of it."""
        return await self._threads.run(lambda: self._create(self.path(container_id), connections))

    async def hand_over(self, container_id: str, open_namespace: Callable[[], int]) -> None:
        """Leave a namespace to its container's processes from now on.

        ``open_namespace`` returns a descriptor of its first process's, and raises ``ProcessLookupError`` where that has
        ended. Raises ``errors.Unavailable`` where no descriptor is left: the mount stays, nothing else would keep it.
        """
        try:
            self.entrances.open(container_id, open_namespace)
        except ProcessLookupError:
            pass
        except OSError as error:
            raise errors.Unavailable(
                f"a container's network namespace cannot be kept: {error.strerror}",
                hint="raise the limit for open files (LimitNOFILE= in the unit, ulimit -n in a shell)",
                reason=Reason.TOO_MANY_OPEN_FILES,
            ) from error
        await self._threads.run(lambda: namespaces.release(self._kernel, self.path(container_id)))

    def mark(self, container_ids: Collection[str]) -> None:
        """Make the marks of containers whose namespaces are held, where somebody has removed them."""
        with self.entrances.in_use() as descriptors:
            for container_id in descriptors.keys() & set(container_ids):
                self.path(container_id).touch(mode=0o600)

    async def connect(self, container_id: str, connection: driver.Connection) -> tuple[network_spec.Address, ...]:
        """Connect a running container to one more network, and return its addresses there; after a failure it is not.

        Raises ``errors.Unavailable`` where it has just ended.
        """
        connect = self._drivers.of(connection.network.spec).connect
        try:
            addresses = await self._inside(container_id, lambda namespace: connect(namespace, connection))
        except BaseException:
            await self._threads.run(lambda: self._disconnect([connection]))
            raise
        if addresses is None:
            raise errors.Unavailable("the container has just ended", reason=Reason.NOT_RUNNING)
        return addresses

    async def disconnect(
        self, container_id: str, connection: driver.Connection, gateway: network_spec.Address | None
    ) -> None:
        """Remove a connection; the default route leads to ``gateway`` afterwards, if there is one."""
        await self._threads.run(lambda: self._disconnect([connection]))
        if gateway is not None:  # a container that has just ended needs none
            await self._inside(
                container_id, lambda namespace: namespace.inside.perform([netlink.default_route(gateway)])
            )

    async def mend(self, container_id: str, connection: driver.Connection) -> None:
        """Restore a connection; that of a container that has just ended needs nothing."""
        mend = self._drivers.of(connection.network.spec).mend
        await self._inside(container_id, lambda namespace: mend(namespace, connection))

    async def delete(self, container_id: str, connections: Sequence[driver.Connection]) -> None:
        """Remove a namespace and its connections. Those of containers that end together go together."""
        self._leaving[container_id] = connections
        try:
            await self._removal.done()
        finally:
            self._leaving.pop(container_id, None)
        self.entrances.drop(container_id)

    def close(self) -> None:
        """Hold none any more; namespaces of containers that run stay theirs."""
        self.entrances.close()

    async def _inside(self, container_id: str, work: Callable[[driver.Namespace], T]) -> T | None:
        """Do something in a container's namespace, in a thread; ``None`` where it has none any more."""
        with self.entrances.in_use() as descriptors:
            descriptor = descriptors.get(container_id)
            if descriptor is None:
                return None
            return await self._threads.run(lambda: self._in_namespace(descriptor, work))

    def _in_namespace(self, descriptor: int, work: Callable[[driver.Namespace], T]) -> T:
        with namespaces.entered(self._kernel, descriptor) as inside:
            return work(driver.Namespace(descriptor, inside))

    def _create(
        self, path: pathlib.Path, connections: Sequence[driver.Connection]
    ) -> list[tuple[network_spec.Address, ...]]:
        with namespaces.created(self._kernel, path) as (descriptor, inside), contextlib.ExitStack() as undo:
            _NAMESPACE.hit()
            inside.perform([netlink.link_up(_LOOPBACK_INDEX)])
            namespace, addresses = driver.Namespace(descriptor, inside), []
            for connection in connections:
                addresses.append(self._drivers.of(connection.network.spec).connect(namespace, connection))
                undo.callback(self._disconnect, [connection])
            undo.pop_all()
            return addresses

    def _disconnect(self, connections: Sequence[driver.Connection]) -> None:
        for network_driver, group in self._drivers.of_connections(connections):
            network_driver.disconnect(group)

    async def _delete_all_leaving(self) -> None:
        leaving = dict(self._leaving)  # each waits for it, and takes its own out
        await self._threads.run(lambda: self._delete_all(leaving))

    def _delete_all(self, leaving: Mapping[str, Sequence[driver.Connection]]) -> None:
        """Remove the connections first and at once: the kernel removes a namespace later."""
        self._disconnect([connection for connections in leaving.values() for connection in connections])
        for container_id in leaving:
            namespaces.remove(self._kernel, self.path(container_id))
