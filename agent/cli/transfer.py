"""Progress of one long call: a moving line on a terminal, and a line for each step elsewhere."""

import sys
import time
from typing import Self

from agent.cli import terminal
from agent.runtime import api

_REDRAW = 0.1
"""Seconds between two redraws of the moving line."""
_WIDTH = 100


class TransferProgress:
    """A ``runtime.api.ProgressSink`` for people who wait. Used as a context manager."""

    def __init__(self) -> None:
        """Draw a moving line only where it can move."""
        self._moves = sys.stderr.isatty() and terminal.is_coloured(sys.stderr)
        self._last_message = ""
        self._drawn_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._moves:
            sys.stderr.write("\r\033[K")

    def __call__(self, progress: api.Progress) -> None:
        """Print progress, or update the moving line."""
        if not self._moves:
            if progress.message != self._last_message:
                terminal.note(terminal.printable(progress.message))
            self._last_message = progress.message
            return
        now = time.monotonic()
        if now - self._drawn_at >= _REDRAW:
            self._drawn_at = now
            sys.stderr.write(f"\r\033[K{terminal.printable(_line(progress))[:_WIDTH]}")
            sys.stderr.flush()


def _line(progress: api.Progress) -> str:
    if progress.total:
        return f"{progress.message} {progress.done / 2**20:.1f}/{progress.total / 2**20:.1f} MiB"
    return f"{progress.message} {progress.done / 2**20:.1f} MiB" if progress.done else progress.message
