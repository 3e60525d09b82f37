"""What is done in an engine's containers that changes none of them: programs, logs, processes, files, inspection."""

import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Mapping

from agent import errors
from agent.drivers.docker import connection, documents, execs, features, files, inspections, logs, processes
from agent.kit import frozen
from agent.model.features import Feature
from agent.reasons import Reason
from agent.runtime import api, streams
from agent.runtime import processes as process_roles


@frozen.value(kw_only=True)
class Inside:
    """``runtime.streams.Streams``, ``files.Files``, ``processes.Processes`` and ``Inspection`` over the Engine API."""

    engine: connection.Connection
    inspections: inspections.Inspections
    current_features: features.EngineFeatures

    @property
    def features(self) -> api.Features:
        """The features of the engine."""
        return self.current_features.features

    @contextlib.asynccontextmanager
    async def exec(self, ref: str, request: streams.ExecRequest) -> AsyncIterator[streams.ExecSession]:
        """Run a command in a container."""
        inspected = await self.inspections.inspect(ref)
        if not (inspected.get("State") or {}).get("Running"):
            raise errors.Conflict(f"container {ref} does not run", reason=Reason.NOT_RUNNING)
        async with execs.session(self.engine, str(inspected["Id"]), request) as session:
            yield session

    async def logs(self, ref: str, request: streams.LogRequest) -> AsyncIterator[streams.LogLine]:
        """Yield the lines of a container's log."""
        identity = await self._id(ref)
        async for line in logs.read(self.engine, identity, request):
            yield line

    async def top(self, ref: str) -> tuple[process_roles.ContainerProcess, ...]:
        """Return what runs in a container now."""
        self.features.require(Feature.PROCESSES)
        return await processes.top(self.engine, await self.inspections.inspect(ref), ref)

    async def wait(self, ref: str) -> int | None:
        """Wait for the end of a container's present run."""
        return await processes.wait(self.engine, self.inspections, ref)

    async def inspect(self, ref: str) -> Mapping[str, object]:
        """Return the engine's inspection of a container."""
        return documents.without_secrets(await self.inspections.inspect(ref))

    @contextlib.asynccontextmanager
    async def copy_out(self, ref: str, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open an archive of what is at a path."""
        async with files.copy_out(self.engine, await self._id(ref), ref, path) as pieces:
            yield pieces

    async def copy_in(self, ref: str, path: str, archive: AsyncIterable[bytes]) -> None:
        """Unpack an archive at a path."""
        await files.copy_in(self.engine, await self.inspections.inspect(ref), ref, path, archive)

    async def _id(self, ref: str) -> str:
        return str((await self.inspections.inspect(ref))["Id"])
