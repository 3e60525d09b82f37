"""One more program in a running container: ``runc exec`` with pipes or a terminal of its own."""

import asyncio
import contextlib
import dataclasses
import fcntl
import os
import pathlib
import pty
import signal
import struct
import subprocess
import tempfile
import termios
from collections.abc import AsyncIterator

from agent.engine import errors
from agent.engine.shim import oci_runtime
from agent.kit import processes

_CHUNK = 65536


@dataclasses.dataclass(frozen=True, slots=True)
class ExecSpec:
    """What to run."""

    command: tuple[str, ...]
    tty: bool = False
    stdin: bool = False
    user: str = ""
    working_dir: str = ""
    env: tuple[tuple[str, str], ...] = ()
    rows: int = 24
    columns: int = 80


class Session:
    """A program that runs in a container."""

    def __init__(self, process: "subprocess.Popen[bytes]", pid_file: pathlib.Path, streams: dict[str, int]) -> None:
        """Hold the OCI runtime's process and our ends of its streams (``stdin``, ``stdout``, ``stderr``)."""
        self._process = process
        self._pid_file = pid_file
        self._streams = streams
        for descriptor in set(streams.values()):
            os.set_blocking(descriptor, False)

    async def write(self, data: bytes) -> None:
        """Send to its standard input. A program that no longer reads is no failure."""
        descriptor = self._streams.get("stdin")
        if descriptor is None:
            raise errors.Conflict("this command was started without standard input", reason="NoStdin")
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(descriptor, view) :]
            except BlockingIOError:
                await _writable(descriptor)
            except OSError:
                return

    async def close_stdin(self) -> None:
        """Let its standard input end; a terminal is told by ^D."""
        if self._streams.get("stdin") is not None and self._streams.get("stdin") == self._streams.get("stdout"):
            await self.write(b"\x04")
        elif (descriptor := self._streams.pop("stdin", None)) is not None:
            os.close(descriptor)

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """Give (stream, chunk) until all streams have ended."""
        open_streams = {name: self._streams[name] for name in ("stdout", "stderr") if name in self._streams}
        while open_streams:
            await _any_readable(tuple(open_streams.values()))
            for name, descriptor in list(open_streams.items()):
                try:
                    chunk = os.read(descriptor, _CHUNK)
                except BlockingIOError:
                    continue
                except OSError:  # a terminal's other end is closed: EIO
                    chunk = b""
                if chunk:
                    yield name, chunk
                else:
                    del open_streams[name]

    def resize(self, rows: int, columns: int) -> None:
        """Tell a terminal's new size. The OCI runtime, whose controlling terminal it is not, has to be told to look."""
        if self._streams.get("stdin") == self._streams.get("stdout"):
            fcntl.ioctl(self._streams["stdout"], termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            with contextlib.suppress(ProcessLookupError):  # not send_signal: it would reap what ``wait`` waits for
                os.kill(self._process.pid, signal.SIGWINCH)

    async def wait(self) -> int:
        """Wait for the end: the exit code, 128 + signal where it was killed by one.

        Raises ``errors.Refused`` where the program could not be run at all.
        """
        await processes.wait(self._process.pid)
        code = self._process.wait()
        if code and not self._pid_file.exists():
            said = await self._complaint()
            raise errors.Refused(f"the command cannot be run: {said}", reason="ExecFailed")
        return code if code >= 0 else 128 - code

    async def close(self) -> None:
        """End the program if it still runs, and let go of everything."""
        if self._process.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(self._pid_file.read_text()), signal.SIGKILL)
            self._process.kill()
            await processes.wait(self._process.pid)
            self._process.wait()
        for descriptor in set(self._streams.values()):
            os.close(descriptor)
        self._streams.clear()

    async def _complaint(self) -> str:
        collected = b""
        async for _, chunk in self.output():
            collected += chunk
        lines = collected.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "the OCI runtime gave no reason"


@contextlib.asynccontextmanager
async def session(runtime: oci_runtime.OciRuntime, container_id: str, spec: ExecSpec) -> AsyncIterator[Session]:
    """Run a program in a container; leaving ends it."""
    with tempfile.TemporaryDirectory(prefix="exec-", dir=runtime.state.parent) as folder:
        pid_file = pathlib.Path(folder, "pid")
        argv = runtime.exec_command(container_id, _options(spec, pid_file), spec.command)
        opened = _with_terminal(argv, spec, pid_file) if spec.tty else _with_pipes(argv, spec, pid_file)
        try:
            yield opened
        finally:
            await opened.close()


def _options(spec: ExecSpec, pid_file: pathlib.Path) -> list[str]:
    options = ["--pid-file", str(pid_file)]
    if spec.tty:
        options.append("--tty")
    if spec.user:
        options += ["--user", spec.user]
    if spec.working_dir:
        options += ["--cwd", spec.working_dir]
    for name, value in spec.env:
        options += ["--env", f"{name}={value}"]
    return options


def _with_terminal(argv: list[str], spec: ExecSpec, pid_file: pathlib.Path) -> Session:
    ours, theirs = pty.openpty()
    try:
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", spec.rows, spec.columns, 0, 0))
        process = subprocess.Popen(
            argv, stdin=theirs, stdout=theirs, stderr=theirs, env=oci_runtime.environment(), start_new_session=True
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return Session(process, pid_file, {"stdin": ours, "stdout": ours})


def _with_pipes(argv: list[str], spec: ExecSpec, pid_file: pathlib.Path) -> Session:
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE if spec.stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=oci_runtime.environment(),
        start_new_session=True,
        bufsize=0,
    )
    pipes = {"stdin": process.stdin, "stdout": process.stdout, "stderr": process.stderr}
    streams = {name: os.dup(pipe.fileno()) for name, pipe in pipes.items() if pipe is not None}
    for pipe in filter(None, pipes.values()):
        pipe.close()
    return Session(process, pid_file, streams)


async def _any_readable(descriptors: tuple[int, ...]) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    for descriptor in descriptors:
        loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        for descriptor in descriptors:
            loop.remove_reader(descriptor)


async def _writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(descriptor)
