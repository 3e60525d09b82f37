"""Output of problems in manifests: path:line:column, the line itself, and the hint."""

import re
import sys
from collections.abc import Mapping, Sequence

from agent.cli import terminal
from agent.manifests import problem

_SECRET = re.compile(rb"""["']?\bkind["']?\s*:\s*["']?Secret\b""")
"""A file with a Secret: none of its lines is shown, since the problem may hide which are the Secret's."""
_WIDTH = 160
"""Columns of a source line that are shown."""


def show(problems: Sequence[problem.Problem], contents: Mapping[str, bytes]) -> None:
    """Print problems to stderr. ``contents`` maps the paths of problems to the files' bytes."""
    lines: dict[str, list[bytes]] = {}
    for mistake in problems:
        where = terminal.printable(f"{mistake.path}:{mistake.line}:{mistake.column}:")
        position = terminal.style(where, "bold", sys.stderr)
        terminal.note(f"{position} {terminal.style('error:', 'red', sys.stderr)} {terminal.printable(mistake.message)}")
        if mistake.path not in lines:
            data = contents.get(mistake.path, b"")
            lines[mistake.path] = [] if _SECRET.search(data) else data.splitlines()
        for line in excerpt(lines[mistake.path], mistake.line, mistake.column):
            terminal.note(terminal.style(line, "dim", sys.stderr))
        if mistake.hint:
            terminal.note(f"{terminal.style('hint:', 'cyan', sys.stderr)} {terminal.printable(mistake.hint)}")


def excerpt(lines: Sequence[bytes], line: int, column: int) -> list[str]:
    """Return a problem's line, numbered, with a caret under its column; nothing if the line does not exist."""
    if not 1 <= line <= len(lines):
        return []
    text = lines[line - 1].decode(errors="replace")
    start = max(0, column - 1 - _WIDTH // 2)
    shown = terminal.printable(text[start : start + _WIDTH].replace("\t", " "))
    if not shown.strip():
        return []
    gutter = f"{line:5} | "
    return [gutter + shown, f"{'|':>7} " + " " * (column - 1 - start) + "^"]
