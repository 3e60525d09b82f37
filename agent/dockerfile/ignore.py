"""``.dockerignore``: which files of a context are left out.

The last pattern that matches a path, or a folder that it lies in, decides; ``!`` brings back. ``*`` and ``?`` do not
match ``/``; ``**`` matches any number of folders, none among them.
"""

import itertools
import posixpath
import re
from collections.abc import Sequence

from agent.kit import frozen

_TOKEN = re.compile(
    r"(?P<deep>\*{2,}/?)|(?P<star>\*)|(?P<any>\?)|(?P<set>\[\^?+(?:(?:\\.|[^\\\]-])(?:-(?:\\.|[^\\\]-]))?)+\])"
    r"|(?P<escaped>\\.)|(?P<plain>[^\\\[])",
    re.DOTALL,
)
_MEMBER = re.compile(r"(\\.|[^\\])(?:-(\\.|[^\\]))?", re.DOTALL)
_SPECIAL = re.compile(r"[*?\[\]\\]")


MOST = 1000
"""Patterns of a file: each path of a context is compared with all of them."""


class BadPattern(Exception):
    """A line of the file is no pattern."""

    def __init__(self, line: int, pattern: str, message: str) -> None:
        """Take the number of the line, from 1."""
        super().__init__(f"{pattern}: {message}")
        self.line, self.message = line, f"{pattern}: {message}"


@frozen.value
class Pattern:
    """One line of the file."""

    text: str
    """Cleaned: without ``!``, and without detours and a slash at its ends."""
    brings_back: bool
    expression: re.Pattern[str]


@frozen.value
class Ignore:
    """The patterns of a file, in their order."""

    patterns: tuple[Pattern, ...] = ()

    @property
    def may_bring_back(self) -> bool:
        """Return whether what lies in a folder that is left out may be wanted all the same."""
        return any(pattern.brings_back for pattern in self.patterns)

    def leaves_out(self, path: str) -> bool:
        """Return whether a path, relative to the context, is left out."""
        parts = path.split("/")
        ways = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        is_out = False
        for pattern in self.patterns:
            if pattern.brings_back == is_out and any(pattern.expression.fullmatch(folder) for folder in ways):
                is_out = not pattern.brings_back
        return is_out


def parse(data: bytes) -> Ignore:
    """Parse a file. Raises ``BadPattern``."""
    text = data.decode("utf-8-sig", "surrogateescape")
    lines = text.split("\n")
    return of([(number, line.rstrip("\r")) for number, line in enumerate(lines, 1) if not line.startswith("#")])


def of(lines: Sequence[tuple[int, str]]) -> Ignore:
    """Return the patterns of numbered lines, also those of ``COPY --exclude``. Raises ``BadPattern``."""
    patterns = [(number, line.strip()) for number, line in lines if line.strip()]
    if len(patterns) > MOST:
        raise BadPattern(patterns[MOST][0], patterns[MOST][1][:50], f"there are more than {MOST} patterns")
    return Ignore(tuple(itertools.starmap(_pattern, patterns)))


def _pattern(number: int, line: str) -> Pattern:
    brings_back = line.startswith("!")
    text = line.removeprefix("!").strip()
    if not text:
        raise BadPattern(number, line, "there is nothing behind the exclamation mark")
    cleaned = posixpath.normpath(text).lstrip("/") or "."
    try:
        expression = re.compile(_expression(cleaned), re.DOTALL)
    except ValueError as error:
        raise BadPattern(number, line, str(error)) from None
    return Pattern(cleaned, brings_back, expression)


def _expression(pattern: str) -> str:
    """Return a pattern as a regular expression that needs no ages for any path. Raises ``ValueError``."""
    if pattern.startswith("**") and not _SPECIAL.search(pattern, 2) and not pattern.startswith("**/"):
        return ".*" + re.escape(pattern.removeprefix("**"))  # as in Docker: also within a name, where all else is plain
    *runs, last = _runs(pattern)
    if not runs:
        return _names(last, is_last=True)
    first, *inner = runs
    parts = [_names(first, is_last=False), *(f"(?>(?:[^/]*/)*?{_names(run, is_last=False)})" for run in inner)]
    parts.append(f"(?:[^/]*/)*?{_names(last, is_last=True)}" if last else ".*")
    return "".join(parts)


def _set(text: str) -> str:
    """Return a set of characters, as ``[a-z]``, as a regular expression."""
    negation = "^" if text.startswith("[^") else ""
    parts: list[str] = []
    for low, high in _MEMBER.findall(text[1 + len(negation) : -1]):
        first, last = low[-1], high[-1:]
        if last and last < first:
            raise ValueError("its characters are in no order")
        parts.append(f"{re.escape(first)}-{re.escape(last)}" if last else re.escape(first))
    return f"[{negation}{''.join(parts)}]"


def _names(tokens: list[str], *, is_last: bool) -> str:
    """Return what stands between two ``**``. What follows a ``*`` is right where it matches first, but at the end."""
    fixed, *others = _split(tokens, "*")
    inner = others[:-1] if is_last else others
    end = f"[^/]*{others[-1]}" if is_last and others else ""
    return "".join((fixed, *(f"(?>[^/]*?{part})" for part in inner), end))


def _split(tokens: list[str], separator: str) -> list[str]:
    parts: list[list[str]] = [[]]
    for token in tokens:
        if token == separator:
            parts.append([])
        else:
            parts[-1].append(token)
    return ["".join(part) for part in parts]


def _runs(pattern: str) -> list[list[str]]:
    """Return the tokens between ``**`` and its slash: ``*``, or a regular expression of one character."""
    runs: list[list[str]] = [[]]
    index = 0
    while index < len(pattern):
        match = _TOKEN.match(pattern, index)
        if match is None:
            what = "a bracket is not closed" if pattern[index] == "[" else "there is nothing behind the backslash"
            raise ValueError(what)
        index = match.end()
        match match.lastgroup:
            case "deep":
                runs.append([])
            case "star":
                runs[-1].append("*")
            case "any":
                runs[-1].append("[^/]")
            case "set":
                runs[-1].append(_set(match[0]))
            case _:
                runs[-1].append(re.escape(match[0].removeprefix("\\") or match[0]))
    return runs
