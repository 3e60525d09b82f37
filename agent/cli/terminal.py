"""Output to the terminal: results to stdout, diagnostics to stderr, colours only on a terminal.

Plain ``print`` where nothing is coloured: rich is imported by the commands that draw with it.
"""

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

import click

from agent import errors
from agent.cli import exits
from agent.kit import escapes

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_STEP = 1024
_USUAL_WIDTH = 80


def result(text: str, *, at_once: bool = False) -> None:
    """Print a line of the result; ``at_once`` flushes it, for somebody who waits."""
    write(text + "\n")
    if at_once:
        flush()


def escape_unencodable_text() -> None:
    """Write text that the terminal's encoding does not have (names that are not UTF-8) as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write(text: str) -> None:
    """Print a part of the result. Ends the command quietly when the reader has ended (``trimtab logs web | head``)."""
    try:
        sys.stdout.write(text)
    except BrokenPipeError as error:
        raise click.exceptions.Exit(_nobody_reads()) from error


def columns() -> int:
    """Return how wide the terminal is: as ``COLUMNS`` says, else as stdout's terminal does, else 80."""
    words = os.environ.get("COLUMNS", "")
    if words.isascii() and words.isdecimal() and int(words):
        return int(words)
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or _USUAL_WIDTH  # type: ignore[union-attr]  # it is None without one
    return _USUAL_WIDTH


def flush() -> None:
    """Flush what was printed so far."""
    try:
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise click.exceptions.Exit(_nobody_reads()) from error


def _nobody_reads() -> int:
    """Redirect stdout to nowhere, for the interpreter's last flush; return the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return exits.DONE


def note(text: str) -> None:
    """Print a line for people on stderr; failing to do so changes nothing else."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text + "\n")


def result_line(value: object) -> None:
    """Print a value as JSON on one line: for streams."""
    from agent.kit import canonical

    result(_escaped(canonical.dumps(value).decode()), at_once=True)


def result_yaml(value: object, *, is_sorted: bool = False) -> None:
    """Print a value as YAML, its fields in the order of their declaration, or sorted."""
    import yaml

    from agent.kit import canonical

    write(yaml.safe_dump(canonical.plain(value), sort_keys=is_sorted, allow_unicode=True))


def result_document(value: object, form: str) -> None:
    """Print a value for programs, in the form ``json`` or ``yaml``; both have the same fields."""
    if form == "yaml":
        result_yaml(value, is_sorted=True)
    else:
        result_json(value)


def result_json(value: object) -> None:
    """Print a value as JSON: indented and with sorted keys, so that two outputs can be compared."""
    from agent.kit import canonical

    result(_escaped(json.dumps(canonical.plain(value), indent=2, sort_keys=True, ensure_ascii=False)))


def _escaped(document: str) -> str:
    """Escape control characters in JSON; they occur in strings only."""
    if document.replace("\n", "").isprintable():
        return document
    return "".join(
        letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in document
    )


def failure(error: errors.TrimtabError) -> None:
    """Print an expected error, and its hint on a line of its own."""
    note(f"{style('error:', 'red', sys.stderr)} {printable(error.message)}")
    if error.hint:
        note(f"{style(' hint:', 'cyan', sys.stderr)} {printable(error.hint)}")


def is_coloured(stream: TextIO) -> bool:
    """Return whether a stream is coloured: a terminal, and neither ``NO_COLOR`` nor ``TERM=dumb``."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def style(text: str, name: str, stream: TextIO) -> str:
    """Return text in a style (words of ``bold dim red green yellow cyan``), or unchanged without colours."""
    codes = [_STYLES[word] for word in name.split() if word in _STYLES]
    if not text or not codes or not is_coloured(stream):
        return text
    return f"\033[{';'.join(codes)}m{text}\033[0m"


def printable(text: str) -> str:
    """Return text on one line, without control characters: names and messages may come from strangers."""
    return escapes.printable(text)


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print an aligned table; the last column is not padded."""
    lines = [tuple(headings), *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = column_widths(lines)
    for number, line in enumerate(lines):
        text = aligned(line, widths)
        result(style(text, "bold", sys.stdout) if number == 0 else text)


def column_widths(rows: Sequence[tuple[str, ...]]) -> list[int]:
    """Return how wide each column is but the last one, which is not padded."""
    return [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]


def aligned(cells: tuple[str, ...], widths: Sequence[int]) -> str:
    """Return a row as a line."""
    padded = (cell.ljust(width) for cell, width in zip(cells[:-1], widths, strict=True))
    return "  ".join((*padded, cells[-1])).rstrip()


def age(seconds: float) -> str:
    """Return a duration as kubectl prints it: ``45s``, ``3m``, ``5h``, ``12d``."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)}{unit}"
    return f"{max(0, int(seconds))}s"


def size(amount: int) -> str:
    """Return an amount of bytes as text: ``812 B``, ``12.5 MiB``."""
    value, units = float(amount), ["KiB", "MiB", "GiB", "TiB"]
    if value < _STEP:
        return f"{amount} B"
    while (value := value / _STEP) >= _STEP and len(units) > 1:
        units.pop(0)
    return f"{value:.1f} {units[0]}"
