"""Bytes to documents whose every value knows its line and column.

YAML is read by the 1.2 core rules, so that ``8080:80`` and ``no`` are the texts that people meant. Nothing of a
document is executed, and nothing grows: aliases are counted each time they are used. JSON is YAML.
"""

import dataclasses
import re
from collections.abc import Iterator
from typing import Protocol

import yaml

from agent.manifests import problem

LARGEST = 8 * 1024 * 1024
"""Bytes of a manifest file."""
_MOST_VALUES = 1_000_000
"""Values of a file with every alias expanded: two hundred thousand containers, and no bomb."""
_DEEPEST = 64
_TAG = "tag:yaml.org,2002:"
_TAGS = frozenset({_TAG + name for name in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "value")})
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,18})|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,16}")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_BRACKETS = re.compile(r"[\[\]{}]")
_DEEP_BLOCK = re.compile(rf"^[ ?:-]{{{_DEEPEST},}}", re.MULTILINE)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]
Place = tuple[int, int]


class WrittenInteger(int):
    """A whole number that Python would write in another way (``0x1F``), known as it was written."""

    written: str

    def __str__(self) -> str:
        """Give the text of the file."""
        return self.written

    __repr__ = __str__


class WrittenNumber(float):
    """A number that Python would write in another way (``1.10``, ``1e3``): likewise."""

    written: str

    def __str__(self) -> str:
        """Give the text of the file."""
        return self.written

    __repr__ = __str__


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """One YAML document."""

    path: str
    value: Value
    node: yaml.Node

    def place(self, *keys: str | int) -> Place:
        """Give line and column of a value by its keys; of the nearest thing around it where it is not there."""
        node = self.node
        for key in keys:
            inner = _child(node, key)
            if inner is not None:
                node = inner
        return _place(node)

    def key_place(self, *keys: str | int) -> Place:
        """Give line and column of the key that leads to a value."""
        node = self.node
        for key in keys[:-1]:
            node = _child(node, key) or node
        if isinstance(node, yaml.MappingNode):
            for name, _ in node.value:
                if name.value == keys[-1]:
                    return _place(name)
        return _place(node)

    def problem(self, message: str, hint: str = "", *keys: str | int) -> problem.Problem:
        """Say what is wrong at a value."""
        return problem.Problem(self.path, *self.place(*keys), message, hint)


class _Bad(Exception):
    """A mistake at a place."""

    def __init__(self, place: Place, message: str, hint: str) -> None:
        super().__init__(message)
        self.place, self.message, self.hint = place, message, hint


def decode(path: str, data: bytes) -> tuple[list[Document], list[problem.Problem]]:
    """Read all documents of a file. Whatever the bytes are, it ends soon and raises nothing."""
    text, found = _text(path, data)
    if found is not None:
        return [], [found]
    documents: list[Document] = []
    try:
        _refuse_depth(text)
        budget = _Budget()
        for node in yaml.compose_all(text, Loader=_LOADER):
            value = _value(node, budget, 0)
            if value is not None:
                documents.append(Document(path, value, node))
    except _Bad as bad:
        return [], [problem.Problem(path, *bad.place, bad.message, bad.hint)]
    except yaml.MarkedYAMLError as error:
        return [], [_syntax(path, error)]
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return [], [problem.Problem(path, 1, 1, f"this is not YAML: {str(error).splitlines()[0]}", "see yaml.org")]
    return documents, []


@dataclasses.dataclass(slots=True)
class _Budget:
    """How many values may still come."""

    left: int = _MOST_VALUES

    def spend(self, node: yaml.Node, depth: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise _Bad(_place(node), "aliases make this file too large", "write it out, or split it")
        if depth > _DEEPEST:
            raise _too_deep(_place(node))


def _text(path: str, data: bytes) -> tuple[str, problem.Problem | None]:
    if len(data) > LARGEST:
        return "", problem.Problem(path, 1, 1, f"the file is larger than {LARGEST >> 20} MiB", "split it")
    nul = data.find(b"\0")
    if nul >= 0:
        line, column = _place_of(data, nul)
        hint = "is it a binary file? only *.yaml, *.yml and *.json are read as manifests"
        return "", problem.Problem(path, line, column, "the file has a NUL byte", hint)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _place_of(data, error.start)
        return "", problem.Problem(path, line, column, "the file is not UTF-8", "save it as UTF-8")
    for match in re.finditer(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text):
        line, column = _place_of(text.encode(), len(text[: match.start()].encode()))
        message = f"the file has the control character {match[0]!a}"
        return "", problem.Problem(path, line, column, message, "is it a binary file? remove it otherwise")
    return text, None


def _refuse_depth(text: str) -> None:
    """Refuse nesting that would overflow the C stack of the composer, which is recursive; the scanner is not.

    Only a file that could be deep, by its brackets or its indentation, is scanned for it.
    """
    depth = deepest = 0
    for bracket in _BRACKETS.finditer(text):
        depth += 1 if bracket[0] in "[{" else -1
        deepest = max(deepest, depth)
    if deepest <= _DEEPEST and not _DEEP_BLOCK.search(text):
        return
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > _DEEPEST:
                raise _too_deep(_marked(event.start_mark))
    except yaml.MarkedYAMLError as error:
        if "nesting" in str(error.problem):  # libyaml has a limit of its own, and looks far ahead
            raise _too_deep(_marked(error.problem_mark)) from None
        raise


def _too_deep(place: Place) -> _Bad:
    return _Bad(place, f"values are nested deeper than {_DEEPEST}", "no manifest needs that")


def _value(node: yaml.Node | None, budget: _Budget, depth: int) -> Value:
    if node is None:
        return None
    budget.spend(node, depth)
    if node.tag not in _TAGS:
        if node.tag == _TAG + "merge":
            raise _Bad(_place(node), "merge keys (<<) are not supported", "write the fields out")
        hint = "quote it where it is meant as a text, as a password may be; leave it out otherwise"
        raise _Bad(_place(node), "what begins with ! is a tag, and none is supported", hint)
    if isinstance(node, yaml.MappingNode):
        return dict(_members(node, budget, depth))
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, budget, depth + 1) for item in node.value]
    return _scalar(node)


def _members(node: yaml.MappingNode, budget: _Budget, depth: int) -> Iterator[tuple[str, Value]]:
    seen: dict[str, Place] = {}
    for key, value in node.value:
        if key.tag == _TAG + "merge":
            raise _Bad(_place(key), "merge keys (<<) are not supported", "write the fields out")
        if not isinstance(key, yaml.ScalarNode):
            raise _Bad(_place(key), "a key must be a text", "quote it where it is meant as one")
        if key.value in seen:
            first = seen[key.value][0]
            raise _Bad(_place(key), f"{key.value!r} is set twice", f"it is set in line {first} already: remove one")
        seen[key.value] = _place(key)
        yield key.value, _value(value, budget, depth + 1)


def _scalar(node: yaml.Node) -> Value:
    text = str(node.value)
    if getattr(node, "style", None) in {"'", '"', "|", ">"}:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _NUMBER.fullmatch(text):
        return _number(text)
    return text


def _integer(text: str) -> int:
    value = int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
    if str(value) == text:
        return value
    kept = WrittenInteger(value)
    kept.written = text
    return kept


def _number(text: str) -> float:
    value = float(text)
    if str(value) == text:
        return value
    kept = WrittenNumber(value)
    kept.written = text
    return kept


def _child(node: yaml.Node, key: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for name, value in node.value if name.value == key), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        item: yaml.Node = node.value[key]
        return item
    return None


def _place(node: yaml.Node) -> Place:
    return _marked(node.start_mark)


class _Mark(Protocol):
    """A place as both of yaml's parsers tell it, counted from 0."""

    line: int
    column: int


def _marked(mark: _Mark | None) -> Place:
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _place_of(data: bytes, offset: int) -> Place:
    before = data[:offset]
    return before.count(b"\n") + 1, offset - (before.rfind(b"\n") + 1) + 1


def _syntax(path: str, error: yaml.MarkedYAMLError) -> problem.Problem:
    mark = error.problem_mark or error.context_mark
    message = " ".join(filter(None, (error.context, error.problem)))
    if "undefined alias" in message:  # whose name may be half of a password
        hint = "what begins with * is an alias: quote it where it is meant as a text"
        return problem.Problem(path, *_marked(mark), "this is not YAML: found undefined alias", hint)
    tab = "\\t" in message
    hint = "indent with spaces, not tabs" if tab else "check indentation, colons and quotes here and in the line above"
    line, column = _marked(mark)
    return problem.Problem(path, line, column, f"this is not YAML: {message}", hint)
