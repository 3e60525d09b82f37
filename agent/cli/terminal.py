"""Writing to the terminal: results to stdout, diagnostics to stderr, colours only where somebody sees them.

Plain ``print`` where nothing is coloured: rich is imported by the commands that draw with it.
"""

import io
import json
import os
import sys
from collections.abc import Iterable
from typing import TextIO

import typer

from agent import errors
from agent.cli import exits
from agent.kit import canonical, escapes

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_STEP = 1024


def result(text: str, *, at_once: bool = False) -> None:
    """Print a line of the result; ``at_once`` for lines that somebody waits for."""
    write(text + "\n")
    if at_once:
        flush()


def take_any_text() -> None:
    """Let text that the terminal's encoding does not know (names that are not UTF-8) be written as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write(text: str) -> None:
    """Print a part of the result. Ends the command quietly where the reader has gone (``trimtab logs web | head``)."""
    try:
        sys.stdout.write(text)
    except BrokenPipeError as error:
        raise typer.Exit(_nobody_reads()) from error


def flush() -> None:
    """Let everything printed so far reach the reader."""
    try:
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise typer.Exit(_nobody_reads()) from error


def _nobody_reads() -> int:
    """Let the interpreter flush into nothing at its end, and give the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return exits.DONE


def note(text: str) -> None:
    """Print a line for people beside the result."""
    sys.stderr.write(text + "\n")


def result_line(value: object) -> None:
    """Print a value as JSON on one line: for streams."""
    result(_harmless(canonical.dumps(value).decode()), at_once=True)


def result_yaml(value: object) -> None:
    """Print a value as YAML, its fields in the order of their declaration."""
    import yaml

    write(yaml.safe_dump(canonical.plain(value), sort_keys=False, allow_unicode=True))


def result_json(value: object) -> None:
    """Print a value as JSON: indented and with sorted keys, so that two outputs can be compared."""
    result(_harmless(json.dumps(canonical.plain(value), indent=2, sort_keys=True, ensure_ascii=False)))


def _harmless(document: str) -> str:
    """Escape in JSON what a terminal would obey, and what is no text; both stand in strings only."""
    if document.replace("\n", "").isprintable():
        return document
    return "".join(
        letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in document
    )


def failure(error: errors.TrimtabError) -> None:
    """Tell an expected error, and the way out on a line of its own."""
    note(f"{style('error:', 'red', sys.stderr)} {printable(error.message)}")
    if error.hint:
        note(f"{style(' hint:', 'cyan', sys.stderr)} {printable(error.hint)}")


def is_coloured(stream: TextIO) -> bool:
    """Tell whether colours are wanted there: a terminal, and neither ``NO_COLOR`` nor ``TERM=dumb``."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def style(text: str, name: str, stream: TextIO) -> str:
    """Give text in a style (words of ``bold dim red green yellow cyan``), or as it is where nobody sees colours."""
    codes = [_STYLES[word] for word in name.split() if word in _STYLES]
    if not text or not codes or not is_coloured(stream):
        return text
    return f"\033[{';'.join(codes)}m{text}\033[0m"


def printable(text: str) -> str:
    """Give text on one line, without what a terminal would obey: names and messages may come from strangers."""
    return escapes.printable(text)


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print an aligned table; the last column is not padded."""
    lines = [tuple(headings), *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for number, line in enumerate(lines):
        cells = [cell.ljust(width) for cell, width in zip(line[:-1], widths, strict=False)]
        text = "  ".join((*cells, line[-1])).rstrip()
        result(style(text, "bold", sys.stdout) if number == 0 else text)


def age(seconds: float) -> str:
    """Give a duration as kubectl does: ``45s``, ``3m``, ``5h``, ``12d``."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)}{unit}"
    return f"{max(0, int(seconds))}s"


def size(amount: int) -> str:
    """Give an amount of bytes: ``812 B``, ``12.5 MiB``."""
    value, units = float(amount), ["KiB", "MiB", "GiB", "TiB"]
    if value < _STEP:
        return f"{amount} B"
    while (value := value / _STEP) >= _STEP and len(units) > 1:
        units.pop(0)
    return f"{value:.1f} {units[0]}"
