"""RUN: a command in a container that lives as long as the command, above the layers so far."""

import asyncio
import contextlib
import dataclasses
import os
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable

from agent import errors
from agent.dockerfile import evaluate, parse
from agent.engine import layout
from agent.engine.build import stubs, workbenches
from agent.engine.bundle import config, users
from agent.engine.bundle import identity as identities
from agent.engine.cgroups import hierarchy
from agent.engine.kernel import api
from agent.engine.network import networks
from agent.engine.shim import oci_runtime
from agent.engine.spec import container as container_spec
from agent.engine.spec import network as network_spec
from agent.kit import failpoint, frozen, processes
from agent.oci import image_config, platform

_RUNNING = failpoint.register("build.running")
_RAN = failpoint.register("build.ran")
NETWORK = "_build"
"""The network of steps; no declared network is called so."""
_HOSTNAME = "buildkitsandbox"
"""As BuildKit calls it: what a step writes of it is the same."""
_CHUNK = 65536
_SCRIPT_MODE = 0o755
_NO_IMAGE = image_config.ImageConfig(platform.Platform("linux", ""), (), (), (), "", "", "", (), (), ())
_DEFAULT_PATH = ("PATH", evaluate.DEFAULT_PATH)


class Failed(Exception):
    """A command has ended with another exit code than 0."""

    def __init__(self, code: int) -> None:
        """Take the exit code; what the command has printed is told already."""
        super().__init__(f"exit code {code}")
        self.code = code


@frozen.value(kw_only=True)
class Deps:
    """Collaborators of a runner."""

    where: layout.Layout
    kernel: api.Kernel
    networks: networks.Networks
    runtime: oci_runtime.OciRuntime
    pids: int | None
    clean: Callable[[str], Awaitable[None]]
    """Takes away all that a run has made on the host."""


@frozen.value
class Mounted:
    """What a step sees beside its root file system."""

    mounts: tuple[config.BundleMount, ...] = ()
    env: tuple[tuple[str, str], ...] = dataclasses.field(default=(), repr=False)


class Runner:
    """Runs commands."""

    def __init__(self, deps: Deps) -> None:
        """Nothing runs yet."""
        self._deps = deps
        self._network = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def workbench(self) -> AsyncIterator[workbenches.Workbench]:
        """Yield a place for a container; whatever is left of the two is taken away."""
        bench = workbenches.Workbench(self._deps.where, self._deps.kernel)
        bench.root.mkdir()
        try:
            yield bench
        finally:
            await self._deps.clean(bench.path.name)

    async def run(
        self,
        bench: workbenches.Workbench,
        step: evaluate.RunStep,
        network: str,
        mounted: Mounted,
        output: Callable[[bytes], None],
    ) -> None:
        """Run a step's command in the mounted root file system of its place.

        Raises ``Failed``, and what cannot be run: ``errors.InvalidArgument``, ``errors.Unavailable``.
        """
        bundle = bench.path
        sandbox = await self._attach(bundle.name, network)
        identity = identities.Identity(_HOSTNAME, (), sandbox.nameservers if sandbox else (), of_host=sandbox is None)
        own = identities.write(bundle / "etc", identity)
        rootfs = bench.root
        mounts = [
            *(config.BundleMount(own[path], path, read_only=True) for path in ("/etc/hosts", "/etc/resolv.conf")),
            *mounted.mounts,
            *_script(step, bench),
        ]
        with stubs.cleaned(self._deps.kernel, rootfs, [mount.path for mount in mounts]):
            stubs.make_system_folders(rootfs)
            document = config.Bundle(
                spec=_spec(step, sandbox),
                image=_NO_IMAGE,
                rootfs=str(rootfs),
                namespace=str(sandbox.namespace) if sandbox else None,
                user=users.resolve(self._deps.kernel, rootfs, step.user),
                mounts=tuple(mounts),
                cgroup=f"/{self._deps.where.cgroup}/{bundle.name}",
                pids=self._deps.pids,
                own_cgroup=hierarchy.of_host().mode == "v2",
                filter_ahead=self._deps.runtime.program.takes_filter,
                env=_environment(step, mounted),
            )
            config.write(bundle, document)
            _RUNNING.hit()
            await self._command(bundle, output)
            _RAN.hit()

    async def _command(self, bundle: pathlib.Path, output: Callable[[bytes], None]) -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(writing, True)
        try:
            with open(os.devnull, "rb") as nothing:  # noqa: ASYNC230, PTH123 - a device that never blocks
                streams = processes.Streams(nothing.fileno(), writing, writing)
                process = processes.spawn(
                    self._deps.runtime.run_command(bundle), streams, env=oci_runtime.environment()
                )
            os.close(writing)
            writing = -1
            try:
                await _copy(reading, output)
                code = await processes.reaped(process)
            except BaseException:
                await processes.end(process)
                raise
        finally:
            os.close(reading)
            if writing >= 0:
                os.close(writing)
        if code:
            raise Failed(code)

    async def remove_network(self) -> None:
        """Remove the network of steps, which none uses now; the next one makes it again."""
        async with self._network:
            if self._has_network():
                with contextlib.suppress(errors.InUse):  # a build that has begun just now
                    await self._deps.networks.remove(NETWORK)

    def _has_network(self) -> bool:
        return any(record.name == NETWORK for record in self._deps.networks.list())

    async def _attach(self, container_id: str, network: str) -> network_spec.Sandbox | None:
        if network == "host":
            return None
        if network != "default":
            return await self._deps.networks.attach(network_spec.AttachRequest(container_id, container_id, (), ()))
        async with self._network:
            if not self._has_network():
                await self._deps.networks.create(network_spec.NetworkSpec(NETWORK, dns=False))
            attachments = (container_spec.Attachment(NETWORK),)
            request = network_spec.AttachRequest(container_id, container_id, attachments, ())
            return await self._deps.networks.attach(request)


async def _copy(descriptor: int, output: Callable[[bytes], None]) -> None:
    """Hand on what comes, to its end: where all who have the other end are gone."""
    while True:
        await processes.readable(descriptor)
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            continue
        if not chunk:
            return
        output(chunk)


def _script(step: evaluate.RunStep, bench: workbenches.Workbench) -> list[config.BundleMount]:
    """Return the mount of a here-document that is a program of its own."""
    if step.script is None:
        return []
    path = bench.folder("script") / "content"
    path.write_bytes(step.script.content.encode("utf-8", "surrogateescape"))
    path.chmod(_SCRIPT_MODE)
    return [config.BundleMount(str(path), step.script.path, read_only=True)]


def _spec(step: evaluate.RunStep, sandbox: network_spec.Sandbox | None) -> container_spec.ContainerSpec:
    """Return the step as a container: confined as Docker confines one, which may also raise its privileges."""
    modes = container_spec.NetworkMode
    return container_spec.ContainerSpec(
        image="",
        process=container_spec.Process(
            command=tuple(map(parse.readable, step.words)),
            working_dir=parse.readable(step.directory),
            user=parse.readable(step.user),
        ),
        hostname=_HOSTNAME,
        network_mode=modes.HOST if sandbox is None else modes.ATTACHED,
        attachments=(),
        ports=(),
        mounts=(),
        limits=container_spec.Limits(),
        confinement=container_spec.Confinement(no_new_privileges=False),
    )


def _environment(step: evaluate.RunStep, mounted: Mounted) -> config.Variables:
    """Return all variables that a command sees; HOME is the OCI runtime's to set where nobody has."""
    variables = dict([_DEFAULT_PATH, *step.env, *mounted.env])
    return tuple((parse.readable(name), parse.readable(value)) for name, value in variables.items())
