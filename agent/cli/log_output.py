"""Output of a container's log: unchanged bytes to a file or pipe, without control characters to a terminal."""

import contextlib
import datetime as dt
import math
import os
import sys
from collections.abc import Iterator
from typing import Protocol, TextIO

import click

from agent.cli import exits, terminal
from agent.kit import escapes, frozen
from agent.runtime import streams


@frozen.value
class LineFormat:
    """What stands before each line."""

    name_width: int = 0
    """Columns for the container's name; 0: no name."""
    timestamps: bool = False

    def prefix(self, name: str, line: streams.LogLine) -> str:
        """Return the name, as ``docker compose logs`` has it, and the time in UTC (RFC 3339)."""
        title = f"{name:<{self.name_width}} | " if self.name_width else ""
        return title + (f"{stamp(line.time)} " if self.timestamps else "")


def stamp(time: float) -> str:
    """Return a time as RFC 3339 in UTC, with nanoseconds: so ``--since`` reads the very same time."""
    whole = math.floor(time)
    return f"{dt.datetime.fromtimestamp(whole, dt.UTC):%Y-%m-%dT%H:%M:%S}.{round((time - whole) * 10**9):09}Z"


class Printer(Protocol):
    """What takes containers' lines."""

    def print(self, line: streams.LogLine, name: str = "") -> None:
        """Write a line of a container."""


class JsonPrinter:
    """Writes each line as a JSON object."""

    def print(self, line: streams.LogLine, name: str = "") -> None:
        """Write a line of a container."""
        terminal.result_line({"container": name, "time": line.time, "stream": line.stream, "text": line.text})


class LogPrinter:
    """Writes lines to stdout and stderr in their common order."""

    def __init__(self, *, at_once: bool, form: LineFormat = LineFormat()) -> None:
        """``at_once``: flush each line, for somebody who waits for it."""
        self._at_once = at_once
        self._form = form
        self._terminals = {stream: stream.isatty() for stream in (sys.stdout, sys.stderr)}

    def print(self, line: streams.LogLine, name: str = "") -> None:
        """Write a line of a container to its stream. Raises ``click.exceptions.Exit`` when nobody reads any more."""
        prefix = self._form.prefix(name, line)
        with _reader():
            if line.stream == "stderr":
                sys.stdout.flush()  # both may be one file, and only stdout is buffered
                self._write(sys.stderr, prefix, line)
                sys.stderr.flush()
            else:
                self._write(sys.stdout, prefix, line)
                if self._at_once:
                    sys.stdout.flush()

    def _write(self, stream: TextIO, prefix: str, line: streams.LogLine) -> None:
        if self._terminals[stream]:
            stream.write(prefix + escapes.terminal_line(line.text) + "\n")
        else:
            stream.buffer.write(prefix.encode() + line.data)
            stream.buffer.write(b"\n")


@contextlib.contextmanager
def _reader() -> Iterator[None]:
    """End the command quietly when the reader has ended (``trimtab logs web | head``)."""
    try:
        yield
    except BrokenPipeError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):  # the interpreter flushes both at its end
            os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        raise click.exceptions.Exit(exits.DONE) from error
