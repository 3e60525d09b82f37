"""The patterns of ``${variable#pattern}`` and its kin: ``*``, ``?`` and escapes, matched in bounded time.

``*`` and ``?`` do not match the end of a line, as in BuildKit, which makes regular expressions of them. A backtracking
matcher would need ages for some patterns; this one keeps the set of places in the pattern where it may be.
"""

import dataclasses
from collections.abc import Iterator

from agent.kit import frozen

_MOST_STEPS = 2_000_000
"""Steps of one substitution: a second or two. Ten stars over a text of a hundred thousand characters need no more."""

_ANY, _MANY = object(), object()
Token = str | object


class TooMuch(Exception):
    """A substitution would take too long."""


class BadPattern(Exception):
    """A pattern is none; the message says why."""


@frozen.value
class Glob:
    """A pattern as its tokens: a character, any one, or any number of any."""

    tokens: tuple[Token, ...]

    def reversed(self) -> "Glob":
        """Return the pattern of reversed texts."""
        return Glob(self.tokens[::-1])

    def without_prefix(self, text: str, *, longest: bool) -> str:
        """Return a text without what matches at its beginning."""
        end = self._end(text, 0, _Steps(), longest=longest)
        return text if end is None else text[end:]

    def without_suffix(self, text: str, *, longest: bool) -> str:
        """Return a text without what matches at its end."""
        return self.reversed().without_prefix(text[::-1], longest=longest)[::-1]

    def replaced(self, text: str, replacement: str, *, everywhere: bool) -> str:
        """Return a text with the first match, or each, replaced; the longest match at each place."""
        steps = _Steps()
        parts: list[str] = []
        index = copied = 0
        while index <= len(text):
            end = self._end(text, index, steps, longest=True)
            if end is None or (end == index == copied and parts):
                index += 1
                continue
            parts += text[copied:index], replacement
            copied = end
            index = max(end, index + 1)
            if not everywhere:
                break
        return "".join((*parts, text[copied:]))

    def _end(self, text: str, begin: int, steps: "_Steps", *, longest: bool) -> int | None:
        """Return where a match that begins here ends."""
        end = None
        places = self._reached({0})
        for index in range(begin, len(text) + 1):
            if len(self.tokens) in places:
                end = index
                if not longest:
                    break
            if not places or index == len(text):
                break
            steps.spend(len(places))
            places = self._reached(set(self._behind(places, text[index])))
        return end

    def _behind(self, places: set[int], character: str) -> Iterator[int]:
        for place in places:
            token = self.tokens[place] if place < len(self.tokens) else None
            if token is _MANY and character != "\n":
                yield place
            elif token == character or (token is _ANY and character != "\n"):
                yield place + 1

    def _reached(self, places: set[int]) -> set[int]:
        """Return the places, and those behind a star that matches nothing."""
        reached = set(places)
        for place in places:
            while place < len(self.tokens) and self.tokens[place] is _MANY:
                place += 1  # noqa: PLW2901 - each step is a place of its own
                reached.add(place)
        return reached


def glob(pattern: str) -> Glob:
    r"""Return a pattern as a matcher. Raises ``BadPattern`` for an escape of something else than ``* ? \ } /``."""
    tokens: list[Token] = []
    characters = iter(pattern)
    for character in characters:
        match character:
            case "*":
                tokens.append(_MANY)
            case "?":
                tokens.append(_ANY)
            case "\\":
                escaped = next(characters, "")
                if not escaped or escaped not in "*?\\}/":
                    raise BadPattern(f"\\{escaped} is no escape of a pattern")
                tokens.append(escaped)
            case _:
                tokens.append(character)
    return Glob(tuple(tokens))


@dataclasses.dataclass(slots=True)
class _Steps:
    """The steps that a substitution may still take."""

    remaining: int = _MOST_STEPS

    def spend(self, count: int) -> None:
        self.remaining -= count
        if self.remaining < 0:
            raise TooMuch
