"""A program that was started in a running container: its streams, its terminal's size, its end."""

import asyncio
import contextlib
import errno
import fcntl
import os
import pathlib
import re
import signal
import stat
import struct
import termios
from collections.abc import AsyncIterator, Iterator

from agent import errors
from agent.engine.containers import exec_output
from agent.kit import process_tree, processes, tasks
from agent.reasons import Reason

_REAPING = 5.0
"""Seconds for the OCI runtime to reap a killed program: without it, a container's first process would have to."""
_LOOK = 0.005
_COMPLAINT = 4096
"""Bytes of the OCI runtime's last words that are kept where it could not run the program."""
_TERMINALS = range(136, 144)
"""Major device numbers of pseudo-terminals: what a container has made of its standard input may be anything else."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""In which crun says what is wrong, where it has a terminal."""
_NOT_FOUND = ("no such file or directory", "not found")


class Session:
    """A program that runs in a container."""

    def __init__(self, process: processes.Process, pid_file: pathlib.Path, streams: dict[str, int]) -> None:
        """Hold the OCI runtime's process, which ends with the program, and our ends of its streams by their names."""
        self._process = process
        self._pid_file = pid_file
        self._streams = streams
        self._ended = os.pidfd_open(process.pid)
        self._begun = False
        self._complaint = b""
        for descriptor in set(streams.values()):
            os.set_blocking(descriptor, False)

    async def write(self, data: bytes) -> None:
        """Send to its standard input. A program that no longer reads is no failure."""
        descriptor = self._streams.get("stdin")
        if descriptor is None:
            raise errors.Conflict("this command was started without standard input", reason=Reason.NO_STDIN)
        with contextlib.suppress(OSError):
            await processes.write(descriptor, data)

    async def close_stdin(self) -> None:
        """Let its standard input end; a terminal is told by ^D."""
        if self._streams.get("stdin") is not None and self._streams.get("stdin") == self._streams.get("stdout"):
            await self.write(b"\x04")
        elif (descriptor := self._streams.pop("stdin", None)) is not None:
            os.close(descriptor)

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """Yield (stream, chunk) until the program has ended, whoever else holds its streams.

        What is written before the program runs is the OCI runtime's, and no output.
        """
        outputs = {name: descriptor for name, descriptor in self._streams.items() if name != "stdin"}
        async for name, chunk in exec_output.chunks(self._process.pid, outputs):
            if await self._runs():
                yield name, chunk
            else:
                self._complaint = (self._complaint + chunk)[-_COMPLAINT:]

    async def resize(self, rows: int, columns: int) -> None:
        """Set a terminal's new size: of ours, at which runc is told to look, and to the program's own for crun.

        Which program that is, is told a moment after it has begun: until then it is waited for.
        """
        if self._streams.get("stdin") != self._streams.get("stdout"):
            return
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._streams["stdout"], termios.TIOCSWINSZ, size)
        with contextlib.suppress(ProcessLookupError):  # not send_signal: it would reap what ``wait`` waits for
            os.kill(self._process.pid, signal.SIGWINCH)
        with contextlib.suppress(OSError), _terminal_of(await self._program()) as terminal:
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)

    async def wait(self) -> int:
        """Wait for the end: the exit code, 128 + signal where it was killed by one.

        Raises ``errors.InvalidArgument`` where the program could not be run at all: ``CommandNotFound`` or
        ``ExecFailed``.
        """
        code = await processes.reaped(self._process)
        if code and not self._pid_file.exists():
            raise _not_run(await self._last_words())
        return code if code >= 0 else 128 - code

    async def close(self) -> None:
        """Kill the program with all that it has started, if it still runs, and let go of everything."""
        try:
            if self._process.poll() is None:
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(_REAPING):
                        program = await self._program()
                        await tasks.in_thread(lambda: process_tree.kill(program))
                        await processes.reaped(self._process)
        finally:
            try:
                await processes.end(self._process)
            finally:
                self._let_go()

    def _let_go(self) -> None:
        for descriptor in {*self._streams.values(), self._ended}:
            os.close(descriptor)
        self._streams.clear()

    async def _runs(self) -> bool:
        """Wait until the program is known to run, or never to."""
        while not self._begun and not self._is_over:
            self._begun = self._pid_file.exists()
            await asyncio.sleep(0 if self._begun else _LOOK)
        self._begun = self._begun or self._pid_file.exists()
        return self._begun

    @property
    def _is_over(self) -> bool:
        """Return whether the OCI runtime has ended; it is reaped elsewhere, and may have been."""
        try:
            return os.waitid(os.P_PIDFD, self._ended, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    async def _program(self) -> int:
        """Return the program's pid, which is told only once it runs. Raises ``ProcessLookupError``.

        Nothing is reaped: ``wait`` may wait for the same end.
        """
        while not self._is_over:
            with contextlib.suppress(OSError, ValueError):
                return int(self._pid_file.read_text())
            await asyncio.sleep(_LOOK)
        raise ProcessLookupError

    async def _last_words(self) -> str:
        async for _ in self.output():
            pass
        lines = _COLOURS.sub("", self._complaint.decode(errors="replace")).split("\n")
        words = [line.strip() for line in lines if line.strip()]
        return words[-1] if words else "the OCI runtime gave no reason"


def _not_run(complaint: str) -> errors.InvalidArgument:
    """Return why a program could not be run; a complaint that is worded in another way costs an exit code."""
    missing = any(phrase in complaint.lower() for phrase in _NOT_FOUND)
    return errors.InvalidArgument(
        f"the command cannot be run: {complaint}", reason=Reason.COMMAND_NOT_FOUND if missing else Reason.EXEC_FAILED
    )


@contextlib.contextmanager
def _terminal_of(pid: int) -> Iterator[int]:
    """Open the terminal at a process's standard input. Raises ``OSError`` where it is none.

    A program may put there what it likes: a device that opening would wake, or wait for. It is looked at before it is
    opened, and what was looked at is what is opened.
    """
    descriptor = os.open(f"/proc/{pid}/fd/0", os.O_PATH | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISCHR(status.st_mode) or os.major(status.st_rdev) not in _TERMINALS:
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
        flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
        terminal = os.open(f"/proc/self/fd/{descriptor}", flags)
    finally:
        os.close(descriptor)
    try:
        yield terminal
    finally:
        os.close(terminal)
