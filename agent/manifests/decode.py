"""Bytes to documents whose every value knows its line and column.

YAML is read by the 1.2 core rules, so that ``8080:80`` and ``no`` are the texts that people meant. Nothing of a
document is executed, and nothing grows: aliases are counted each time they are used. JSON is read as JSON.
"""

import dataclasses
import itertools
import re
from collections.abc import Iterator
from typing import Protocol, cast

import yaml

from agent.kit import frozen
from agent.manifests import json_documents, problem

LARGEST = 8 * 1024 * 1024
"""Bytes of a manifest file."""
MOST_VALUES = 1_000_000
"""Values of a file with every alias expanded: two hundred thousand containers, and no bomb."""
_DEEPEST = 64
_TAG = "tag:yaml.org,2002:"
_TAGS = frozenset({_TAG + name for name in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "value")})
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,18})|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,16}")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_MARKS = re.compile(r"((?:^|\n)(?:(?:---|\.\.\.)[ \t]*\r?\n(?:[ \t]*(?:#[^\n]*)?\r?\n)*)?)\ufeff(?=\S)")
"""Byte order marks before a document: files that were put one behind the other have them there."""
_NOT_PRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BRACKETS = re.compile(r"[\[\]{}]")
_DEEP_BLOCK = re.compile(rf"^[ ?:-]{{{_DEEPEST},}}", re.MULTILINE)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]
Position = tuple[int, int]


class WrittenInteger(int):
    """A whole number that Python would print differently (``0x1F``), with its text in the file."""

    scalar_text: str

    def __str__(self) -> str:
        """Return the number's text in the file."""
        return self.scalar_text

    __repr__ = __str__


class WrittenNumber(float):
    """A number that Python would print differently (``1.10``, ``1e3``), with its text in the file."""

    scalar_text: str

    def __str__(self) -> str:
        """Return the number's text in the file."""
        return self.scalar_text

    __repr__ = __str__


@frozen.value
class Document:
    """One YAML document of a file. What it says can be let go, and is read again when somebody asks for it."""

    path: str
    _file: "_File" = dataclasses.field(repr=False)
    _number: int
    """From 0, in the order of the file."""

    @property
    def value(self) -> Value:
        """Return what the document says."""
        return self._content.value

    def let_go(self) -> None:
        """Keep no more than the bytes of its file: few positions are ever shown."""
        self._file.contents = None

    def position(self, *keys: str | int) -> Position:
        """Return line and column of a value by its keys; of the nearest enclosing value where it is absent."""
        node = self._content.node
        for key in keys:
            inner = self._child(node, key)
            if inner is not None:
                node = inner
        return _position(node)

    def key_position(self, *keys: str | int) -> Position:
        """Return line and column of the key that leads to a value."""
        node = self._content.node
        for key in keys[:-1]:
            node = self._child(node, key) or node
        if isinstance(node, yaml.MappingNode) and (member := self._of(node).get(str(keys[-1]))) is not None:
            return _position(member[0])
        return _position(node)

    def problem(self, message: str, hint: str = "", *keys: str | int) -> problem.Problem:
        """Return a problem at a value's position."""
        return problem.Problem(self.path, *self.position(*keys), message, hint)

    @property
    def _content(self) -> "_Content":
        return self._file.content(self._number)

    def _of(self, node: yaml.MappingNode) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        members = self._content.members.get(id(node))
        if members is None:
            members = {str(key.value): (key, value) for key, value in node.value}
            self._content.members[id(node)] = members
        return members

    def _child(self, node: yaml.Node, key: str | int) -> yaml.Node | None:
        if isinstance(node, yaml.MappingNode):
            member = self._of(node).get(str(key))
            return None if member is None else member[1]
        if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            item: yaml.Node = node.value[key]
            return item
        return None


@frozen.value
class _Content:
    """What a document says, and where: a hundred objects for each container."""

    value: Value
    node: yaml.Node
    members: dict[int, dict[str, tuple[yaml.Node, yaml.Node]]] = dataclasses.field(default_factory=dict)
    """(key, value) of mappings that were asked for, by the node's identity: some have a hundred thousand."""


@dataclasses.dataclass(slots=True, eq=False)
class _File:
    """A sound file, with what its documents say while that is kept."""

    path: str
    data: bytes
    contents: list[_Content] | None

    def content(self, number: int) -> _Content:
        if self.contents is None:
            self.contents = _read(self.path, self.data)
        return self.contents[number]


def decode(path: str, data: bytes) -> tuple[list[Document], list[problem.Problem]]:
    """Read all documents of a file. Whatever the bytes are, it ends soon and raises nothing."""
    try:
        file = _File(path, data, _read(path, data))
    except problem.Mistake as mistake:
        return [], [mistake.at(path)]
    except yaml.MarkedYAMLError as error:
        return [], [_syntax(path, _text(data), error)]
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return [], [problem.Problem(path, 1, 1, f"this is not YAML: {str(error).splitlines()[0]}", "see yaml.org")]
    return [Document(path, file, number) for number in range(len(file.contents or ()))], []


def _read(path: str, data: bytes) -> list[_Content]:
    """Read a file's documents, in the order of the file. Raises ``problem.Mistake`` and what yaml raises."""
    split = json_documents.split(_text(data), json_documents.Limits(MOST_VALUES, _DEEPEST))
    try:
        return sorted(_contents(split), key=lambda content: _position(content.node))
    except (problem.Mistake, yaml.MarkedYAMLError):
        if split.syntax is not None and path.endswith(".json"):
            raise split.syntax from None
        raise


def _contents(split: json_documents.Split) -> Iterator[_Content]:
    _refuse_control_characters(split.yaml_text)
    _refuse_depth(split.yaml_text)
    budget = _Budget(MOST_VALUES)
    for node in split.nodes:
        yield _Content(_value(node, budget, 0), node)
    for node in yaml.compose_all(split.yaml_text, Loader=_LOADER):
        value = _value(node, budget, 0)
        if value is not None:
            yield _Content(value, node)


@dataclasses.dataclass(slots=True)
class _Budget:
    """The number of values that a file may still have."""

    remaining: int

    def spend(self, node: yaml.Node, depth: int) -> None:
        self.remaining -= 1
        if self.remaining < 0:
            raise problem.too_many_values(_position(node))
        if depth > _DEEPEST:
            raise problem.too_deep(_position(node), _DEEPEST)


def _text(data: bytes) -> str:
    if len(data) > LARGEST:
        raise problem.Mistake((1, 1), f"the file is larger than {LARGEST >> 20} MiB", "split it")
    nul = data.find(b"\0")
    if nul >= 0:
        hint = "is it a binary file? only *.yaml, *.yml and *.json are read as manifests"
        raise problem.Mistake(_position_behind(data[:nul]), "the file has a NUL byte", hint)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        position = _position_behind(error.object[: error.start])
        raise problem.Mistake(position, "the file is not UTF-8", "save it as UTF-8") from None
    return _MARKS.sub(r"\1", text)


def _refuse_control_characters(text: str) -> None:
    """Refuse what YAML may not have anywhere, before its reader does in its own words."""
    match = _NOT_PRINTABLE.search(text)
    if match is not None:
        position = _position_behind(text[: match.start()].encode())
        message = f"the file has the control character {match[0]!a}"
        raise problem.Mistake(position, message, "is it a binary file? remove it otherwise")


def _may_be_deep(text: str) -> bool:
    """Return whether a text is worth scanning for its depth, by its brackets or its indentation."""
    steps = (1 if bracket[0] in {"[", "{"} else -1 for bracket in _BRACKETS.finditer(text))
    return max(itertools.accumulate(steps, initial=0)) > _DEEPEST or _DEEP_BLOCK.search(text) is not None


def _refuse_depth(text: str) -> None:
    """Refuse nesting that would overflow the C stack of the composer, which is recursive; the scanner is not."""
    if not _may_be_deep(text):
        return
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > _DEEPEST:
                raise problem.too_deep(_mark_position(event.start_mark), _DEEPEST)
    except yaml.MarkedYAMLError as error:
        if "nesting" in str(error.problem):  # libyaml has a limit of its own, and looks far ahead
            raise problem.too_deep(_mark_position(error.problem_mark), _DEEPEST) from None
        # any other mistake is met again, at the same depth, when the text is composed


def _value(node: yaml.Node, budget: _Budget, depth: int) -> Value:
    budget.spend(node, depth)
    if node.tag not in _TAGS:
        if node.tag == _TAG + "merge":
            raise problem.Mistake(_position(node), "merge keys (<<) are not supported", "write the fields out")
        hint = "quote it where it is meant as a text, as a password may be; leave it out otherwise"
        raise problem.Mistake(_position(node), "what begins with ! is a tag, and none is supported", hint)
    if isinstance(node, yaml.MappingNode):
        return dict(_members(node, budget, depth))
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, budget, depth + 1) for item in node.value]
    return _scalar(node)


def _members(node: yaml.MappingNode, budget: _Budget, depth: int) -> Iterator[tuple[str, Value]]:
    positions: dict[str, Position] = {}
    for key, value in node.value:
        if key.tag == _TAG + "merge":
            raise problem.Mistake(_position(key), "merge keys (<<) are not supported", "write the fields out")
        if not isinstance(key, yaml.ScalarNode):
            raise problem.Mistake(_position(key), "a key must be a text", "quote it where it is meant as one")
        if key.value in positions:
            first = positions[key.value][0]
            raise problem.Mistake(
                _position(key),
                f"{problem.shortened(key.value)!r} is set twice",
                f"it is set in line {first} already: remove one",
            )
        positions[key.value] = _position(key)
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
    value = int(text, 0)
    if str(value) == text:
        return value
    number = WrittenInteger(value)
    number.scalar_text = text
    return number


def _number(text: str) -> float:
    value = float(text)
    if str(value) == text:
        return value
    number = WrittenNumber(value)
    number.scalar_text = text
    return number


def _position(node: yaml.Node) -> Position:
    return _mark_position(node.start_mark)


class _Mark(Protocol):
    """A position as both of yaml's parsers report it, counted from 0."""

    index: int
    line: int
    column: int


def _certain(mark: _Mark | None) -> _Mark:
    """Return a mark: nodes, events and errors of the parsers have one, which yaml's types leave open."""
    return cast("_Mark", mark)


def _mark_position(mark: _Mark | None) -> Position:
    return _certain(mark).line + 1, _certain(mark).column + 1


def _position_behind(data: bytes) -> Position:
    """Return where the character stands that comes next: columns count characters, as those of nodes do."""
    *lines, line = data.decode("utf-8-sig", "replace").split("\n")
    return len(lines) + 1, len(line) + 1


def _syntax(path: str, text: str, error: yaml.MarkedYAMLError) -> problem.Problem:
    mark = _certain(error.problem_mark)
    message = " ".join(filter(None, (error.context, error.problem)))
    if "undefined alias" in message:  # whose name may be half of a password
        hint = "what begins with * is an alias: quote it where it is meant as a text"
        return problem.Problem(path, *_mark_position(mark), "this is not YAML: found undefined alias", hint)
    line, column = _mark_position(mark)
    is_tab = text[mark.index : mark.index + 1] == "\t"
    hint = (
        "indent with spaces, not tabs" if is_tab else "check indentation, colons and quotes here and in the line above"
    )
    return problem.Problem(path, line, column, f"this is not YAML: {message}", hint)
