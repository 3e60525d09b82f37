"""Typed settings from a YAML file, the environment and flags, each over the one before; mistakes have a place.

A group is a frozen dataclass whose fields are ``Annotated[type, parser]``: the parser makes the value of a text, or
raises ``ValueError`` with what is wanted instead. A field without a parser is a group itself. ``source.quiet`` is
``source: {quiet: …}`` in the file and ``PREFIX_SOURCE_QUIET`` in the environment. A list is written as one in the file
and as JSON elsewhere.
"""

import dataclasses
import difflib
import json
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar, get_type_hints

from agent import errors
from agent.kit import frozen, writers

_MAXIMUM_SIZE = 1024 * 1024
_SHOWN = 100

Parser = Callable[[str], object]
T = TypeVar("T")


class BadSettings(errors.TrimtabError):
    """A setting that is unknown or cannot be what it is set to."""


@frozen.value
class SettingValue:
    """A value that somebody has set, and where."""

    text: str
    place: str
    is_list: bool = False
    """It is written as a list, and its text is JSON."""


@frozen.value
class ListOf(Generic[T]):
    """A parser of lists."""

    entry: Callable[[object, str], T]
    """Makes an entry's value; told where it stands."""

    def __call__(self, text: str) -> tuple[T, ...]:
        """Read a list as JSON."""
        try:
            entries = json.loads(text)
        except (ValueError, RecursionError):
            entries = None
        if not isinstance(entries, list):
            raise ValueError("write a list, in a variable as JSON")  # noqa: TRY004 - what parsers raise
        return tuple(self.entry(entry, f"[{index}]") for index, entry in enumerate(entries))


def build(group: type[T], values_by_name: Mapping[str, SettingValue], prefix: str = "") -> T:
    """Make a group of what was given, by dotted name, and its defaults. Raises ``BadSettings``."""
    values: dict[str, object] = {}
    for name, parse, inner in _fields(group):
        full = prefix + name
        if parse is None:
            values[name] = build(inner, values_by_name, f"{full}.")
        elif full in values_by_name:
            if values_by_name[full].is_list and not isinstance(parse, ListOf):
                raise BadSettings(f"{values_by_name[full].place}: it is one value, not a list")
            try:
                values[name] = parse(values_by_name[full].text)
            except ValueError as error:
                raise BadSettings(
                    f"{values_by_name[full].place}: {_shown(values_by_name[full].text)} will not do: {error}"
                ) from error
    try:
        return group(**values)
    except ValueError as error:  # what does not go together: one of them at least was given
        places = ", ".join(
            values_by_name[prefix + name].place for name, *_ in _fields(group) if prefix + name in values_by_name
        )
        raise BadSettings(f"{places}: {error}") from error


def names(group: type[object], prefix: str = "") -> tuple[str, ...]:
    """Return the dotted names of all fields."""
    return tuple(_leaves(group, prefix))


def listed(group: type[T]) -> ListOf[T]:
    """Return a parser of a list whose entries are groups; fields without a default must be there."""
    return ListOf(lambda entry, at: _entry(group, entry, at))


def each(parse: Callable[[str], T]) -> ListOf[T]:
    """Return a parser of a list of values."""

    def element(entry: object, at: str) -> T:
        if not isinstance(entry, str):
            raise ValueError(f"{at} must be a text")  # noqa: TRY004 - what parsers raise
        try:
            return parse(entry)
        except ValueError as error:
            raise ValueError(f"{at}: {error}") from error

    return ListOf(element)


def from_environment(
    environment: Mapping[str, str], prefix: str, known_names: tuple[str, ...]
) -> dict[str, SettingValue]:
    """Read the variables that begin with a prefix. Raises ``BadSettings`` for one that nobody knows."""
    variables = {prefix + name.replace(".", "_").upper(): name for name in known_names}
    values: dict[str, SettingValue] = {}
    for variable, text in environment.items():
        if not variable.startswith(prefix):
            continue
        if variable not in variables:
            raise BadSettings(
                f"{variable} is not a variable that trimtab knows", hint=_did_you_mean(variable, variables)
            )
        values[variables[variable]] = SettingValue(text, variable)
    return values


def from_file(
    path: pathlib.Path, known_names: tuple[str, ...], *, required: bool, help_text: str
) -> dict[str, SettingValue]:
    """Read a file. ``help_text`` tells where to read on. Raises ``BadSettings`` with path, line and column."""
    try:
        data = writers.read_whole(path, _MAXIMUM_SIZE + 1)  # half of it might name another root
    except FileNotFoundError as error:
        if not required:
            return {}
        raise BadSettings(f"the configuration {path} does not exist") from error
    except OSError as error:
        raise BadSettings(f"the configuration {path} cannot be read: {error.strerror}") from error
    if len(data) > _MAXIMUM_SIZE:
        raise BadSettings(f"the configuration {path} is too large", hint="at most 1 MiB")
    fields = {camel(name): name for name in known_names}
    values: dict[str, SettingValue] = {}
    for key, value in _values(path, data, help_text):
        if key not in fields:
            raise BadSettings(f"{value.place}: there is no setting {key!r}", hint=_did_you_mean(key, fields))
        if fields[key] in values:
            raise BadSettings(f"{value.place}: {key!r} is set twice", hint=f"first in {values[fields[key]].place}")
        values[fields[key]] = dataclasses.replace(value, place=f"{value.place}: {key}")
    return values


def _leaves(group: type[object], prefix: str) -> Iterator[str]:
    for name, parse, inner in _fields(group):
        if parse is None:
            yield from _leaves(inner, f"{prefix}{name}.")
        else:
            yield prefix + name


def _fields(group: type[object]) -> Iterator[tuple[str, Parser | None, type[object]]]:
    """Return (name, parser, type) of a group's fields; a field without a parser is a group itself."""
    for name, hint in get_type_hints(group, include_extras=True).items():
        metadata = getattr(hint, "__metadata__", (None,))
        yield name, metadata[0], hint


def _entry(group: type[T], entry: object, at: str) -> T:
    if not isinstance(entry, dict):
        raise ValueError(f"{at} must be 'name: value' pairs")  # noqa: TRY004 - what parsers raise
    parsers = {camel(name): (name, parse) for name, parse, _ in _fields(group) if parse is not None}
    values: dict[str, object] = {}
    for key, value in entry.items():
        if key not in parsers:
            raise ValueError(f"{at} has no {key!r} ({_did_you_mean(str(key), parsers)})")
        name, parse = parsers[key]
        try:
            values[name] = parse(value if isinstance(value, str) else json.dumps(value))
        except ValueError as error:
            raise ValueError(f"{at}.{key}: {error}") from error
    required = {field.name for field in dataclasses.fields(group) if field.default is dataclasses.MISSING}  # type: ignore[arg-type]
    for missing in sorted(required - values.keys()):
        raise ValueError(f"{at} needs {camel(missing)!r}")
    try:
        return group(**values)
    except ValueError as error:
        raise ValueError(f"{at}: {error}") from error


def _values(path: pathlib.Path, data: bytes, help_text: str) -> Iterator[tuple[str, SettingValue]]:
    """Return (dotted key, value) of every value of a YAML file; a list is one value."""
    import yaml  # noqa: PLC0415 - most calls have no configuration file, and every call pays for an import

    def walk(node: yaml.Node, prefix: str) -> Iterator[tuple[str, SettingValue]]:
        at = position(node)
        match node:
            case yaml.MappingNode():
                for key, value in node.value:
                    yield from walk(value, f"{prefix}.{key.value}" if prefix else str(key.value))
            case yaml.ScalarNode() if prefix:
                yield prefix, SettingValue(str(node.value), at)
            case yaml.SequenceNode() if prefix:
                yield prefix, SettingValue(json.dumps(_plain(node, position)), at, is_list=True)
            case _:
                raise BadSettings(f"{at}: settings are 'name: value' pairs", hint=help_text)

    def position(node: yaml.Node) -> str:
        return f"{path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"

    try:
        top = yaml.compose(data, Loader=yaml.SafeLoader)
        if top is not None:
            yield from walk(top, "")
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise BadSettings(f"{at}: this is not YAML: {getattr(error, 'problem', None) or error}") from error
    except RecursionError as error:
        raise BadSettings(f"{path}: it is nested too deeply, or in itself", hint=help_text) from error


def _plain(node: Any, position_of: Callable[[Any], str]) -> object:  # noqa: ANN401 - YAML's nodes, imported late
    """Return a node as lists, dicts and texts: what a value is, its parser knows."""
    if node.id == "sequence":
        return [_plain(item, position_of) for item in node.value]
    if node.id == "mapping":
        plain: dict[str, object] = {}
        for key, value in node.value:
            if key.value in plain:
                raise BadSettings(f"{position_of(key)}: {key.value!r} is set twice")
            plain[str(key.value)] = _plain(value, position_of)
        return plain
    return str(node.value)


def _shown(text: str) -> str:
    return repr(text) if len(text) <= _SHOWN else "what is written there"


def camel(name: str) -> str:
    """Return a field's name as files have it."""
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def _did_you_mean(word: str, names: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(names))}"
