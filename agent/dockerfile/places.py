"""Text that knows where each of its characters stands in a file, also after its lines were joined."""

import bisect
import re
from collections.abc import Iterable, Iterator

from agent.dockerfile import mistake
from agent.kit import frozen

Piece = tuple[int, int, int]
"""From which index on, line and column: characters of a line that follow one another."""


@frozen.value
class Text:
    """A part of a file. Its text may have been continued over several lines."""

    text: str
    pieces: tuple[Piece, ...]
    """In their order; the first is that of index 0."""

    def position(self, index: int = 0) -> mistake.Position:
        """Return line and column of a character, and of the end where there is none."""
        begin, line, column = self.pieces[bisect.bisect(self.pieces, index, key=_index) - 1]
        return line, column + index - begin

    def part(self, begin: int, end: int | None = None) -> "Text":
        """Return the characters from ``begin`` to before ``end``."""
        first = bisect.bisect(self.pieces, begin, key=_index)
        last = len(self.pieces) if end is None else bisect.bisect(self.pieces, end, first, key=_index)
        line, column = self.position(begin)
        inner = ((index - begin, line, column) for index, line, column in self.pieces[first:last])
        return Text(self.text[begin:end], ((0, line, column), *inner))

    def stripped(self, characters: str | None = None) -> "Text":
        """Return the text without space (or these characters) at its ends."""
        begin = len(self.text) - len(self.text.lstrip(characters))
        return self.part(begin, begin + len(self.text.strip(characters)))

    def split(self, separator: re.Pattern[str], most: int = 0) -> Iterator["Text"]:
        """Yield what stands between separators, of which at most so many are looked for where it is not 0."""
        begin = 0
        for number, match in enumerate(separator.finditer(self.text)):
            if most and number == most:
                break
            yield self.part(begin, match.start())
            begin = match.end()
        yield self.part(begin)

    def mistake(self, message: str, hint: str = "", index: int = 0) -> mistake.Mistake:
        """Return a mistake at a character."""
        return mistake.Mistake(self.position(index), message, hint)


def joined(parts: Iterable[Text]) -> Text:
    """Return texts one behind the other."""
    texts: list[str] = []
    pieces: list[Piece] = []
    length = 0
    for part in parts:
        pieces += ((index + length, line, column) for index, line, column in part.pieces)
        texts.append(part.text)
        length += len(part.text)
    return Text("".join(texts), tuple(pieces))


def _index(piece: Piece) -> int:
    return piece[0]
