"""JSON documents of a manifest file, read as JSON reads them, with the place of each value.

YAML 1.1 refuses what JSON may have in a text: pairs of surrogates, U+007F, non-characters. JSON is therefore
read here, into nodes as YAML's composer makes them.
"""

import bisect
import json
import re
from collections.abc import Iterator
from typing import cast

import yaml

from agent.kit import frozen
from agent.manifests import problem

_SEPARATORS = re.compile(r"(?:\A|(?<=[\n\r]))(?:---|\.\.\.)(?=[ \t\r\n]|\Z)")
"""What ends a YAML document, whatever it is in; in JSON no text goes over a line's end."""
_HEAD = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*+(?=[\[{])")
_SPACE = re.compile(r"[ \t\r\n]*+")
_TEXT = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"')
_WORD = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?|true|false|null")
_LINE_ENDS = re.compile(r"\r\n|[\r\n]")
_NOT_LINE_ENDS = re.compile(r"[^\r\n]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPES = re.compile(r"\\(?:ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|u(d[89a-f][0-9a-f]{2})|.)", re.IGNORECASE)
"""Escapes one after the other, whole pairs as one; the group is half of one that stands alone."""
_TAG = "tag:yaml.org,2002:"


@frozen.value
class Limits:
    """How much a document may hold."""

    values: int
    depth: int


@frozen.value
class Split:
    """A file's documents that are JSON, and the others."""

    nodes: tuple[yaml.Node, ...]
    yaml_text: str
    """The file with the line ends alone of the JSON, so that positions stay; empty where nothing else is in it."""
    syntax: problem.Mistake | None
    """Why the first document that begins as JSON does is none; it may be YAML."""


def split(text: str, limits: Limits) -> Split:
    """Take the JSON documents out of a file. Raises ``problem.Mistake`` where one is JSON, and wrong."""
    reader = _Reader(text, limits)
    nodes: list[yaml.Node] = []
    parts: list[str] = []
    syntax: problem.Mistake | None = None
    end = 0
    for begin, stop in _chunks(text):
        if (head := _HEAD.match(text, begin, stop)) is None:
            continue
        try:
            node = reader.document(head.end(), stop)
        except _SyntaxError as error:
            syntax = syntax or problem.Mistake(reader.position(error.index), f"this is not JSON: {error}", _HINT)
            continue
        nodes.append(node)
        parts += text[end : head.end()], _NOT_LINE_ENDS.sub("", text[head.end() : stop])
        end = stop
    remaining = "".join((*parts, text[end:]))
    return Split(tuple(nodes), "" if remaining.isspace() else remaining, syntax)


_HINT = "check commas, colons, quotes and brackets here and in the line above"


def _chunks(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each document begins and ends, without the lines between them."""
    begin = 0
    for separator in _SEPARATORS.finditer(text):
        yield begin, separator.start()
        begin = separator.end()
    yield begin, len(text)


class _SyntaxError(Exception):
    """This is no JSON, from some character on."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


class _Mark:
    """A character's place as YAML's nodes have it, counted from 0, and only when somebody asks: few are shown."""

    __slots__ = ("_index", "_reader")

    def __init__(self, reader: "_Reader", index: int) -> None:
        self._reader, self._index = reader, index

    @property
    def line(self) -> int:
        """Return the line."""
        return self._reader.position(self._index)[0] - 1

    @property
    def column(self) -> int:
        """Return the column."""
        return self._reader.position(self._index)[1] - 1


class _Reader:
    """Reads documents of one text."""

    _stop: int
    """Where the document ends that is being read; a separator of documents is there, or nothing."""

    def __init__(self, text: str, limits: Limits) -> None:
        """Find the text's lines."""
        self._text = text
        self._limits = limits
        self._remaining = limits.values
        self._lines = [0, *(match.end() for match in _LINE_ENDS.finditer(text))]

    def document(self, begin: int, stop: int) -> yaml.Node:
        """Return the value that a part of the text is. Raises ``_SyntaxError`` and ``problem.Mistake``."""
        self._stop = stop
        node, end = self._value(begin, 0)
        end = self._skip(end)
        if end != stop:
            raise _SyntaxError(end, "there is something behind its end")
        return node

    def position(self, index: int) -> tuple[int, int]:
        """Return line and column of a character, from 1."""
        line = bisect.bisect_right(self._lines, index) - 1
        return line + 1, index - self._lines[line] + 1

    def _value(self, index: int, depth: int) -> tuple[yaml.Node, int]:
        self._remaining -= 1
        if self._remaining < 0:
            raise problem.too_many_values(self.position(index))
        if depth > self._limits.depth:
            raise problem.too_deep(self.position(index), self._limits.depth)
        match self._text[index : index + 1]:
            case "{":
                return self._mapping(index, depth)
            case "[":
                return self._sequence(index, depth)
            case '"':
                return self._string(index)
            case _:
                return self._word(index)

    def _word(self, index: int) -> tuple[yaml.Node, int]:
        word = _WORD.match(self._text, index, self._stop)
        if word is None:
            raise _SyntaxError(index, "a value is expected here")
        return yaml.ScalarNode(f"{_TAG}str", word[0], self._mark(index), None), word.end()

    def _mapping(self, index: int, depth: int) -> tuple[yaml.Node, int]:
        members: list[tuple[yaml.Node, yaml.Node]] = []
        begin = index
        index = self._skip(index + 1)
        while not self._is_end(index, "}", is_first=not members):
            index = self._skip(index + bool(members))
            key, index = self._string(index)
            index = self._skip(index)
            self._expect(index, ":")
            value, index = self._value(self._skip(index + 1), depth + 1)
            members.append((key, value))
            index = self._skip(index)
        return yaml.MappingNode(f"{_TAG}map", members, self._mark(begin)), index + 1

    def _sequence(self, index: int, depth: int) -> tuple[yaml.Node, int]:
        items: list[yaml.Node] = []
        begin = index
        index = self._skip(index + 1)
        while not self._is_end(index, "]", is_first=not items):
            item, index = self._value(self._skip(index + bool(items)), depth + 1)
            items.append(item)
            index = self._skip(index)
        return yaml.SequenceNode(f"{_TAG}seq", items, self._mark(begin)), index + 1

    def _string(self, index: int) -> tuple[yaml.Node, int]:
        match = _TEXT.match(self._text, index, self._stop)
        if match is None:
            raise _SyntaxError(index, "a text in double quotes is expected here, on one line and with sound escapes")
        raw = match[0]
        value = raw[1:-1]
        if "\\" in value:
            value = str(json.loads(raw))
            if _SURROGATE.search(value):
                raise self._half_a_character(index, raw)
        return yaml.ScalarNode(f"{_TAG}str", value, self._mark(index), None, style='"'), match.end()

    def _half_a_character(self, index: int, raw: str) -> problem.Mistake:
        half = next(escape for escape in _ESCAPES.finditer(raw) if escape[1])
        message = f"\\u{half[1]} is half of a character: the other half of the pair is missing"
        hint = "write both halves, as in \\ud83d\\ude00, or the character itself"
        return problem.Mistake(self.position(index + half.start()), message, hint)

    def _is_end(self, index: int, bracket: str, *, is_first: bool) -> bool:
        """Return whether a bracket closes here; where it does not, another member has to come."""
        character = self._text[index : index + 1]
        if character != bracket and not is_first and character != ",":
            raise _SyntaxError(index, f"a comma or {bracket} is expected here")
        return character == bracket

    def _expect(self, index: int, character: str) -> None:
        if self._text[index : index + 1] != character:
            raise _SyntaxError(index, f"{character} is expected here")

    def _skip(self, index: int) -> int:
        match = _SPACE.match(self._text, index, self._stop)
        return index if match is None else match.end()

    def _mark(self, index: int) -> yaml.Mark:
        return cast("yaml.Mark", _Mark(self, index))
