"""The native runtime on this host, with an image of busybox and some accounts in it; nothing of it stays behind."""

import asyncio
import contextlib
import dataclasses
import pathlib
from collections.abc import AsyncIterator
from typing import Any

from agent.drivers.native import driver
from agent.engine import recover
from agent.engine.cgroups import hierarchy
from agent.engine.shim import oci_runtime
from agent.model import container, image
from agent.runtime import streams
from tests import builders, quickstart_image

REFERENCE = "localhost/busybox:latest"
EXITED = container.ContainerState.EXITED
SECURITY = container.Security("", (), (), False, True, container.SeccompProfile.DEFAULT)
ACCOUNTS = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nweb:x:101:102::/srv:/bin/sh\n1000:x:0:0::/root:/bin/sh\n",
    "etc/group": b"root:x:0:\nweb:x:102:\nmedia:x:44:web\n",
}
_PATIENCE = 15.0


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """A container that has done what it was made for."""

    output: str
    code: int | None
    oom_killed: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """An open native runtime."""

    runtime: driver.NativeRuntime

    async def started(self, script: str, name: str = "web", **fields: Any) -> str:
        """Start a container that runs a shell script, and give its id."""
        command = {"command": ("/bin/sh", "-c", f"exec 2>&1; {script}"), **fields}
        config = builders.config(name, image=REFERENCE, **command)
        identity = await self.runtime.containers.create(config, name, builders.labels_for(config))
        await self.runtime.containers.start(identity)
        return identity

    async def run(self, script: str, **fields: Any) -> Ended:
        """Run a shell script in a container of its own to its end."""
        identity = await self.started(script, **fields)
        ended = await self.ended(identity)
        await self.runtime.containers.remove(identity)
        return ended

    async def ended(self, identity: str) -> Ended:
        """Wait until a container has ended."""
        async with asyncio.timeout(_PATIENCE):
            lines = [f"{line.text}\n" async for line in self._log(identity)]
            while (observed := await self.observe(identity)).state is not EXITED:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.01)
        return Ended("".join(lines), observed.exit_code, observed.oom_killed)

    async def wait_for_line(self, identity: str, text: str) -> None:
        """Wait until a container has written a line."""
        async with asyncio.timeout(_PATIENCE):
            async for line in self._log(identity):
                if line.text == text:
                    return
        raise AssertionError(f"it has ended without saying {text}")

    async def observe(self, identity: str) -> container.ObservedContainer:
        """Observe one container."""
        return next(container for container in await self.runtime.containers.list() if container.id == identity)

    async def exec(self, identity: str, *command: str, **request: Any) -> tuple[str, int]:
        """Run one more command in a container, and give output and exit code."""
        async with (
            asyncio.timeout(_PATIENCE),
            self.runtime.containers.exec(identity, streams.ExecRequest(command, **request)) as session,
        ):
            output = b"".join([chunk async for _, chunk in session.output()])
            return output.decode(), await session.wait()

    def cgroup_file(self, identity: str, controller: str, *names: str) -> str:
        """Read a file of a container's cgroup: the first of these names that this host has."""
        directory = hierarchy.of_host().directory(controller, f"{self.runtime.engine.where.cgroup}/{identity}")
        assert directory is not None
        return next((directory / name).read_text().strip() for name in names if (directory / name).exists())

    def _log(self, identity: str) -> AsyncIterator[streams.LogLine]:
        return self.runtime.containers.logs(identity, streams.LogRequest(follow=True))


@contextlib.asynccontextmanager
async def opened(folder: pathlib.Path, program: oci_runtime.Program | None = None) -> AsyncIterator[Host]:
    """Open a native runtime in a folder; whatever it has made is removed, also after a failure.

    ``program``: the OCI runtime in place of the one that would be chosen.
    """
    if program is not None:
        (folder / "run").mkdir()
        oci_runtime.remember(folder / "run", program)
    archive = folder / "image.tar"
    before = dict(quickstart_image.ACCOUNTS)
    quickstart_image.ACCOUNTS.update(ACCOUNTS)
    try:
        quickstart_image.main(archive)
    finally:
        quickstart_image.ACCOUNTS.update(before)
    async with driver.open_runtime(folder / "root", folder / "run") as runtime:
        config = image.ImageConfig("busybox", REFERENCE, image.ArchiveSource(str(archive), "1"))
        await runtime.images.ensure(config, (), lambda _: None)
        try:
            yield Host(runtime)
        finally:
            for container in await runtime.containers.list():
                await runtime.containers.remove(container.id)
        await runtime.images.remove(REFERENCE)
        assert await recover.leftovers(runtime.engine.recovery) == []
