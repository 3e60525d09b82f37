"""One more program in a running container, through an engine."""

import contextlib
import os
import signal
from collections.abc import AsyncIterator

import aiodocker.execs
import aiodocker.stream

from agent.drivers.docker import connection, failures
from agent.runtime import api, errors

_STREAMS = {1: "stdout", 2: "stderr"}
_NOT_RUN = (126, 127)
"""Exit codes by which engines say that there is no such program."""
_COMPLAINT = b"OCI runtime"
"""How they begin to say so, where the program's output would be."""


@contextlib.asynccontextmanager
async def session(
    engine: connection.Connection, identity: str, request: api.ExecRequest
) -> AsyncIterator["ExecSession"]:
    """Run a program; leaving ends it where the engine is on this host, and lets go of it elsewhere."""
    what = f"command {request.command[0]}"
    with failures.translated(what):
        made = await engine.client.containers.container(identity).exec(
            list(request.command),
            stdin=request.stdin,
            tty=request.tty,
            user=request.user,
            workdir=request.working_dir or None,
            environment=dict(request.env) or None,
        )
        stream = made.start(detach=False)
        await stream.__aenter__()
    opened = ExecSession(engine, made, stream, request)
    try:
        if request.tty:
            await opened.resize(request.rows, request.columns)
        yield opened
    finally:
        await opened.end()


class ExecSession:
    """``runtime.api.ExecSession`` over an engine's."""

    def __init__(
        self,
        engine: connection.Connection,
        made: aiodocker.execs.Exec,
        stream: aiodocker.stream.Stream,
        request: api.ExecRequest,
    ) -> None:
        """Hold an exec that has been started."""
        self._engine = engine
        self._exec = made
        self._stream = stream
        self._request = request
        self._what = f"command {request.command[0]}"
        self._code: int | None = None
        self._begun = False
        self._complaint = b""

    async def write(self, data: bytes) -> None:
        """Send to its standard input. A program that no longer reads is no failure."""
        if not self._request.stdin:
            raise errors.Conflict("this command was started without standard input", reason="NoStdin")
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self._stream.write_in(data)

    async def close_stdin(self) -> None:
        """Let its standard input end; a terminal is told by ^D."""
        if self._request.tty:
            await self.write(b"\x04")
            return
        answer = self._stream._resp  # noqa: SLF001 - aiodocker can only close both directions
        transport = answer.connection.transport if answer is not None and answer.connection is not None else None
        if transport is not None and transport.can_write_eof():
            transport.write_eof()

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """Give (stream, chunk) until both have ended."""
        with failures.translated(self._what):
            while (message := await self._stream.read_out()) is not None:
                if not self._begun and message.data.startswith(_COMPLAINT):
                    self._complaint += message.data
                else:
                    self._begun = True
                    yield _STREAMS.get(message.stream, "stdout"), message.data

    async def resize(self, rows: int, columns: int) -> None:
        """Tell a terminal's new size; a program that has just ended has none."""
        if self._request.tty:
            with contextlib.suppress(errors.RuntimeFailure), failures.translated(self._what):
                await self._exec.resize(h=rows, w=columns)

    async def wait(self) -> int:
        """Wait for the end and give the exit code. Raises ``errors.InvalidArgument`` where it could not be run."""
        async for _ in self.output():
            pass
        self._code = await self._ended()
        if self._code in _NOT_RUN and self._complaint:
            said = self._complaint.decode(errors="replace").strip()
            raise errors.InvalidArgument(f"the command cannot be run: {said}", reason="ExecFailed")
        return self._code

    async def end(self) -> None:
        """End the program if it still runs, and let go of the stream."""
        try:
            if self._code is None and self._engine.where.local:
                found = await self._inspect()
                if found.get("Running") and found.get("Pid"):
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(int(found["Pid"]), signal.SIGKILL)
        except errors.RuntimeFailure:
            pass  # the container is gone, and the program with it
        finally:
            await self._stream.close()

    async def _ended(self) -> int:
        found = await self._inspect()
        code = found.get("ExitCode")
        return code if isinstance(code, int) else 0

    async def _inspect(self) -> connection.Json:
        found: connection.Json = await self._engine.ask(f"exec/{self._exec.id}/json", self._what)
        return found
