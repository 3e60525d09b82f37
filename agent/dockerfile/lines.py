"""A Dockerfile's lines to its instructions: directives, continued lines, comments and here-documents."""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping

from agent.dockerfile import expand, limits, places
from agent.dockerfile.mistake import Mistake
from agent.kit import frozen

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*", re.DOTALL)
_DIRECTIVES = ("check", "escape", "syntax")
_LINE = re.compile(r"[^\n]*\n?")
_SPACE = re.compile(r"[\t\v\f\r ]+")
_HERE = re.compile(r"(\d*)<<(-?)([^<]+)", re.DOTALL)
_AS_SPELLED = expand.Quoting(keeps_quotes=True, keeps_escapes=True, keeps_missing=True)
_WITH_HERE_DOCUMENTS = {"ADD", "COPY", "RUN"}


@frozen.value
class HereDocument:
    """A text that an instruction holds, from the line behind it to one that is its name."""

    name: str
    content: str
    """With the end of its last line."""
    expands: bool
    """Whether variables in it are expanded: its name has no quotes."""
    strips_tabs: bool
    """Whether tabs at the beginning of its lines are left out: ``<<-``."""
    descriptor: str = ""
    """The file descriptor in front of ``<<``; empty: standard input."""


@frozen.value
class Instruction:
    """An instruction as it stands in the file."""

    keyword: places.Text
    """As it is spelled; its meaning has no case."""
    flags: tuple[places.Text, ...]
    """Words that begin with two dashes, without their quotes and escapes."""
    arguments: places.Text
    """What stands behind the flags."""
    source: str
    """The whole, with its lines joined."""
    documents: tuple[HereDocument, ...] = ()
    comments: tuple[str, ...] = ()
    """The lines of comment right in front of it."""
    last: int = 0
    """The number of its last line."""
    has_empty_continuation: bool = False

    @property
    def name(self) -> str:
        """Return the keyword in capitals."""
        return self.keyword.text.upper()

    def json(self) -> tuple[str, ...] | None:
        """Return the arguments as a JSON array of texts; ``None`` where they are none. Raises ``Mistake``."""
        return json_words(self.arguments)


@frozen.value
class Lines:
    """A file's directives and instructions."""

    directives: Mapping[str, str]
    instructions: tuple[Instruction, ...]
    mistakes: tuple[Mistake, ...]

    @property
    def escape(self) -> str:
        """Return the character that escapes, and continues lines."""
        return self.directives.get("escape", "\\")


def read(data: bytes) -> Lines:
    """Read a file's lines. Bytes that are no UTF-8 stay what they are; whatever they are, nothing is raised."""
    if len(data) > limits.LARGEST:
        hint = "files belong into the context: COPY them"
        return Lines({}, (), (Mistake((1, 1), f"the file is larger than {limits.LARGEST >> 20} MiB", hint),))
    text = data.decode("utf-8-sig", "surrogateescape")
    return _Reader(text).read()


def json_words(arguments: places.Text) -> tuple[str, ...] | None:
    """Return a text as a JSON array of texts; ``None`` where it is none. Raises ``Mistake`` for other values in it."""
    text = arguments.text.lstrip()
    if not text.startswith("["):
        return None
    try:
        values = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(value, str) for value in values):
        raise arguments.mistake("an array in JSON may hold texts only", "put double quotes around each word")
    return tuple(value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for value in values)


def _refuse(constant: str) -> object:
    raise ValueError(constant)


class _Reader:
    """Reads a file line by line."""

    def __init__(self, text: str) -> None:
        self._lines = [match[0] for match in _LINE.finditer(text) if match[0]]
        self._number = 0
        """Lines that are read."""
        self._directives: dict[str, str] = {}
        self._mistakes: list[Mistake] = []

    def read(self) -> Lines:
        """Return all of them."""
        try:
            self._read_directives()
            instructions = tuple(self._instructions())
        except Mistake as mistake:
            self._mistakes.append(mistake)
            instructions = ()
        if not instructions and not self._mistakes:
            self._mistakes.append(Mistake((max(self._number, 1), 1), "there is no instruction", "begin with FROM"))
        return Lines(self._directives, instructions, tuple(self._mistakes))

    def _read_directives(self) -> None:
        for number, line in enumerate(self._lines, 1):
            match = _DIRECTIVE.fullmatch(line.strip())
            if match is None or match[1].lower() not in _DIRECTIVES:
                return
            name, value = match[1].lower(), match[2]
            if name in self._directives:
                raise Mistake((number, 1), f"the directive {name} is set twice", "remove one")
            if name == "escape" and value not in {"\\", "`"}:
                raise Mistake((number, 1), f"{value!r} cannot be the escape character", "write ` or \\")
            self._directives[name] = value

    def _instructions(self) -> Iterator[Instruction]:
        escape = re.escape(self._directives.get("escape", "\\"))
        continued = re.compile(rf"(?<!{escape}){escape}[ \t]*\Z")
        comments: list[str] = []
        while (line := self._next()) is not None:
            text = line.part(len(line.text) - len(line.text.lstrip()))
            if text.text.startswith("#"):
                comments.append(text.text[1:].strip())
                continue
            if not text.text:
                comments.clear()
                continue
            whole, has_empty = self._whole(text, continued)
            if whole.text.strip():
                instruction = self._instruction(whole)
                yield dataclasses.replace(
                    instruction, comments=tuple(comments), last=self._number, has_empty_continuation=has_empty
                )
            comments.clear()

    def _next(self) -> places.Text | None:
        """Return the next line without its end; ``None`` at the file's end."""
        if self._number == len(self._lines):
            return None
        self._number += 1
        return places.Text(self._lines[self._number - 1].rstrip("\r\n"), ((0, self._number, 1),))

    def _whole(self, text: places.Text, continued: re.Pattern[str]) -> tuple[places.Text, bool]:
        """Return a line with those that it goes on in, and whether some of those were empty."""
        has_empty = False
        parts: list[places.Text] = []
        following: places.Text | None = text
        while following is not None:
            match = continued.search(following.text)
            parts.append(following if match is None else following.part(0, match.start()))
            if match is None:
                break
            while (following := self._next()) is not None:
                content = following.text.lstrip()
                has_empty = has_empty or not content
                if content and not content.startswith("#"):
                    break
        return places.joined(parts), has_empty

    def _instruction(self, text: places.Text) -> Instruction:
        instruction = _split(text)
        inner = _trigger(instruction)
        if inner.name not in _WITH_HERE_DOCUMENTS or "<<" not in text.text or _is_json(inner.arguments):
            return instruction
        headers = tuple(here_documents(text.text))
        documents = tuple(self._document(header, text) for header in headers)
        return dataclasses.replace(instruction, documents=documents)

    def _document(self, header: HereDocument, text: places.Text) -> HereDocument:
        lines: list[str] = []
        while self._number < len(self._lines):
            line = self._lines[self._number]
            self._number += 1
            end = line.rstrip("\r\n")
            if (end.lstrip("\t") if header.strips_tabs else end) == header.name:
                return dataclasses.replace(header, content="".join(lines))
            lines.append(line)
        index = text.text.find("<<")
        hint = f"end it with a line that is {header.name} alone"
        raise text.mistake(f"the here-document {header.name} has no end", hint, index)


def here_documents(text: str) -> Iterator[HereDocument]:
    """Yield the here-documents that a line announces, without their contents."""
    try:
        words = expand.expand(text, {}, _AS_SPELLED).words
    except expand.ExpansionError:
        return
    for word in words:
        document = here_document(word)
        if document is not None:
            yield document


def here_document(word: str) -> HereDocument | None:
    """Return the here-document that a word announces, without its content; ``None`` where it announces none."""
    match = _HERE.fullmatch(word)
    if match is None:
        return None
    descriptor, dash, spelled = match.groups()
    try:
        plain = expand.expand(spelled, {}, expand.Quoting(keeps_missing=True)).words
        raw = expand.expand(spelled, {}, _AS_SPELLED).words
    except expand.ExpansionError:
        return None
    if len(plain) != 1:
        return None
    return HereDocument(plain[0], "", expands=plain == raw, strips_tabs=bool(dash), descriptor=descriptor)


def triggered(instruction: Instruction) -> Instruction:
    """Return the instruction that an ONBUILD holds. Raises ``Mistake`` where it holds none."""
    if not instruction.arguments.text:
        raise instruction.keyword.mistake("ONBUILD needs an instruction", "write it behind ONBUILD")
    inner = _split(instruction.arguments)
    return dataclasses.replace(inner, documents=instruction.documents, last=instruction.last)


def _trigger(instruction: Instruction) -> Instruction:
    """Return an instruction, or that which an ONBUILD holds."""
    if instruction.name != "ONBUILD" or not instruction.arguments.text:
        return instruction
    return _split(instruction.arguments)


def _is_json(arguments: places.Text) -> bool:
    try:
        return json_words(arguments) is not None
    except Mistake:
        return True


def _split(text: places.Text) -> Instruction:
    """Split an instruction into keyword, flags and arguments."""
    keyword, *others = text.stripped().split(_SPACE, 1)
    arguments = others[0] if others else keyword.part(len(keyword.text))
    flags, end = _flags(arguments)
    return Instruction(keyword, flags, arguments.part(end).stripped(), text.text)


def _flags(arguments: places.Text) -> tuple[tuple[places.Text, ...], int]:
    """Return the flags at the beginning, without their quotes and escapes, and where they end."""
    flags: list[places.Text] = []
    text = arguments.text
    index = 0
    while True:
        while index < len(text) and text[index].isspace():
            index += 1
        if not text.startswith("--", index):
            return tuple(flags), index
        word, end = _flag(text, index)
        if word == "--":
            return tuple(flags), end
        flags.append(places.Text(word, arguments.part(index, end).pieces))
        index = end


def _flag(text: str, index: int) -> tuple[str, int]:
    """Return the word that begins at an index, without its quotes and escapes, and where it ends."""
    word: list[str] = []
    quote = ""
    while index < len(text) and (quote or not text[index].isspace()):
        character = text[index]
        if character == "\\":
            index += 1
            word.append(text[index : index + 1])
        elif not quote and character in "'\"":
            quote = character
        elif character == quote:
            quote = ""
        else:
            word.append(character)
        index += 1
    return "".join(word), min(index, len(text))
