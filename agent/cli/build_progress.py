"""Progress of a build on stderr: as people know it from BuildKit, a moving line on a terminal, or JSON."""

import json
import sys
import time
from typing import Protocol, Self

from agent.agent_api import building
from agent.cli import terminal
from agent.dockerfile import steps as build_steps
from agent.runtime import build_orders

_REDRAW = 0.1
"""Seconds between two redraws of the moving line."""
_LONGEST_LINE = 4096


class Report(Protocol):
    """A sink of a build's progress, used as a context manager."""

    hides_output: bool
    """What steps print is not shown while they run."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def __call__(self, progress: build_steps.Progress) -> None:
        """Show it."""

    def end(self, end: build_orders.End) -> bool:
        """Show how it has ended; return whether it is shown: else it is told for people."""


def of(kind: str) -> Report:
    """Return the sink of a kind: ``auto``, ``plain``, ``json`` or ``none``."""
    if kind == "json":
        return Json()
    if kind == "none":
        return Silent()
    if kind == "auto" and sys.stderr.isatty() and terminal.is_coloured(sys.stderr):
        return Moving()
    return Plain()


class _Lines:
    """A sink that prints whole lines as they come: it has nothing to begin or to end."""

    hides_output = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def end(self, end: build_orders.End) -> bool:  # noqa: ARG002 - as all have it
        """Show nothing."""
        return False


class Silent(_Lines):
    """Shows nothing: what a step that fails has printed is shown at the end."""

    hides_output = True

    def __call__(self, progress: build_steps.Progress) -> None:
        """Show nothing."""


class Plain(_Lines):
    """A line for each step that begins or ends, and each that a step prints: ``#3 0.12 text``."""

    def __init__(self) -> None:
        """Nothing is shown yet."""
        self._begun: dict[int, float] = {}
        self._partial: dict[int, bytes] = {}

    def __call__(self, progress: build_steps.Progress) -> None:
        """Print lines."""
        match progress:
            case build_steps.StepBegun(number=number, title=title):
                self._begun[number] = time.monotonic()
                terminal.note(terminal.printable(f"#{number} {title}"))
            case build_steps.StepOutput(number=number, data=data):
                *whole, partial = (self._partial.get(number, b"") + data).split(b"\n")
                self._partial[number] = partial[-_LONGEST_LINE:]
                for line in whole:
                    self._line(number, line)
            case build_steps.StepEnded(number=number):
                if partial := self._partial.pop(number, b""):
                    self._line(number, partial)
                terminal.note(terminal.printable(f"#{number} {_end(progress)}"))

    def _line(self, number: int, line: bytes) -> None:
        seconds = time.monotonic() - self._begun.get(number, time.monotonic())
        text = line[:_LONGEST_LINE].decode(errors="replace").rstrip("\r")
        terminal.note(terminal.printable(f"#{number} {seconds:.2f} {text}"))


class Moving(_Lines):
    """A line for each step that has ended, and a moving one of what runs, with the last line that it has printed."""

    hides_output = True

    def __init__(self) -> None:
        """Nothing is shown yet."""
        self._titles: dict[int, str] = {}
        self._last_lines: dict[int, str] = {}
        self._drawn_at = 0.0

    def __exit__(self, *_: object) -> None:
        self._wipe()

    def __call__(self, progress: build_steps.Progress) -> None:
        """Print a line, or update the moving one."""
        match progress:
            case build_steps.StepBegun(number=number, title=title):
                self._titles[number] = title
                self._draw()
            case build_steps.StepOutput(number=number, data=data):
                lines = data.decode(errors="replace").split("\n")
                self._last_lines[number] = next((line for line in reversed(lines) if line.strip()), "")
                self._draw()
            case build_steps.StepEnded(number=number):
                self._wipe()
                colour = "red" if progress.error else "dim" if progress.is_cached else "green"
                mark = terminal.style("✗" if progress.error else "✓", colour, sys.stderr)
                title = terminal.printable(self._titles.pop(number, ""))
                terminal.note(f"{mark} {title} {terminal.style(_end(progress), 'dim', sys.stderr)}")
                self._last_lines.pop(number, None)

    def _draw(self) -> None:
        now = time.monotonic()
        if now - self._drawn_at >= _REDRAW and self._titles:
            self._drawn_at = now
            number, title = next(reversed(self._titles.items()))
            line = terminal.printable(f"… {title}  {self._last_lines.get(number, '')}")
            sys.stderr.write(f"\r\033[K{line[: terminal.columns() - 1]}")
            sys.stderr.flush()

    def _wipe(self) -> None:
        sys.stderr.write("\r\033[K")


class Json(_Lines):
    """A JSON document on a line for each event."""

    def __call__(self, progress: build_steps.Progress) -> None:
        """Print a line."""
        match progress:
            case build_steps.StepBegun(number=number, title=title):
                _print({"step": number, "event": "begun", "title": title})
            case build_steps.StepOutput(number=number, data=data):
                _print({"step": number, "event": "output", "text": data.decode(errors="replace")})
            case build_steps.StepEnded(number=number, seconds=seconds, is_cached=is_cached, error=error):
                end = {"seconds": round(seconds, 3), "cached": is_cached, "error": error or None}
                _print({"step": number, "event": "ended", **end})

    def end(self, end: build_orders.End) -> bool:
        """Print the last line: what was built, or why not."""
        _print(building.document(end))
        return True


def _end(progress: build_steps.StepEnded) -> str:
    if progress.error:
        return f"ERROR: {progress.error}"
    return "CACHED" if progress.is_cached else f"DONE {progress.seconds:.1f}s"


def _print(document: dict[str, object]) -> None:
    terminal.note(json.dumps(document))
