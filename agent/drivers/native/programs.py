"""Programs that are run in containers beside their own."""

import contextlib
from collections.abc import AsyncIterator

from agent import errors
from agent.drivers.native import failures, records_view
from agent.engine.containers import exec as execs
from agent.engine.containers import sessions, table
from agent.engine.kernel import linux
from agent.engine.shim import oci_runtime
from agent.kit import frozen
from agent.reasons import Reason
from agent.runtime import streams


@contextlib.asynccontextmanager
async def session(
    view: records_view.RecordsView, ref: str, request: streams.ExecRequest
) -> AsyncIterator[streams.ExecSession]:
    """Run a command in a container. Raises ``NotFound``, ``Conflict`` (``NotRunning``) and ``InvalidArgument``."""
    with failures.translated():
        record = view.current(view.record(ref))
    if record.phase is not table.Phase.RUNNING:
        raise errors.Conflict(f"container {record.name} does not run", reason=Reason.NOT_RUNNING)
    program = oci_runtime.remembered(view.where.run) or oci_runtime.UNKNOWN
    runtime = oci_runtime.OciRuntime(program, view.where.oci_runtime)
    deps = execs.Deps(where=view.where, kernel=linux.LinuxKernel(), runtime=runtime)
    async with contextlib.AsyncExitStack() as stack:
        with failures.translated():
            opened = await stack.enter_async_context(execs.session(deps, record, _spec(request)))
        yield ExecSession(opened)


@frozen.value
class ExecSession:
    """``runtime.streams.ExecSession`` over the engine's."""

    session: sessions.Session

    async def write(self, data: bytes) -> None:
        """Send to its standard input."""
        with failures.translated():
            await self.session.write(data)

    async def close_stdin(self) -> None:
        """Let its standard input end."""
        await self.session.close_stdin()

    def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """Return (stream, chunk) until both end."""
        return self.session.output()

    async def resize(self, rows: int, columns: int) -> None:
        """Set the terminal's new size."""
        await self.session.resize(rows, columns)

    async def wait(self) -> int:
        """Wait for the end and return the exit code."""
        with failures.translated():
            return await self.session.wait()


def _spec(request: streams.ExecRequest) -> execs.ExecSpec:
    """Return a command as the engine runs it."""
    return execs.ExecSpec(
        command=request.command,
        tty=request.tty,
        stdin=request.stdin,
        user=request.user,
        working_dir=request.working_dir,
        env=request.env,
        rows=request.rows,
        columns=request.columns,
    )
