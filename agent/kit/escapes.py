"""Text of strangers, made harmless before a terminal or a line of a log gets it."""

import re


def printable(text: str) -> str:
    """Return text on one line, without what a terminal would obey: escapes, line ends, marks of direction."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


_OBEYED = re.compile(r"[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls but the tab, line ends of any kind, and marks that turn the direction of what follows."""
_COLOUR = re.compile(r"(\x1b\[[0-9;:]*m)|\x1b")
_PLAIN = "\x1b[0m"


def terminal_line(text: str) -> str:
    """Return a line that a program wrote so that a terminal can only show it: colours pass, all else is escaped.

    A line that sets a colour ends by putting it back. A carriage return at the end, before the line's own, is left out.
    """
    shown = _OBEYED.sub(_escaped, text.removesuffix("\r"))
    if "\x1b" not in shown:
        return shown
    shown = _COLOUR.sub(lambda match: match[1] or "\\x1b", shown)
    return shown + _PLAIN if "\x1b" in shown else shown


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()
