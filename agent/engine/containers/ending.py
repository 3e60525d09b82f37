"""From anything to nothing: the one walk that takes away what a run of a container has made on the host.

It is idempotent and assumes nothing, so it serves three times: after a container has ended, to undo a start that
failed, and to finish either after a crash. What outlives a run (writable layer, log, record) is not its business.
"""

import asyncio
import contextlib
import dataclasses
import os
import pathlib
import shutil
import signal

from agent.engine import layout
from agent.engine.cgroups import hierarchy, tree
from agent.engine.kernel import api as kernel_api
from agent.engine.network import networks
from agent.engine.shim import oci_runtime
from agent.engine.snapshots import overlay
from agent.kit import failpoint

_RUNTIME = failpoint.register("containers.clean.runtime")
_MOUNTS = failpoint.register("containers.clean.mounts")
_NETWORK = failpoint.register("containers.clean.network")


@dataclasses.dataclass(frozen=True, slots=True)
class Cleaner:
    """Takes runs away."""

    where: layout.Layout
    kernel: kernel_api.Kernel
    runtime: oci_runtime.OciRuntime
    networks: networks.Networks

    async def clean(self, container_id: str) -> None:
        """Take away all that a run of this container may have left; raises the errors of all parts together."""
        failures: list[Exception] = []
        for part in (self._processes, self._mounts, self._network, self._bundle):
            try:
                await part(container_id)
            except Exception as error:  # noqa: BLE001 - every part gets its turn; all errors are raised below
                failures.append(error)
        if failures:
            raise ExceptionGroup(f"left-overs of container {container_id}", failures)

    async def _processes(self, container_id: str) -> None:
        await self.runtime.delete(container_id)
        kill_monitor(self.where.bundles / container_id)
        await tree.end(hierarchy.of_host(), f"{self.where.cgroup}/{container_id}")
        _RUNTIME.hit()

    async def _mounts(self, container_id: str) -> None:
        overlay.unmount(self.kernel, self.where.bundles / container_id / "rootfs")
        _MOUNTS.hit()

    async def _network(self, container_id: str) -> None:
        await self.networks.detach(container_id)
        _NETWORK.hit()

    async def _bundle(self, container_id: str) -> None:
        bundle = self.where.bundles / container_id
        if bundle.exists():
            await asyncio.to_thread(shutil.rmtree, bundle)


def kill_monitor(bundle: pathlib.Path) -> None:
    """Kill the conmon of a bundle if it still runs; recognised by its command line, since pids are given out again."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((bundle / "conmon.pid").read_text())
        if str(bundle).encode() in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            os.kill(pid, signal.SIGKILL)
