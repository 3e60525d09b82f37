"""What is going on, for people who wait: a line on stderr for each action, and one that moves on a terminal."""

import sys
import time
from typing import Self

from agent.cli import terminal
from agent.converge import signals
from agent.model.key import ObjectKey

_REDRAW = 0.1
"""Seconds between two redraws of the moving line."""
_MARKS = {
    signals.Result.SUCCEEDED: ("✓", "green"),
    signals.Result.FAILED: ("✗", "red"),
    signals.Result.SKIPPED: ("-", "dim"),
    signals.Result.SUPERSEDED: ("-", "dim"),
}


class Progress:
    """Told of everything that happens; says what people want to know of it. Used as a context manager."""

    def __init__(self) -> None:
        """Draw a moving line only where it can move."""
        self._moves = sys.stderr.isatty() and terminal.is_coloured(sys.stderr)
        self._under_way: dict[ObjectKey, str] = {}
        self._drawn_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._wipe()

    def __call__(self, signal: signals.Signal) -> None:
        """Take a signal."""
        match signal:
            case signals.ActionStarted():
                self._under_way[signal.action.key] = type(signal.action).__name__
            case signals.ActionProgress():
                self._under_way[signal.action.key] = _describe(signal)
            case signals.ActionFinished():
                self._under_way.pop(signal.action.key, None)
                self._finished(signal)
            case signals.ObjectDisposed():
                self._line(f"  {signal.hold.key}: {signal.hold.reason}: {signal.hold.message}", "yellow")
            case signals.PassFailed() | signals.TaskFailed():
                self._line(f"  {type(signal.error).__name__}: {signal.error}", "red")
            case _:
                pass
        self._draw()

    def _finished(self, signal: signals.ActionFinished) -> None:
        mark, style = _MARKS[signal.result]
        name = f"{type(signal.action).__name__} {signal.action.key}"
        took = f" {signal.duration:.2f} s" if signal.duration else f" {signal.result.value}"
        self._line(f"{mark} {name}{took}", style)

    def _line(self, text: str, style: str) -> None:
        self._wipe()
        terminal.note(terminal.style(terminal.printable(text), style, sys.stderr))

    def _draw(self) -> None:
        now = time.monotonic()
        if not self._moves or not self._under_way or now - self._drawn_at < _REDRAW:
            return
        self._drawn_at = now
        told = ", ".join(f"{key} {what}" for key, what in sorted(self._under_way.items()))
        sys.stderr.write(f"\r\033[K{terminal.printable(told)[:100]}")
        sys.stderr.flush()

    def _wipe(self) -> None:
        if self._moves:
            sys.stderr.write("\r\033[K")


def _describe(signal: signals.ActionProgress) -> str:
    found = signal.progress
    if not found.total:
        return found.message
    return f"{found.message} {found.done / 2**20:.1f}/{found.total / 2**20:.1f} MiB"
