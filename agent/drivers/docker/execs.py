"""``runtime.streams.ExecSession`` over an engine: a command in a running container."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiodocker.execs
import aiodocker.stream

from agent import errors
from agent.drivers.docker import connection, failures
from agent.kit import process_tree, tasks
from agent.reasons import Reason
from agent.runtime import streams

_STREAMS = {1: "stdout", 2: "stderr"}
_NOT_RUN = (126, 127)
"""Exit codes of engines for a program that does not exist or cannot be run."""
_MISSING_PROGRAM = ("no such file or directory", "not found")
"""Phrases for a program that does not exist: some engines exit with 126 for that as well."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
"""Seconds between two checks whether a program still runs: the first pause, and the longest."""
_QUIET_PERIOD, _DRAIN_LIMIT = 0.1, 1.0
"""Seconds of silence, and in all, after which the output of an ended program counts as complete."""
_ERROR_PREFIX = b"OCI runtime"
"""Prefix of the engine's error message, which it sends in place of the program's output."""


@contextlib.asynccontextmanager
async def session(
    engine: connection.Connection, identity: str, request: streams.ExecRequest
) -> AsyncIterator["ExecSession"]:
    """Run a program; leaving the block kills it if the engine is on this host, and only detaches otherwise."""
    what = f"command {request.command[0]}"
    with failures.translated(what):
        execution = await engine.client.containers.container(identity).exec(
            list(request.command),
            stdin=request.stdin,
            tty=request.tty,
            user=request.user,
            workdir=request.working_dir or None,
            environment=dict(request.env) or None,
        )
        stream = execution.start(detach=False)
        await stream.__aenter__()
    opened = ExecSession(engine, execution, stream, request)
    try:
        if request.tty:
            await opened.resize(request.rows, request.columns)
        yield opened
    finally:
        await opened.end()


class ExecSession:
    """``runtime.streams.ExecSession`` over an exec instance of the Engine API."""

    def __init__(
        self,
        engine: connection.Connection,
        execution: aiodocker.execs.Exec,
        stream: aiodocker.stream.Stream,
        request: streams.ExecRequest,
    ) -> None:
        """Hold an exec instance that has been started."""
        self._engine = engine
        self._exec = execution
        self._stream = stream
        self._request = request
        self._what = f"command {request.command[0]}"
        self._code: int | None = None
        self._begun = False
        self._error_message = b""

    async def write(self, data: bytes) -> None:
        """Write to standard input. A program that no longer reads is no error."""
        if not self._request.stdin:
            raise errors.Conflict("this command was started without standard input", reason=Reason.NO_STDIN)
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self._stream.write_in(data)

    async def close_stdin(self) -> None:
        """Close standard input; a terminal gets ^D."""
        if self._request.tty:
            await self.write(b"\x04")
            return
        answer = self._stream._resp  # noqa: SLF001 - aiodocker can only close both directions
        transport = answer.connection.transport if answer is not None and answer.connection is not None else None
        if transport is not None and transport.can_write_eof():
            transport.write_eof()

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """Yield (stream, chunk) until the program has ended, whoever else holds its streams."""
        with failures.translated(self._what):
            async for message in self._messages():
                if not self._begun and message.data.startswith(_ERROR_PREFIX):
                    self._error_message += message.data
                else:
                    self._begun = True
                    yield _STREAMS.get(message.stream, "stdout"), message.data

    async def _messages(self) -> AsyncIterator[aiodocker.stream.Message]:
        """Yield messages until the streams end, or the program has ended and its output is complete.

        Engines keep the streams open for as long as any child of the program does, so the state is polled.
        """
        now = asyncio.get_running_loop().time
        pause, look_at, ended_at = _FIRST_PAUSE, now() + _FIRST_PAUSE, None
        while ended_at is None or now() < ended_at + _DRAIN_LIMIT:
            try:
                async with asyncio.timeout(_QUIET_PERIOD if ended_at is not None else max(look_at - now(), 0.0)):
                    message = await self._stream.read_out()
            except TimeoutError:
                if ended_at is not None:
                    return
            else:
                if message is None:
                    return
                yield message
            if ended_at is None and now() >= look_at:
                ended_at = now() if not (await self._inspect()).get("Running", True) else None
                pause = min(pause * 2, _LONGEST_PAUSE)
                look_at = now() + pause

    async def resize(self, rows: int, columns: int) -> None:
        """Set a terminal's size; ignored for a program that has just ended."""
        if self._request.tty:
            with contextlib.suppress(errors.Failure), failures.translated(self._what):
                await self._exec.resize(h=rows, w=columns)

    async def wait(self) -> int:
        """Wait for the end and return the exit code. Raises ``errors.InvalidArgument`` if it could not be run."""
        async for _ in self.output():
            pass
        self._code = await self._exit_code()
        if self._code in _NOT_RUN and self._error_message:
            message = self._error_message.decode(errors="replace").strip()
            missing = any(phrase in message.lower() for phrase in _MISSING_PROGRAM)
            reason = Reason.COMMAND_NOT_FOUND if missing else Reason.EXEC_FAILED
            raise errors.InvalidArgument(f"the command cannot be run: {message}", reason=reason)
        return self._code

    async def end(self) -> None:
        """Kill the program and its children if it still runs, and close the stream.

        The Engine API has no call for that: it is killed from this host, so one on another host runs on.
        """
        try:
            if self._code is None and self._engine.where.is_local:
                state = await self._inspect()
                if state.get("Running") and state.get("Pid"):
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        await tasks.in_thread(lambda: process_tree.kill(int(state["Pid"])))
        except errors.Failure:
            pass  # the container is gone, and the program with it
        finally:
            await self._stream.close()

    async def _exit_code(self) -> int:
        state = await self._inspect()
        code = state.get("ExitCode")
        return code if isinstance(code, int) else 0

    async def _inspect(self) -> connection.Json:
        state: connection.Json = await self._engine.ask(f"exec/{self._exec.id}/json", self._what)
        return state
