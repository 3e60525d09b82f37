"""From a record to a running program: network, root file system, bundle, conmon, start. A failure is undone."""

import contextlib
import dataclasses
import functools
import pathlib

from agent import errors
from agent.engine import layout
from agent.engine.bundle import config, confinement, destinations, identity, users
from agent.engine.cgroups import hierarchy
from agent.engine.containers import binds, ending, log_files, table
from agent.engine.images import images
from agent.engine.kernel import api as kernel_api
from agent.engine.network import networks
from agent.engine.shim import conmon, liveness, oci_runtime
from agent.engine.snapshots import overlay
from agent.engine.spec import container as container_spec
from agent.engine.spec import network as network_spec
from agent.engine.volumes import seed, volumes
from agent.kit import failpoint, frozen, lookups, tasks
from agent.reasons import Reason

_NETWORK = failpoint.register("containers.launch.network")
_SNAPSHOT = failpoint.register("containers.launch.snapshot")
_CONMON = failpoint.register("containers.launch.conmon")
_START = failpoint.register("containers.launch.start")

_UNTENDED = 4
"""How many times the size at which a log is rotated it may reach where no agent is there to rotate it."""


@frozen.value(kw_only=True)
class Deps:
    """Collaborators of a launch."""

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
    pids: int | None
    """Processes of a container that asks for no limit."""


@frozen.value
class _Source:
    """What is mounted."""

    path: str
    """On the host; empty for memory."""
    is_folder: bool


@frozen.value
class Launcher:
    """Starts containers."""

    deps: Deps
    cleaner: ending.Cleaner
    bind_lookups: lookups.Lookups = dataclasses.field(default_factory=lookups.Lookups)
    """Looks at bind sources, which may be on a network file system that does not answer."""

    async def launch(
        self, record: table.ContainerRecord, sources: binds.Sources | None = None, env: config.Variables = ()
    ) -> table.Run:
        """Make everything that a run needs, and start it; after a failure nothing of it is left.

        ``env`` has the variables that its ``Process.env_at_start`` names: they are in its bundle, and nowhere else.

        Raises the errors of its collaborators: ``Conflict`` for a port or address in use, or a bind that is none of
        ``sources``, ``InvalidArgument`` for what cannot run.
        """
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self.cleaner.attempt, record.id)
            sandbox = await self._attach(record)
            _NETWORK.hit()
            bundle = await self._bundle(record, sandbox, env)
            launched = await self._create(record, bundle, announced=sandbox is not None)
            _CONMON.hit()
            if sources is not None:
                await self._check_binds(record, launched.pid, sources)
            beginning, handing = self._begin(record, bundle, launched), self._hand_over(record, bundle, launched)
            await tasks.together("start", beginning, handing)
            _START.hit()
            undo.pop_all()
        return table.Run(
            epoch=self.deps.epoch,
            pid=launched.pid,
            pid_started=liveness.start_time(launched.pid),
            monitor=launched.monitor,
            monitor_started=liveness.start_time(launched.monitor),
            addresses=sandbox.addresses if sandbox else (),
        )

    async def _begin(self, record: table.ContainerRecord, bundle: pathlib.Path, launched: conmon.Launched) -> None:
        """Let its program begin. One that was killed while it waited for that is tried again: its declaration is sound.

        Raises ``errors.Unavailable`` for that, ``errors.InvalidArgument`` for what cannot be run.
        """
        try:
            await self.deps.runtime.start(record.id)
        except errors.InvalidArgument as error:
            if liveness.start_time(launched.pid) is None and await conmon.killed(bundle, record.id, launched.monitor):
                message = f"{record.name} was killed before its program began"
                raise errors.Unavailable(message, reason=Reason.START_FAILED) from error
            raise

    async def _hand_over(self, record: table.ContainerRecord, bundle: pathlib.Path, launched: conmon.Launched) -> None:
        """Let the container's processes keep what it is made of, and the host's mount table be as small as before."""
        if record.spec.network_mode is not container_spec.NetworkMode.HOST:
            started = liveness.start_time(launched.pid)
            open_namespace = functools.partial(liveness.open_network, launched.pid, started)
            await self.deps.networks.hand_over(record.id, open_namespace)
        await tasks.in_thread(lambda: overlay.unmount(self.deps.kernel, bundle / "rootfs"))

    async def _create(self, record: table.ContainerRecord, bundle: pathlib.Path, *, announced: bool) -> conmon.Launched:
        """Let conmon create it, and meanwhile let others know where it is: they find it before its program runs."""
        creation = conmon.launch(self._monitor(record, bundle))
        if not announced:
            return await creation
        done = await tasks.together("launch", creation, self.deps.networks.announce(record.id))
        launched: conmon.Launched = done[0]
        return launched

    async def check(self, requested: container_spec.ContainerSpec) -> None:
        """Find out early what would keep a container from starting.

        Raises ``errors.NotFound`` (volume), ``errors.Unavailable`` (bind source), ``errors.InvalidArgument``
        (capability).
        """
        for mount in requested.mounts:
            await self._source(mount)
        confinement.capabilities(requested.confinement)

    async def _attach(self, record: table.ContainerRecord) -> network_spec.Sandbox | None:
        if record.spec.network_mode is container_spec.NetworkMode.HOST:
            return None
        request = network_spec.AttachRequest(record.id, record.name, record.spec.attachments, record.spec.ports)
        return await self.deps.networks.attach(request)

    async def _bundle(
        self, record: table.ContainerRecord, sandbox: network_spec.Sandbox | None, env: config.Variables
    ) -> pathlib.Path:
        where = self.deps.where
        bundle = where.bundles / record.id
        bundle.mkdir(mode=0o700, parents=True, exist_ok=True)
        rootfs, own = bundle / "rootfs", where.containers / record.id
        where.log(record.id).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        log_files.begin_run(self.deps.where.log(record.id))
        overlay.mount(self.deps.kernel, [pathlib.Path(path) for path in record.lower_dirs], own, rootfs)
        _SNAPSHOT.hit()
        for mount in record.spec.mounts:
            if mount.type == "volume":
                await seed.seed(self.deps.kernel, rootfs, mount.path, pathlib.Path((await self._source(mount)).path))
        bundle_config = config.Bundle(
            spec=record.spec,
            image=record.image_config,
            rootfs=str(rootfs),
            namespace=str(sandbox.namespace) if sandbox else None,
            user=users.resolve(self.deps.kernel, rootfs, record.spec.process.user or record.image_config.user),
            mounts=await self._mounts(
                record, rootfs, identity.write(where.identity(record.id), _identity(record, sandbox))
            ),
            cgroup=f"/{where.cgroup}/{record.id}",
            pids=self.deps.pids,
            own_cgroup=hierarchy.of_host().mode == "v2",
            filter_ahead=self.deps.runtime.program.takes_filter,
            env_at_start=env,
        )
        config.write(bundle, bundle_config)
        return bundle

    async def _mounts(
        self, record: table.ContainerRecord, rootfs: pathlib.Path, own: dict[str, str]
    ) -> tuple[config.BundleMount, ...]:
        """Return all mounts; a declared one wins over the files that tell a container who it is."""
        declared: dict[str, config.BundleMount] = {}
        for mount in record.spec.mounts:
            source = await self._source(mount)
            declared[mount.path] = config.BundleMount(
                source.path, mount.path, mount.read_only, mount.size, is_folder=source.is_folder
            )
        read_only = record.spec.confinement.read_only_rootfs
        identity = {path: config.BundleMount(file, path, read_only) for path, file in own.items()}
        mounts = {**identity, **declared}.values()
        return tuple(self._resolved(mount, rootfs) for mount in mounts)

    def _resolved(self, mount: config.BundleMount, rootfs: pathlib.Path) -> config.BundleMount:
        """Look where a mount leads on both sides. Raises ``errors.InvalidArgument`` where nothing may be mounted."""
        resolved = destinations.resolve(self.deps.kernel, rootfs, mount.path)
        destinations.check(resolved)
        return dataclasses.replace(mount, resolved=resolved)

    async def _source(self, mount: container_spec.Mount) -> _Source:
        """Return what is mounted. Raises ``errors.Unavailable`` for a bind source that is missing, or silent."""
        if mount.type == "volume":
            path = self.deps.volumes.get(mount.source).path
            return _Source(str(path), is_folder=path.is_dir())
        if mount.type != "bind":
            return _Source(mount.source, is_folder=False)
        try:
            is_folder = await self.bind_lookups.look(mount.source, functools.partial(_is_folder, mount.source))
        except TimeoutError as error:
            raise lookups.unanswered("bind source", mount.source, Reason.MOUNT_SOURCE_MISSING) from error
        if is_folder is None:
            raise errors.Unavailable(
                f"bind source {mount.source} does not exist on this host",
                hint="make it, or use a volume",
                reason=Reason.MOUNT_SOURCE_MISSING,
            )
        return _Source(mount.source, is_folder=is_folder)

    async def _check_binds(self, record: table.ContainerRecord, pid: int, sources: binds.Sources) -> None:
        """Compare what was mounted with what was to be. Raises what ``binds.check`` does."""
        check = functools.partial(binds.check, self.deps.kernel, pid, record.spec.mounts, sources)
        try:
            await self.bind_lookups.look(f"/proc/{pid}/root", check)
        except TimeoutError as error:
            shown = ", ".join(sorted(sources))
            raise lookups.unanswered("bind source", shown, Reason.MOUNT_SOURCE_MISSING) from error

    def _monitor(self, record: table.ContainerRecord, bundle: pathlib.Path) -> conmon.Launch:
        return conmon.Launch(
            program=self.deps.conmon,
            runtime=self.deps.runtime,
            container_id=record.id,
            name=record.name,
            bundle=bundle,
            log=self.deps.where.log(record.id),
            log_limit=_UNTENDED * self.deps.log_size,
        )


def _is_folder(source: str) -> bool | None:
    """Return whether a bind source is a folder; ``None`` where there is none. It may hang: for ``kit.lookups``."""
    path = pathlib.Path(source)
    return path.is_dir() if path.exists() else None


def _identity(record: table.ContainerRecord, sandbox: network_spec.Sandbox | None) -> identity.Identity:
    if sandbox is None:
        return identity.Identity(record.spec.hostname, (), (), of_host=True)
    addresses = tuple(str(address) for _, address in sandbox.addresses)
    return identity.Identity(record.spec.hostname, addresses, sandbox.nameservers)
