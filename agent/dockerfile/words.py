"""Splitting of an instruction's arguments into words that keep their quotes and escapes."""

import re
from collections.abc import Iterator

from agent.dockerfile import places

SPACE = re.compile(r"[\t\v\f\r ]+")


def spaced(arguments: places.Text) -> tuple[places.Text, ...]:
    """Return the words between space, whatever quotes there are."""
    return tuple(arguments.split(SPACE)) if arguments.text else ()


def quoted(arguments: places.Text, escape: str) -> Iterator[places.Text]:
    """Yield the words between space that is neither quoted nor escaped.

    An escape at the very end is left out, as BuildKit does; whatever is not closed goes on to the end.
    """
    text = arguments.text
    begin, index, quote = 0, 0, ""
    while index < len(text):
        character = text[index]
        if character == escape and quote != "'":
            index += 1
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character.isspace():
            if begin < index:
                yield arguments.part(begin, index)
            begin = index + 1
        index += 1
    is_escape_last = index > len(text)
    if begin < len(text) - is_escape_last:
        yield arguments.part(begin, len(text) - is_escape_last)
