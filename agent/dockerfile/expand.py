"""Variables in a Dockerfile's words: ``$name``, ``${name}`` and its modifiers, quotes and escapes.

By the rules of BuildKit, which are not a shell's: nothing is run, and a text is split into words after the expansion.
"""

import contextlib
from collections.abc import Iterator, Mapping

from agent.dockerfile import globs
from agent.kit import frozen

_DEEPEST = 64
_SPECIAL = "@*#?-$!0"
"""Names of one character: a shell's special parameters."""


class ExpansionError(Exception):
    """A text cannot be expanded; the message says why."""

    def __init__(self, message: str, *, is_missing: bool = False) -> None:
        """``is_missing``: a variable that must be set (``${NAME:?}``) is not."""
        super().__init__(message)
        self.is_missing = is_missing


@frozen.value
class Quoting:
    """What of a text's spelling stays in the result."""

    escape: str = "\\"
    """The character that takes the meaning of the next one away; the ``escape`` directive sets it."""
    keeps_quotes: bool = False
    takes_quotes: bool = True
    """Whether quotes mean anything; they are characters as any other in here-documents."""
    keeps_escapes: bool = False
    keeps_missing: bool = False
    """Whether a variable that is not set stays as it is spelled."""


PLAIN = Quoting()
LONGEST = 1024 * 1024
"""Characters of a text with its variables: more than the kernel takes as one."""


@frozen.value
class Expansion:
    """A text with its variables expanded."""

    text: str
    words: tuple[str, ...]
    """The text split at space that neither is quoted nor escaped."""
    used: frozenset[str]
    """Names of variables that it uses and that are set."""
    missing: frozenset[str]
    """Names of variables that it uses and that are not set."""


def expand(text: str, variables: Mapping[str, str], quoting: Quoting = PLAIN) -> Expansion:
    """Expand a text. Raises ``ExpansionError``."""
    reader = _Reader(text, variables, quoting)
    result, words = reader.until("", keeps_escapes=quoting.keeps_escapes)
    if len(result) > max(LONGEST, 2 * len(text)):
        raise ExpansionError(f"with its variables it has more than {LONGEST} characters")
    return Expansion(result, words, frozenset(reader.used), frozenset(reader.missing))


class _Words:
    """Words as they come: space ends one, unless it is quoted."""

    def __init__(self) -> None:
        self._complete: list[str] = []
        self._parts: list[str] = []  # of the word that has begun: adding to a text would copy it each time

    def add(self, text: str) -> None:
        for character in text:
            if not character.isspace():
                self._parts.append(character)
            else:
                self._end_word()

    def add_quoted(self, text: str) -> None:
        self._parts.append(text)

    def all(self) -> tuple[str, ...]:
        self._end_word()
        return tuple(self._complete)

    def _end_word(self) -> None:
        word = "".join(self._parts)
        if word:
            self._complete.append(word)
        self._parts.clear()


class _Reader:
    """Reads a text character by character."""

    def __init__(self, text: str, variables: Mapping[str, str], quoting: Quoting) -> None:
        self._text, self._variables, self._quoting = text, variables, quoting
        self._index = 0
        self._depth = 0
        self.used: set[str] = set()
        self.missing: set[str] = set()

    def until(self, stop: str, *, keeps_escapes: bool) -> tuple[str, tuple[str, ...]]:
        """Return the result up to a character, which is read too, and its words; to the end where it is empty."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ExpansionError(f"substitutions are nested deeper than {_DEEPEST}")
        parts: list[str] = []
        words = _Words()
        while (character := self._peek()) and character != stop:
            if character == "$" or (character in "'\"" and self._quoting.takes_quotes):
                part = self._dollar() if character == "$" else self._quoted()
                (words.add if character == "$" else words.add_quoted)(part)
                parts.append(part)
                continue
            self._index += 1
            if character != self._quoting.escape:
                words.add(character)
                parts.append(character)
                continue
            kept = character if keeps_escapes else ""
            escaped = self._next()
            words.add_quoted(kept + escaped)
            parts += kept, escaped
        if stop and not character:
            raise ExpansionError(f"there is no {stop} that closes ${{")
        self._index += len(stop)
        self._depth -= 1
        return "".join(parts), words.all()

    def _peek(self) -> str:
        return self._text[self._index : self._index + 1]

    def _next(self) -> str:
        character = self._peek()
        self._index += 1
        return character

    def _quoted(self) -> str:
        quote = self._next()
        kept = quote if self._quoting.keeps_quotes else ""
        parts = [kept]
        while (character := self._peek()) != quote:
            if not character:
                raise ExpansionError(f"there is no {quote} that closes the first one")
            parts.append(self._in_double_quotes() if quote == '"' else self._next())
        self._index += 1
        return "".join((*parts, kept))

    def _in_double_quotes(self) -> str:
        character = self._peek()
        if character == "$":
            return self._dollar()
        self._index += 1
        if character != self._quoting.escape:
            return character
        following = self._peek()
        kept = character if self._quoting.keeps_escapes else ""
        if not following:
            return kept
        return kept + self._next() if following in {'"', "$", self._quoting.escape} else character

    def _dollar(self) -> str:
        self._index += 1
        if self._peek() != "{":
            name = self._name()
            if not name:
                return "$"
            value = self._value(name)
            return f"${name}" if value is None and self._quoting.keeps_missing else value or ""
        self._index += 1
        if self._peek() in {"", "{", "}", ":"}:
            raise ExpansionError("${ needs the name of a variable and }")
        return self._braced(self._name())

    def _braced(self, name: str) -> str:
        """Return the value of what stands behind ``${name``."""
        modifier = self._next()
        is_empty_missing = modifier == ":"
        if is_empty_missing:
            modifier = self._next()
        spelled = ":" * is_empty_missing + modifier
        if modifier == "}" and not is_empty_missing:
            value = self._value(name)
            return f"${{{name}}}" if value is None and self._quoting.keeps_missing else value or ""
        if modifier == "/" and not is_empty_missing:
            return self._replaced(name)
        if not modifier:
            raise ExpansionError("there is no } that closes ${")
        if modifier not in "+-?#%":
            raise ExpansionError(f"${{{name}{spelled}…}} is no substitution")
        word, _ = self.until("}", keeps_escapes=modifier in "#%")
        value = self._value(name)
        if value is None and self._quoting.keeps_missing:
            return f"${{{name}{spelled}{word}}}"
        if modifier in "#%":
            return _trimmed(value or "", word, modifier)
        is_missing = value is None or (is_empty_missing and not value)
        if modifier == "?" and is_missing:
            message = word or ("is not set" if value is None else "is empty")
            raise ExpansionError(f"{name}: {message}", is_missing=True)
        if modifier == "+":
            return "" if is_missing else word
        return word if is_missing else value or ""

    def _replaced(self, name: str) -> str:
        everywhere = self._peek() == "/"
        self._index += everywhere
        pattern, _ = self.until("/", keeps_escapes=True)
        replacement, _ = self.until("}", keeps_escapes=True)
        value = self._value(name)
        if value is None and self._quoting.keeps_missing:
            return f"${{{name}/{pattern}/{replacement}}}"
        with _explained(pattern):
            return globs.glob(pattern).replaced(value or "", replacement, everywhere=everywhere)

    def _name(self) -> str:
        """Read a variable's name: letters, digits and underscores; digits alone, or one special character."""
        begin = self._index
        first = self._peek()
        if first.isdecimal():
            while self._peek().isdecimal():
                self._index += 1
        elif first and first in _SPECIAL:
            self._index += 1
        else:
            while (character := self._peek()) and (character.isalpha() or character.isdecimal() or character == "_"):
                self._index += 1
        return self._text[begin : self._index]

    def _value(self, name: str) -> str | None:
        value = self._variables.get(name)
        (self.missing if value is None else self.used).add(name)
        return value


@contextlib.contextmanager
def _explained(pattern: str) -> Iterator[None]:
    """Say of a pattern what is wrong in it."""
    try:
        yield
    except globs.BadPattern as error:
        raise ExpansionError(f"{error}: {pattern}") from None
    except globs.TooMuch:
        raise ExpansionError("a substitution takes too long: shorten its pattern or its value") from None


def _trimmed(value: str, word: str, modifier: str) -> str:
    """Return a value without what matches a pattern; a doubled modifier takes the longest match."""
    longest = word.startswith(modifier)
    pattern = word[longest:]
    with _explained(pattern):
        matcher = globs.glob(pattern)
        trim = matcher.without_prefix if modifier == "#" else matcher.without_suffix
        return trim(value, longest=longest)
