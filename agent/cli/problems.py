"""Showing what is wrong with manifests: path:line:column, the line itself, and the way out."""

import re
import sys
from collections.abc import Mapping, Sequence

from agent.cli import terminal
from agent.manifests import problem

_SECRET = re.compile(rb"""["']?\bkind["']?\s*:\s*["']?Secret\b""")
"""A file with a Secret: none of its lines is shown, as what is wrong with it may hide which are the Secret's."""
_WIDTH = 160
"""Columns of a source line that are shown."""


def show(problems: Sequence[problem.Problem], contents: Mapping[str, bytes]) -> None:
    """Print problems to stderr. ``contents`` maps the paths of problems to the files' bytes."""
    for found in problems:
        where = terminal.printable(f"{found.path}:{found.line}:{found.column}:")
        place = terminal.style(where, "bold", sys.stderr)
        terminal.note(f"{place} {terminal.style('error:', 'red', sys.stderr)} {terminal.printable(found.message)}")
        data = contents.get(found.path, b"")
        for line in () if _SECRET.search(data) else excerpt(data, found.line, found.column):
            terminal.note(terminal.style(line, "dim", sys.stderr))
        if found.hint:
            terminal.note(f"{terminal.style('hint:', 'cyan', sys.stderr)} {terminal.printable(found.hint)}")


def excerpt(data: bytes, line: int, column: int) -> list[str]:
    """Give the line that a problem is on, numbered, with a caret under its column; nothing where there is none."""
    lines = data.splitlines()
    if not 1 <= line <= len(lines):
        return []
    text = lines[line - 1].decode(errors="replace")
    start = max(0, column - 1 - _WIDTH // 2)
    shown = terminal.printable(text[start : start + _WIDTH].replace("\t", " "))
    if not shown.strip():
        return []
    gutter = f"{line:5} | "
    return [gutter + shown, f"{'|':>7} " + " " * (column - 1 - start) + "^"]
