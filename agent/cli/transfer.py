"""How far one long call has got: a line on stderr that moves on a terminal, and a line for each step elsewhere."""

import sys
import time
from typing import Self

from agent.cli import terminal
from agent.runtime import api

_REDRAW = 0.1
"""Seconds between two redraws of the moving line."""
_WIDTH = 100


class Transfer:
    """A ``runtime.api.ProgressSink`` for people who wait. Used as a context manager."""

    def __init__(self) -> None:
        """Draw a moving line only where it can move."""
        self._moves = sys.stderr.isatty() and terminal.is_coloured(sys.stderr)
        self._told = ""
        self._drawn_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._moves:
            sys.stderr.write("\r\033[K")

    def __call__(self, told: api.Progress) -> None:
        """Take what a call says."""
        if not self._moves:
            if told.message != self._told:
                terminal.note(terminal.printable(told.message))
            self._told = told.message
            return
        now = time.monotonic()
        if now - self._drawn_at >= _REDRAW:
            self._drawn_at = now
            sys.stderr.write(f"\r\033[K{terminal.printable(_line(told))[:_WIDTH]}")
            sys.stderr.flush()


def _line(told: api.Progress) -> str:
    if told.total:
        return f"{told.message} {told.done / 2**20:.1f}/{told.total / 2**20:.1f} MiB"
    return f"{told.message} {told.done / 2**20:.1f} MiB" if told.done else told.message
