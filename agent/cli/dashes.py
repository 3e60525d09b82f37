"""Options as users of other programs type them: ``-o=VALUE`` is read, and a long option with a single dash is refused.

For click, ``-o=json`` would be ``-o`` with the value ``=json``, and ``-out=FILE`` would be ``-o`` with ``ut=FILE``.
"""

import collections
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_SHORTENED = 4
"""Letters, with the dash, from which on the beginning of a long option is taken for that option: ``-out``."""
_OUTPUT = "-out"
"""No value of ``-o`` begins with ``ut``: what begins so is terraform's ``-out=FILE``."""


class SingleDash(ValueError):
    """A long option was typed with one dash; the text says how it is typed."""


def plain(words: Sequence[str], parameters: Sequence[Any], *, interspersed: bool) -> list[str]:
    """Return the words of a command line as click reads them. Raises ``SingleDash``.

    ``parameters``: the command's, as click has them; ``interspersed``: options may stand behind arguments.
    """
    options = {name: parameter for parameter in parameters for name in parameter.opts if name.startswith("-")}
    remaining = collections.deque(words)
    result: list[str] = []
    while remaining:
        word = remaining.popleft()
        if word == "--" or not (interspersed or _is_option(word)):
            return [*result, word, *remaining]
        if word.startswith("--"):
            name, equals, _ = word.partition("=")
            value_follows = not equals and _takes_value(options, name)
            result.append(word)
        else:
            _check(word, options, remaining)
            parts = list(_split(word, options)) if _is_option(word) else [word]
            value_follows = _is_option(word) and len(parts) == 1 and _ends_with_value(word, options)
            result += parts
        if value_follows and remaining:
            result.append(remaining.popleft())
    return result


def _is_option(word: str) -> bool:
    return word.startswith("-") and len(word) > 1


def _takes_value(options: Mapping[str, Any], name: str) -> bool:
    return name in options and not options[name].is_flag


def _split(word: str, options: Mapping[str, Any]) -> Iterator[str]:
    """Yield ``-tn`` and ``5`` of ``-tn=5``, and any other word as it is."""
    for position, letter in enumerate(word[1:], 2):
        if _takes_value(options, f"-{letter}"):
            if word[position : position + 1] == "=":
                yield word[:position]
                yield word[position + 1 :]
                return
            break
    yield word


def _ends_with_value(word: str, options: Mapping[str, Any]) -> bool:
    """Return whether the value of a word's last letter is the next word."""
    takes = [_takes_value(options, f"-{letter}") for letter in word[1:]]
    return any(takes) and takes.index(True) == len(takes) - 1


def _check(word: str, options: Mapping[str, Any], remaining: Sequence[str]) -> None:
    """Raise ``SingleDash`` for a long option with one dash."""
    name, equals, value = word.partition("=")
    long = next((option for option in options if option.startswith(f"-{name}")), "") if len(name) >= _SHORTENED else ""
    if not long and word.startswith(_OUTPUT) and "--output" in options:
        long = "--output"
    if not long:
        return
    short = next((option for option in options[long].opts if not option.startswith("--")), long)
    if not _takes_value(options, long):
        value = ""
    elif not equals:
        value = remaining[0] if remaining and not _is_option(remaining[0]) else "VALUE"
    raise SingleDash(f"there is no option {name}: write {' '.join(filter(None, (short, value)))}")
