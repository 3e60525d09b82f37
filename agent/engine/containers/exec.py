"""One more program in a running container: the OCI runtime's ``exec`` with pipes or a terminal of its own.

It is told by a whole ``process`` of the runtime specification: its options would leave out what keeps a container from
new privileges, and know users by number only.
"""

import asyncio
import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import pty
import signal
import struct
import subprocess
import tempfile
import termios
from collections.abc import AsyncIterator
from typing import Any

from agent.engine import errors, layout
from agent.engine.bundle import config, users
from agent.engine.containers import table
from agent.engine.kernel import api as kernel_api
from agent.engine.shim import oci_runtime
from agent.kit import atomicfile, processes

_CHUNK = 65536
_TERMINAL = (("TERM", "xterm"),)
"""What Docker tells a program of its terminal."""
_REAPING = 5.0
"""Seconds for the OCI runtime to reap a killed program: without it, a container's first process would have to."""
_LOOK = 0.005
_COMPLAINT = 4096
"""Bytes of the last output that are kept: where the program could not be run, they are the OCI runtime's."""


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
        self._said = b""
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
                    self._said = (self._said + chunk)[-_COMPLAINT:]
                    yield name, chunk
                else:
                    del open_streams[name]

    def resize(self, rows: int, columns: int) -> None:
        """Tell a terminal's new size: to ours, at which runc is told to look, and to the program's own for crun."""
        if self._streams.get("stdin") != self._streams.get("stdout"):
            return
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._streams["stdout"], termios.TIOCSWINSZ, size)
        with contextlib.suppress(ProcessLookupError):  # not send_signal: it would reap what ``wait`` waits for
            os.kill(self._process.pid, signal.SIGWINCH)
        with contextlib.suppress(OSError, ValueError):
            own = f"/proc/{int(self._pid_file.read_text())}/fd/0"
            descriptor = os.open(own, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.ioctl(descriptor, termios.TIOCSWINSZ, size)
            finally:
                os.close(descriptor)

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
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_REAPING):
                    os.kill(await self._program(), signal.SIGKILL)
                    await processes.wait(self._process.pid)
            self._process.kill()
            self._process.wait()
        for descriptor in set(self._streams.values()):
            os.close(descriptor)
        self._streams.clear()

    async def _program(self) -> int:
        """Give the program's pid, which the OCI runtime tells only once it runs. Raises ``ProcessLookupError``."""
        while self._process.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                return int(self._pid_file.read_text())
            await asyncio.sleep(_LOOK)
        raise ProcessLookupError

    async def _complaint(self) -> str:
        async for _ in self.output():
            pass
        lines = self._said.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "the OCI runtime gave no reason"


@dataclasses.dataclass(frozen=True, slots=True)
class Rooms:
    """What running one more program needs of the engine."""

    where: layout.Layout
    kernel: kernel_api.Kernel
    runtime: oci_runtime.OciRuntime


@contextlib.asynccontextmanager
async def session(rooms: Rooms, record: table.ContainerRecord, spec: ExecSpec) -> AsyncIterator[Session]:
    """Run a program in a container; leaving ends it. Raises ``errors.Refused`` for an unknown user."""
    told = process(record, spec, users.resolve(rooms.kernel, *_who(rooms.where, record, spec)))
    with tempfile.TemporaryDirectory(prefix="exec-", dir=rooms.where.run) as folder:
        pid_file, process_file = pathlib.Path(folder, "pid"), pathlib.Path(folder, "process.json")
        atomicfile.write(process_file, json.dumps(told).encode(), durable=False)
        argv = rooms.runtime.exec_command(record.id, ["--pid-file", str(pid_file), "--process", str(process_file)])
        opened = _with_terminal(argv, spec, pid_file) if spec.tty else _with_pipes(argv, spec, pid_file)
        try:
            yield opened
        finally:
            await opened.close()


def process(record: table.ContainerRecord, spec: ExecSpec, user: users.User) -> dict[str, Any]:
    """Give the ``process``: the container's own, with what is said here in place of it."""
    own = dataclasses.replace(
        record.spec.process,
        command=spec.command,
        args=(),
        env=(*(_TERMINAL if spec.tty else ()), *record.spec.process.env, *spec.env),
        working_dir=spec.working_dir or record.spec.process.working_dir,
    )
    told = config.process(dataclasses.replace(record.spec, process=own), record.image_config, user)
    size = {"consoleSize": {"height": spec.rows, "width": spec.columns}} if spec.tty else {}
    return {**told, "terminal": spec.tty, **size}


def _who(where: layout.Layout, record: table.ContainerRecord, spec: ExecSpec) -> tuple[pathlib.Path, str]:
    return where.bundles / record.id / "rootfs", spec.user or record.spec.process.user or record.image_config.user


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
