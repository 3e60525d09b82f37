"""From anything to nothing: the one walk that takes away what a run of a container has made on the host.

It is idempotent and assumes nothing, so it serves three times: after a container has ended, to undo a start that
failed, and to finish either after a crash. What outlives a run (writable layer, log, record) is not its business.
"""

import asyncio
import dataclasses
import functools

from agent.engine import layout
from agent.engine.cgroups import hierarchy, tree
from agent.engine.kernel import api as kernel_api
from agent.engine.network import networks
from agent.engine.shim import conmon, oci_runtime
from agent.engine.snapshots import overlay
from agent.kit import failpoint, frozen, locks, notices, tasks, trees

_AT_ONCE = 16
"""Runs that are taken away at a time: a thousand that end together would be a thousand processes of the OCI runtime."""
_RUNTIME = failpoint.register("containers.clean.runtime")
_MOUNTS = failpoint.register("containers.clean.mounts")
_NETWORK = failpoint.register("containers.clean.network")


@frozen.value(kw_only=True)
class Cleaner:
    """Takes runs away."""

    where: layout.Layout
    kernel: kernel_api.Kernel
    runtime: oci_runtime.OciRuntime
    networks: networks.Networks
    register: notices.Register
    unfinished: set[str] = dataclasses.field(default_factory=set)
    """Containers whose cleaning was begun and has failed or was cancelled: it is due before they start or go."""
    guards: locks.KeyedLocks = dataclasses.field(default_factory=locks.KeyedLocks)
    places: asyncio.Semaphore = dataclasses.field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def clean(self, container_id: str) -> None:
        """Take away all that a run of this container may have left; raises the errors of all parts together."""
        self.unfinished.add(container_id)
        async with self.guards.hold(container_id):
            await self._clean(container_id)

    async def attempt(self, container_id: str) -> None:
        """Clean where another failure is the one to tell: what cannot be taken away now is noted, and tried again."""
        try:
            await self.clean(container_id)
        except Exception as error:  # noqa: BLE001 - whatever it is: it stands in the notices until it is over
            self.postpone(container_id, error)

    def postpone(self, container_id: str, error: BaseException) -> None:
        """Note that a container could not be cleaned up behind, and try again later."""
        self.unfinished.add(container_id)
        self.register.failed(f"container {container_id}", error, functools.partial(self._retry, container_id))

    async def _retry(self, container_id: str) -> None:
        async with self.guards.hold(container_id):
            if container_id in self.unfinished:  # otherwise it has been done meanwhile, and may run again
                await self._clean(container_id)

    async def _clean(self, container_id: str) -> None:
        failures: list[Exception] = []
        async with self.places:
            for part in (self._processes, self._mounts, self._network, self._bundle):
                try:
                    await part(container_id)
                except Exception as error:  # noqa: BLE001 - every part gets its turn; all errors are raised below
                    failures.append(error)
        if failures:
            raise ExceptionGroup(f"left-overs of container {container_id}", failures)
        self.unfinished.discard(container_id)
        self.register.settled(f"container {container_id}")

    async def _processes(self, container_id: str) -> None:
        await self.runtime.delete(container_id)
        await tasks.in_thread(lambda: conmon.end(self.where.bundles / container_id))  # may look at the host's processes
        await tree.end(hierarchy.of_host(), f"{self.where.cgroup}/{container_id}")
        _RUNTIME.hit()

    async def _mounts(self, container_id: str) -> None:
        bundle = self.where.bundles / container_id
        if container_id.startswith(layout.OF_BUILDS):  # a step looks at other trees beside its own
            overlay.unmount_below(self.kernel, bundle)
        else:
            overlay.unmount(self.kernel, bundle / "rootfs")
        _MOUNTS.hit()

    async def _network(self, container_id: str) -> None:
        await self.networks.detach(container_id)
        _NETWORK.hit()

    async def _bundle(self, container_id: str) -> None:
        bundle = self.where.bundles / container_id
        if bundle.exists():
            await asyncio.to_thread(trees.remove, bundle)
