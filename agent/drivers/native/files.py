"""Files of containers, out and in, in the engine or beside the process that has it."""

import contextlib
from collections.abc import AsyncIterable, AsyncIterator

from agent import errors
from agent.drivers.native import failures, records_view
from agent.engine import engine as engines
from agent.engine.containers import copying
from agent.reasons import Reason
from agent.runtime import files


@contextlib.asynccontextmanager
async def copy_out(
    engine: engines.Engine, view: records_view.RecordsView, ref: str, path: str
) -> AsyncIterator[AsyncIterator[bytes]]:
    """Open an archive of what is at a path. Raises as ``Files``."""
    files.check_path(path)
    async with contextlib.AsyncExitStack() as stack:
        with failures.translated():
            opened = copying.out(engine.containers.copying, view.current(view.record(ref)), path)
            pieces = await stack.enter_async_context(opened)
        yield _translated(pieces)


async def copy_in(
    engine: engines.Engine, view: records_view.RecordsView, ref: str, path: str, archive: AsyncIterable[bytes]
) -> None:
    """Unpack an archive at a path. Raises as ``Files``, and what ``archive`` raises."""
    files.check_path(path)
    if engine.exclusive:
        with failures.translated():
            await engine.containers.copy_in(ref, path, archive)
        return
    with failures.translated():
        record = view.current(view.record(ref))
        if record.run is None:
            raise errors.Conflict(
                f"container {record.name} does not run: only the process that keeps it can write to it",
                hint="start it, or stop the agent meanwhile",
                reason=Reason.NOT_RUNNING,
            )
        await copying.into(engine.containers.copying, record, path, archive)


async def _translated(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    with failures.translated():
        async for piece in pieces:
            yield piece
