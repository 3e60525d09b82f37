"""From a record to a running program: network, root file system, bundle, conmon, start. A failure is undone."""

import contextlib
import dataclasses
import json
import pathlib

from agent.engine import errors, layout
from agent.engine.bundle import config, confinement, users
from agent.engine.containers import ending, files, table
from agent.engine.containers import spec as specs
from agent.engine.images import images
from agent.engine.kernel import api as kernel_api
from agent.engine.network import networks
from agent.engine.network import spec as network_spec
from agent.engine.shim import conmon, liveness, oci_runtime
from agent.engine.snapshots import overlay
from agent.engine.volumes import seed, volumes
from agent.kit import failpoint, tasks

_NETWORK = failpoint.register("containers.launch.network")
_SNAPSHOT = failpoint.register("containers.launch.snapshot")
_CONMON = failpoint.register("containers.launch.conmon")
_START = failpoint.register("containers.launch.start")

_UNTENDED = 4
"""How many times the size at which a log is rotated it may reach where no agent is there to rotate it."""


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
    log_size: int
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
            undo.push_async_callback(self.cleaner.attempt, record.id)
            sandbox = await self._attach(record)
            _NETWORK.hit()
            bundle = await self._bundle(record, sandbox)
            launched = await self._create(record, bundle, announced=sandbox is not None)
            _CONMON.hit()
            await self._begin(record, bundle, launched)
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

    async def _begin(self, record: table.ContainerRecord, bundle: pathlib.Path, launched: conmon.Launched) -> None:
        """Let its program begin. One that was killed while it waited for that is tried again: its declaration is sound.

        Raises ``errors.Unavailable`` for that, ``errors.Refused`` for what cannot be run.
        """
        try:
            await self.rooms.runtime.start(record.id)
        except errors.Refused as error:
            if liveness.start_time(launched.pid) is None and await conmon.killed(bundle, record.id, launched.monitor):
                message = f"{record.name} was killed before its program began"
                raise errors.Unavailable(message, reason="StartFailed") from error
            raise

    async def _create(self, record: table.ContainerRecord, bundle: pathlib.Path, *, announced: bool) -> conmon.Launched:
        """Let conmon create it, and meanwhile let others know where it is: they find it before its program runs."""
        creation = conmon.launch(self._monitor(record, bundle))
        if not announced:
            return await creation
        done = await tasks.together("launch", creation, self.rooms.networks.announce(record.id))
        launched: conmon.Launched = done[0]
        return launched

    def check(self, wanted: specs.ContainerSpec) -> None:
        """Find out early what would keep a container from starting.

        Raises ``errors.NotFound`` (volume), ``errors.Unavailable`` (bind source), ``errors.Refused`` (capability).
        """
        for mount in wanted.mounts:
            self._source(mount)
        confinement.capabilities(wanted.confinement)

    async def _attach(self, record: table.ContainerRecord) -> network_spec.Sandbox | None:
        if record.spec.network_mode is specs.NetworkMode.HOST:
            return None
        request = network_spec.AttachRequest(record.id, record.name, record.spec.attachments, record.spec.ports)
        return await self.rooms.networks.attach(request)

    async def _bundle(self, record: table.ContainerRecord, sandbox: network_spec.Sandbox | None) -> pathlib.Path:
        bundle = self.rooms.where.bundles / record.id
        bundle.mkdir(mode=0o700, parents=True, exist_ok=True)
        rootfs, own = bundle / "rootfs", self.rooms.where.containers / record.id
        self.rooms.where.log(record.id).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        overlay.mount(self.rooms.kernel, [pathlib.Path(path) for path in record.lower_dirs], own, rootfs)
        _SNAPSHOT.hit()
        for mount in record.spec.mounts:
            if mount.type == "volume":
                await seed.seed(self.rooms.kernel, rootfs, mount.path, pathlib.Path(self._source(mount)))
        told = config.Bundle(
            spec=record.spec,
            image=record.image_config,
            rootfs=str(rootfs),
            namespace=str(sandbox.namespace) if sandbox else None,
            user=users.resolve(self.rooms.kernel, rootfs, record.spec.process.user or record.image_config.user),
            mounts=self._mounts(record, files.write(bundle, _identity(record, sandbox))),
            cgroup=f"/{self.rooms.where.cgroup}/{record.id}",
            filter_ahead=self.rooms.runtime.program.takes_filter,
        )
        (bundle / "config.json").write_text(json.dumps(config.build(told)))
        return bundle

    def _mounts(self, record: table.ContainerRecord, own: dict[str, str]) -> tuple[config.BundleMount, ...]:
        """Give all mounts; a declared one wins over the files that tell a container who it is."""
        wanted = {
            mount.path: config.BundleMount(self._source(mount), mount.path, mount.read_only, mount.size)
            for mount in record.spec.mounts
        }
        identity = {path: config.BundleMount(source, path) for path, source in own.items()}
        return tuple({**identity, **wanted}.values())

    def _source(self, mount: specs.Mount) -> str:
        """Give the host's path of a mount; empty for memory."""
        if mount.type == "volume":
            return str(self.rooms.volumes.get(mount.source).path)
        if mount.type == "bind" and not pathlib.Path(mount.source).exists():
            raise errors.Unavailable(
                f"bind source {mount.source} does not exist on this host",
                hint="make it, or use a volume",
                reason="MountSourceMissing",
            )
        return mount.source

    def _monitor(self, record: table.ContainerRecord, bundle: pathlib.Path) -> conmon.Launch:
        return conmon.Launch(
            program=self.rooms.conmon,
            runtime=self.rooms.runtime,
            container_id=record.id,
            name=record.name,
            bundle=bundle,
            log=self.rooms.where.log(record.id),
            log_limit=_UNTENDED * self.rooms.log_size,
        )


def _identity(record: table.ContainerRecord, sandbox: network_spec.Sandbox | None) -> files.Identity:
    if sandbox is None:
        return files.Identity(record.spec.hostname, (), (), of_host=True)
    addresses = tuple(address for _, address in sandbox.addresses)
    return files.Identity(record.spec.hostname, addresses, sandbox.nameservers)
