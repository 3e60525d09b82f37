"""A host seen from any of its network namespaces: who answers, and whom a server takes for its client.

Sockets belong to the namespace that they were made in, wherever they are used: so a test talks from inside of a
container, or from a machine next to the host, without a program there.
"""

import asyncio
import contextlib
import dataclasses
import functools
import os
import pathlib
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from agent.drivers.native import driver as native
from agent.engine import recover
from agent.engine.kernel import api as kernel_api
from agent.engine.kernel import linux
from agent.engine.shim import liveness
from agent.kit import tasks
from agent.model import container, image, network
from agent.runtime import streams
from tests import builders

HOST = pathlib.Path("/proc/thread-self/ns/net")
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
PORT = 8080
"""Where ``telling`` serves."""
_REFERENCE = "localhost/busybox:latest"
_PATIENCE = 5.0
"""Seconds for an answer that has to come."""
_SILENCE = 0.5
"""Seconds after which no answer comes any more: on one machine it takes a thousandth of that."""


@dataclasses.dataclass(frozen=True, slots=True)
class Bench:
    """A native runtime with busybox's image."""

    runtime: native.NativeRuntime

    async def add_network(self, name: str, **fields: Any) -> network.NetworkConfig:
        """Make a network and give it with its subnets."""
        await self.runtime.networks.create(builders.network_config(name, **fields), ())
        return (await self.observed(name)).config

    async def observed(self, name: str) -> network.ObservedNetwork:
        """Observe one network."""
        return next(network for network in await self.runtime.networks.list() if network.name == name)

    async def start(self, name: str, *networks: str | container.NetworkAttachment, **fields: Any) -> str:
        """Start a container in networks and give its id."""
        attachments = tuple(
            network if not isinstance(network, str) else container.NetworkAttachment(network) for network in networks
        )
        fields_of_config = {"image": _REFERENCE, "command": ("/bin/sleep", "1000"), "networks": attachments, **fields}
        config = builders.config(name, **fields_of_config)
        identity = await self.runtime.containers.create(config, name, builders.labels_for(config))
        await self.runtime.containers.start(identity)
        return identity

    async def addresses(self, name: str) -> dict[str, str]:
        """Return a container's address by network."""
        return dict(
            next(container for container in await self.runtime.containers.list() if container.name == name).addresses
        )

    async def run(self, name: str, *command: str) -> str:
        """Run a command in a container and give its output; it has to succeed."""
        async with self.runtime.containers.exec(name, streams.ExecRequest(command)) as session:
            output = b"".join([chunk async for _, chunk in session.output()]).decode()
            assert await session.wait() == 0, output
        return output

    def namespace(self, name: str) -> pathlib.Path:
        """Return where a running container's network namespace can be entered."""
        run = self.runtime.engine.containers.get(name).run
        assert run is not None, f"{name} does not run"
        return pathlib.Path(f"/proc/{run.pid}/ns/net")

    def bridge(self, name: str) -> str:
        """Return a network's bridge."""
        return next(network.bridge for network in self.runtime.engine.networks.list() if network.name == name)

    async def routes(self, name: str) -> list[str]:
        """Return where a container's default routes lead."""
        lines = (await self.run(name, "/bin/ip", "route")).splitlines()
        return [line.split()[2] for line in lines if line.startswith("default")]


@contextlib.asynccontextmanager
async def opened(archive: pathlib.Path, home: pathlib.Path, *, keep: bool = False) -> AsyncIterator[Bench]:
    """Open an instance with an image in it; afterwards nothing of it is left on the host, unless it runs on."""
    async with native.open_runtime(home / "root", home / "run") as runtime:
        config = image.ImageConfig("busybox", _REFERENCE, image.ArchiveSource(str(archive), "1"))
        await runtime.images.ensure(config, builders.labels_for(config), lambda _: None)
        try:
            yield Bench(runtime)
        except BaseException:
            keep = False
            raise
        finally:
            if not keep:
                await emptied(runtime)
        assert keep or await recover.leftovers(runtime.engine.recovery) == []


async def emptied(runtime: native.NativeRuntime) -> None:
    """Remove all containers and networks."""
    await tasks.together(
        "remove", *(runtime.containers.remove(container.id) for container in await runtime.containers.list())
    )
    for record in await runtime.networks.list():
        await runtime.networks.remove(record.name)


@contextlib.asynccontextmanager
async def telling(namespace: pathlib.Path, address: str = "0.0.0.0", port: int = PORT) -> AsyncIterator[None]:
    """Serve in a namespace, TCP and UDP: whoever asks is told its own address, as the server sees it."""
    loop = asyncio.get_running_loop()
    with made_in(namespace, TCP) as stream, made_in(namespace, UDP) as datagrams:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stream.bind((address, port))
        stream.listen()
        datagrams.bind((address, port))

        async def serve_streams() -> None:
            while True:
                connection, peer = await loop.sock_accept(stream)
                with connection, contextlib.suppress(ConnectionError):
                    await loop.sock_recv(connection, 1)
                    await loop.sock_sendall(connection, peer[0].encode())

        async def serve_datagrams() -> None:
            while True:
                _, peer = await loop.sock_recvfrom(datagrams, 100)
                await loop.sock_sendto(datagrams, peer[0].encode(), peer)

        async with tasks.Crew(_failed) as crew:
            crew.start(serve_streams(), name="streams")
            crew.start(serve_datagrams(), name="datagrams")
            yield


async def ask(namespace: pathlib.Path, address: str, port: int = PORT, kind: int = TCP) -> str | None:
    """Ask a server from a namespace as whom it sees us; ``None``: it does not answer."""
    with made_in(namespace, kind) as client:
        return await asked(client, address, port)


async def silent(namespace: pathlib.Path, address: str, port: int = PORT, kind: int = TCP) -> bool:
    """Return whether nobody answers from there."""
    with made_in(namespace, kind) as client:
        return await asked(client, address, port, _SILENCE) is None


async def asked(client: socket.socket, address: str, port: int, patience: float = _PATIENCE) -> str | None:
    """Ask by a socket that is there already, which keeps its own port."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(patience):
            await loop.sock_connect(client, (address, port))
            await loop.sock_sendall(client, b"?")
            return (await loop.sock_recv(client, 100)).decode()
    except OSError:  # a TimeoutError is one
        return None


def made_in(namespace: pathlib.Path, kind: int, family: int = socket.AF_INET, protocol: int = 0) -> socket.socket:
    """Make a socket in a namespace."""
    kernel = linux.LinuxKernel()
    with _descriptor(HOST) as home, _descriptor(namespace) as namespace_handle:
        kernel.enter(namespace_handle, kernel_api.CLONE_NEWNET)
        try:
            connection = socket.socket(family, kind, protocol)
        finally:
            kernel.enter(home, kernel_api.CLONE_NEWNET)
    connection.setblocking(False)
    return connection


@dataclasses.dataclass(frozen=True, slots=True)
class Neighbour:
    """A machine next to the host, on a cable of their own."""

    namespace: pathlib.Path
    address: str
    host: str
    """The host's address on that cable."""
    link: str
    """The host's end of it."""


@contextlib.contextmanager
def neighbour(number: int = 0) -> Iterator[Neighbour]:
    """Put a machine next to the host: a namespace, a veth pair, and addresses from the range for benchmarks.

    Two of them have different numbers, 0 and 1.
    """
    name = f"tt{'nm'[number]}{os.getpid()}"
    host, own = (f"198.{18 + number}.{os.getpid() >> 6 & 255}.{(os.getpid() << 2 & 255) + last}" for last in (1, 2))
    command("ip", "netns", "add", name)
    try:
        command("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        command("ip", "address", "add", f"{host}/30", "dev", name)
        command("ip", "link", "set", name, "up")
        command("ip", "-n", name, "address", "add", f"{own}/30", "dev", "eth0")
        command("ip", "-n", name, "link", "set", "eth0", "up")
        _carried(name)
        yield Neighbour(pathlib.Path("/run/netns", name), own, host, name)
    finally:
        command("ip", "netns", "delete", name)
        subprocess.run(["ip", "link", "delete", name], check=False, capture_output=True)


def _carried(name: str) -> None:
    """Wait until both ends of the cable pass packets: the kernel sees to that in its own time."""
    until = time.monotonic() + _PATIENCE
    ends = (("ip", "link", "show", name), ("ip", "-n", name, "link", "show", "eth0"))
    while not all("state UP" in command(*words) for words in ends):
        assert time.monotonic() < until, "the cable to the neighbour is not up"


def openers(bench: Bench) -> dict[str, Callable[[], int]]:
    """Return what opens the network namespaces of all containers that run, by their ids."""
    return {
        record.id: functools.partial(liveness.open_network, record.run.pid, record.run.pid_started)
        for record in bench.runtime.engine.containers.list()
        if record.run is not None
    }


def inside(namespace: pathlib.Path, *words: str) -> str:
    """Run a program of the host in a namespace."""
    return command("nsenter", f"--net={namespace}", *words)


def command(*words: str) -> str:
    """Run a program of the host."""
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def _failed(task: str, failure: BaseException) -> None:
    asyncio.get_running_loop().call_exception_handler({"message": f"{task} has failed", "exception": failure})


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """Let the calling thread, and what it starts, be on a host of its own: for harm that would reach others."""
    kernel = linux.LinuxKernel()
    with _descriptor(HOST) as home:
        kernel.unshare(kernel_api.CLONE_NEWNET)
        try:
            command("ip", "link", "set", "lo", "up")
            yield
        finally:
            kernel.enter(home, kernel_api.CLONE_NEWNET)


@contextlib.contextmanager
def _descriptor(path: pathlib.Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
