"""What containers write and what runs in them beside their program: the role ``Streams``.

Apart from ``api``, for whoever asks for nothing else: it knows no config of any kind.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from agent.kit import frozen
from agent.model.key import Pairs


@frozen.value
class LogLine:
    """One line that a container wrote."""

    time: float
    stream: str
    """``stdout`` or ``stderr``."""
    data: bytes
    """As it was written, without its line end."""

    @property
    def text(self) -> str:
        """The line as text; bytes that are not UTF-8 are replaced."""
        return self.data.decode(errors="replace")


@frozen.value
class LogRequest:
    """Which lines of a log."""

    follow: bool = False
    """Go on until the container ends."""
    tail: int | None = None
    """Only the last so many lines; ``None``: all that is kept."""
    since: float | None = None


@frozen.value
class ExecRequest:
    """A command to run in a running container."""

    command: tuple[str, ...]
    tty: bool = False
    stdin: bool = False
    user: str = ""
    working_dir: str = ""
    env: Pairs = ()
    rows: int = 24
    columns: int = 80


class ExecSession(Protocol):
    """A command that runs in a container. Leaving it (``async with``) ends the command if it still runs."""

    async def write(self, data: bytes) -> None:
        """Send to its standard input."""

    async def close_stdin(self) -> None:
        """Let its standard input end."""

    def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """Return (``stdout`` | ``stderr``, chunk) until both end; a terminal has only ``stdout``."""

    async def resize(self, rows: int, columns: int) -> None:
        """Set the terminal's new size; without a terminal nothing happens."""

    async def wait(self) -> int:
        """Wait for the end and give the exit code: 128 + signal where it was killed by one."""


class Streams(Protocol):
    """Logs of containers, and commands in them."""

    def exec(self, ref: str, request: ExecRequest) -> contextlib.AbstractAsyncContextManager[ExecSession]:
        """Run a command in it. Raises ``Conflict`` (``NotRunning``), ``InvalidArgument`` (no such program)."""

    def logs(self, ref: str, request: LogRequest) -> AsyncIterator[LogLine]:
        """Return lines in the order they were written."""
