"""From a record to a running program: network, root file system, bundle, conmon, start. What fails half way is undone."""

import contextlib
import dataclasses
import json
import pathlib
import socket

from agent.engine import layout
from agent.engine.bundle import mounts as bundle_mounts
from agent.engine.bundle import spec as bundle_spec
from agent.engine.bundle import users
from agent.engine.containers import ending, files, table
from agent.engine.containers import spec as specs
from agent.engine.images import images
from agent.engine.kernel import api as kernel_api
from agent.engine.network import networks
from agent.engine.shim import conmon, liveness, oci_runtime
from agent.engine.snapshots import overlay
from agent.engine.volumes import volumes
from agent.kit import failpoint

_NETWORK = failpoint.register("containers.launch.network")
_SNAPSHOT = failpoint.register("containers.launch.snapshot")
_CONMON = failpoint.register("containers.launch.conmon")
_START = failpoint.register("containers.launch.start")


@dataclasses.dataclass(frozen=True, slots=True)
class Rooms:
    """The rooms that a container is made from."""

    where: layout.Layout
    kernel: kernel_api.Kernel
    images: images.Images
    networks: networks.Networks
    volumes: volumes.Volumes
    runtime: oci_runtime.OciRuntime
    conmon: pathlib.Path
    epoch: str
    log_limit: int
    """Bytes of a container's log file before it is rotated."""


@dataclasses.dataclass(frozen=True, slots=True)
class Launcher:
    """Starts containers."""

    rooms: Rooms
    cleaner: ending.Cleaner

    async def launch(self, record: table.ContainerRecord) -> table.Run:
        """Make everything that a run needs, and start it; after a failure nothing of it is left.

        Raises the errors of the rooms: ``Conflict`` for a port or address in use, ``Refused`` for what cannot run.
        """
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self.cleaner.clean, record.id)
            sandbox = await self._attach(record)
            _NETWORK.hit()
            bundle = self._bundle(record, sandbox)
            _SNAPSHOT.hit()
            launched = await conmon.launch(self._monitor(record, bundle))
            _CONMON.hit()
            await self.rooms.runtime.start(record.id)
            _START.hit()
            undo.pop_all()
        return table.Run(
            epoch=self.rooms.epoch,
            pid=launched.pid,
            pid_started=liveness.start_time(launched.pid),
            monitor=launched.monitor,
            monitor_started=liveness.start_time(launched.monitor),
            addresses=sandbox.addresses if sandbox else (),
        )

    async def _attach(self, record: table.ContainerRecord) -> networks.Sandbox | None:
        if record.spec.network_mode is specs.NetworkMode.HOST:
            return None
        request = networks.AttachRequest(record.id, record.name, record.spec.attachments, record.spec.ports)
        return await self.rooms.networks.attach(request)

    def _bundle(self, record: table.ContainerRecord, sandbox: networks.Sandbox | None) -> pathlib.Path:
        bundle = self.rooms.where.bundles / record.id
        bundle.mkdir(mode=0o700, parents=True, exist_ok=True)
        image = self.rooms.images.get(record.image_id)
        self._root_file_system(record, bundle, image.lower_dirs)
        user = users.resolve(self.rooms.kernel, bundle / "rootfs", record.spec.process.user or image.config.user)
        inputs = bundle_spec.BundleInputs(
            spec=record.spec,
            image=image.config,
            rootfs=str(bundle / "rootfs"),
            network_namespace=str(sandbox.namespace) if sandbox else None,
            user=user,
            mounts=(*self._mounts(record), *files.write(bundle, _identity(record, sandbox))),
            cgroup=f"/{self.rooms.where.cgroup}/{record.id}",
        )
        (bundle / "config.json").write_text(json.dumps(bundle_spec.build(inputs)))
        return bundle

    def _root_file_system(
        self, record: table.ContainerRecord, bundle: pathlib.Path, lower: tuple[pathlib.Path, ...]
    ) -> None:
        own = self.rooms.where.containers / record.id
        for folder in (bundle / "rootfs", own / "upper", own / "work", own / "log"):
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        overlay.mount(self.rooms.kernel, lower, own / "upper", own / "work", bundle / "rootfs")

    def _mounts(self, record: table.ContainerRecord) -> tuple[bundle_mounts.ResolvedMount, ...]:
        return tuple(self._mount(mount) for mount in record.spec.mounts)

    def _monitor(self, record: table.ContainerRecord, bundle: pathlib.Path) -> conmon.Launch:
        return conmon.Launch(
            program=self.rooms.conmon,
            runtime=self.rooms.runtime,
            container_id=record.id,
            name=record.name,
            bundle=bundle,
            log=self.rooms.where.containers / record.id / "log" / "container.log",
            log_limit=2 * self.rooms.log_limit,
        )


def _identity(record: table.ContainerRecord, sandbox: networks.Sandbox | None) -> files.Identity:
    hostname = record.spec.hostname if sandbox else socket.gethostname()
    addresses = tuple(address for _, address in sandbox.addresses) if sandbox else ()
    return files.Identity(hostname, addresses, sandbox.nameservers if sandbox else ())
