"""Docker's env-file syntax (``docker run --env-file``): a ``NAME=VALUE`` a line, taken as it is written.

A line that begins with ``#`` after white space, or has nothing, says nothing. Quotes and trailing white space are part
of a value; nothing is expanded. Messages show nothing of a line, as it may be a part of a password.
"""

import dataclasses
import functools
from collections.abc import Mapping

from agent.kit import frozen

LARGEST = 256 * 1024
"""Bytes of an env file."""
LONGEST = 128 * 1024 - 1
"""Bytes of one ``NAME=VALUE`` that Linux starts a program with (``MAX_ARG_STRLEN``, with its end)."""
MOST_VARIABLES = 10_000
"""Variables of one file: far more than a program can be started with."""
_BYTE_ORDER_MARK = "\ufeff"
_LEADING = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What Docker takes away at the beginning of a line: Go's ``unicode.IsSpace``, which U+001C to U+001F are none of."""
_IN_NAMES = " \t"
"""The white space that Docker looks for in a name."""


@frozen.value
class Mistake:
    """A line that is not understood."""

    line: int
    """From 1."""
    message: str
    hint: str


@frozen.value
class EnvFile:
    """The variables of a file, the last line of a name counting, and its mistakes."""

    variables: Mapping[str, str] = dataclasses.field(repr=False)
    mistakes: tuple[Mistake, ...]


@functools.lru_cache(maxsize=64)
def parse(data: bytes) -> EnvFile:
    """Read an env file. Remembered, as many containers may use one file."""
    variables: dict[str, str] = {}
    mistakes: list[Mistake] = []
    for number, raw in enumerate(data.split(b"\n"), 1):
        try:
            line = raw.removesuffix(b"\r").decode()
        except UnicodeDecodeError:
            mistakes.append(Mistake(number, "this line is not UTF-8", "save the file as UTF-8"))
            continue
        text = (line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line).lstrip(_LEADING)
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if (mistake := _mistake(number, name, equals, value)) is not None:
            mistakes.append(mistake)
        else:
            variables[name] = value
    if len(variables) > MOST_VARIABLES:
        message = f"the file has {len(variables)} variables, the limit is {MOST_VARIABLES}"
        mistakes.append(Mistake(1, message, "give large data as a file, by a mount"))
    return EnvFile(variables, tuple(mistakes))


def _mistake(number: int, name: str, equals: str, value: str) -> Mistake | None:
    if not name:
        return Mistake(number, "this line has no name before =", "write NAME=VALUE")
    if not equals:  # what stands there may be the second line of a value: it is not shown
        message = "this line has no =: a variable of the agent's own environment is not passed on"
        return Mistake(number, message, "write NAME=VALUE, or NAME= for an empty value")
    if any(blank in name for blank in _IN_NAMES):
        return Mistake(number, "this line has white space in the name", "write NAME=VALUE, without spaces before =")
    if "\0" in name or "\0" in value:
        return Mistake(number, "this line has a NUL character", "take it out")
    if len(f"{name}={value}".encode()) > LONGEST:
        message = f"this line is {(LONGEST + 1) // 1024} KiB or longer: no program can be started with it"
        return Mistake(number, message, "give large data as a file, by a mount")
    return None
