"""A command in a container joined to this terminal: bytes both ways, raw mode, window size, exit code."""

import asyncio
import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator

from agent.kit import processes, tasks
from agent.runtime import streams

_CHUNK = 65536
_NO_TERMINAL = (24, 80)


def window_size() -> tuple[int, int]:
    """Return the terminal's (rows, columns); 24 and 80 if there is none.

    The terminal is asked: ``LINES`` and ``COLUMNS`` of the environment may be stale, and do not follow it.
    """
    for stream in (sys.stdin, sys.stdout):
        with contextlib.suppress(OSError, ValueError):
            columns, rows = os.get_terminal_size(stream.fileno())
            if rows and columns:
                return rows, columns
    return _NO_TERMINAL


async def attach(session: streams.ExecSession, request: streams.ExecRequest) -> int:
    """Connect stdin, stdout and stderr to a session until it ends; return its exit code."""
    with _raw_mode() if request.tty else contextlib.nullcontext():
        async with tasks.Crew(_ignore_failure) as crew:
            if request.tty:
                crew.start(_follow_window_size(session), name="window-size")
            if request.stdin:
                crew.start(_send_stdin(session), name="stdin")
            async for stream, chunk in session.output():
                _write(sys.stderr.fileno() if stream == "stderr" else sys.stdout.fileno(), chunk)
        return await session.wait()


async def _send_stdin(session: streams.ExecSession) -> None:
    descriptor = sys.stdin.fileno()
    while True:
        # What cannot be polled (a regular file, /dev/null) never blocks either.
        with contextlib.suppress(PermissionError):
            await processes.readable(descriptor)
        chunk = os.read(descriptor, _CHUNK)
        if not chunk:
            await session.close_stdin()
            return
        await session.write(chunk)


async def _follow_window_size(session: streams.ExecSession) -> None:
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGWINCH, changed.set)
    try:
        while True:
            await session.resize(*window_size())
            await changed.wait()
            changed.clear()
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)


@contextlib.contextmanager
def _raw_mode() -> Iterator[None]:
    """Pass every key to the command, Ctrl-C included; the terminal is restored afterwards in any case."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _ignore_failure(_name: str, _error: BaseException) -> None:
    """Ignore that the command has ended while input was sent: its exit code is the result."""
