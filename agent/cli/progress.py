"""Progress on stderr: a line for each finished action, and a moving line of running ones on a terminal."""

import sys
import time
from typing import Self

from agent import invocation
from agent.cli import terminal
from agent.converge import signals
from agent.model.key import ObjectKey

_REDRAW = 0.1
"""Seconds between two redraws of the moving line."""
_WORTH_A_WORD = 2.0
"""Seconds of waiting from which on the reason is shown."""
_MARKS = {
    signals.Result.SUCCEEDED: ("✓", "green"),
    signals.Result.FAILED: ("✗", "red"),
    signals.Result.SKIPPED: ("-", "dim"),
    signals.Result.SUPERSEDED: ("-", "dim"),
}


class ConvergenceProgress:
    """A sink of events that prints those of interest to people. Used as a context manager."""

    def __init__(self, invoked: invocation.Invocation) -> None:
        """Draw a moving line only where it can move; commands in messages are completed."""
        self._invoked = invoked
        self.has_finished = False
        """Whether an action was carried out, be it with success or not."""
        self._moves = sys.stderr.isatty() and terminal.is_coloured(sys.stderr)
        self._running: dict[ObjectKey, str] = {}
        self._drawn_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._wipe()

    def __call__(self, signal: signals.Signal) -> None:
        """Print an event, or update the moving line."""
        match signal:
            case signals.ActionStarted():
                self._running[signal.action.key] = type(signal.action).__name__
            case signals.ActionProgress():
                self._running[signal.action.key] = _describe(signal)
            case signals.ActionFinished():
                self._running.pop(signal.action.key, None)
                self.has_finished = True
                self._finished(signal)
            case signals.ObjectDisposed():
                self._line(f"  {signal.hold.key}: {signal.hold.reason}: {signal.hold.message}", "yellow")
            case signals.SourceAwaited() if signal.seconds > _WORTH_A_WORD:
                message = (
                    f"waiting for up to {signal.seconds:.0f} s: SOURCE no longer declares {signal.missing}, and was"
                    " changed just now; somebody may still be writing it"
                )
                self._line(message, "yellow")
            case signals.PassFailed() | signals.TaskFailed():
                self._line(f"  {type(signal.error).__name__}: {signal.error}", "red")
            case _:
                pass
        self._draw()

    def _finished(self, signal: signals.ActionFinished) -> None:
        name = f"{type(signal.action).__name__} {signal.action.key}"
        self._line(*finished_line(name, signal.result, signal.duration))

    def _line(self, text: str, style: str) -> None:
        self._wipe()
        terminal.note(terminal.style(terminal.printable(self._invoked.completed(text)), style, sys.stderr))

    def _draw(self) -> None:
        now = time.monotonic()
        if not self._moves or not self._running or now - self._drawn_at < _REDRAW:
            return
        self._drawn_at = now
        line = ", ".join(f"{key} {what}" for key, what in sorted(self._running.items()))
        sys.stderr.write(f"\r\033[K{terminal.printable(line)[:100]}")
        sys.stderr.flush()

    def _wipe(self) -> None:
        if self._moves:
            sys.stderr.write("\r\033[K")


def finished_line(name: str, result: signals.Result, duration: float) -> tuple[str, str]:
    """Return the line of an action that has ended, and its style."""
    mark, style = _MARKS[result]
    took = f" {duration:.2f} s" if duration else f" {result.value}"
    return f"{mark} {name}{took}", style


def _describe(signal: signals.ActionProgress) -> str:
    progress = signal.progress
    if not progress.total:
        return progress.message
    return f"{progress.message} {progress.done / 2**20:.1f}/{progress.total / 2**20:.1f} MiB"
