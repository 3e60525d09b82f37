"""One byte string for one value: canonical JSON of frozen dataclasses, hashes over it, and the way back.

A field that a later release adds says by ``absent`` what its absence means in state of before. A field with its absent
value is left out: the JSON and the hash of a value stay what they were before the field existed.

A dataclass that is kept in another shape than it is written in says so by ``WRITTEN_AS``, the dataclass with the fields
that are written, ``stored()``, which returns one of those, and the class method ``read()``, which makes it from one.
"""

import contextlib
import dataclasses
import enum
import functools
import hashlib
import ipaddress
import json
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_TEXTUAL = (ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network)
"""Types whose values are written as text."""
_ABSENT = "trimtab.absent"
_RETIRED = "RETIRED_FIELDS"
"""Class variable of a dataclass: names of fields that earlier releases wrote, and that say nothing any more."""


class Unreadable(ValueError):
    """JSON that is no value of the dataclass that it is read as. Its text begins with the place in there."""

    def __init__(self, what: str) -> None:
        """``what`` is wrong; ``below`` adds where."""
        super().__init__(what)
        self._what = what
        self._steps: list[str] = []

    def below(self, step: str) -> None:
        """Add one step of the place, from the innermost outwards: ``Kind``, ``.field``, ``[index]``, ``subject: ``."""
        self._steps.append(step)

    def __str__(self) -> str:
        path = "".join(reversed(self._steps)).removesuffix(": ")
        return f"{path}: {self._what}" if path else self._what


class Unknown(Unreadable):
    """A field, or a choice of a field, that this release does not know: a newer one has written it."""


def absent(value: object) -> Mapping[str, object]:
    """Return the ``metadata`` of a dataclass' field that was added later: what its absence means."""
    return types.MappingProxyType({_ABSENT: value})


def is_declared(field: dataclasses.Field[Any]) -> bool:
    """Return whether a field says what its absence means."""
    return _ABSENT in field.metadata


def plain(value: object) -> Any:  # noqa: ANN401 - JSON's own shape
    """Return what ``json`` knows for dataclasses, enums, tuples and mappings. Raises ``TypeError`` for others."""
    kind = type(value)
    if kind is str or kind is int or kind is float or kind is bool or value is None:
        return value
    return _plainer(kind)(value)  # type: ignore[arg-type]  # types are hashable


@functools.cache
def _plainer(kind: type) -> Callable[[Any], Any]:
    """Return what makes values of a type plain: found out once a type, as thousands of values are of few types."""
    if issubclass(kind, enum.Enum):
        return lambda value: value.value
    if issubclass(kind, str | int | float):
        return lambda value: value
    if issubclass(kind, _TEXTUAL):
        return str
    if issubclass(kind, Mapping):
        return lambda value: {str(key): plain(item) for key, item in value.items()}
    if issubclass(kind, tuple | list):
        return lambda value: [plain(item) for item in value]
    if issubclass(kind, frozenset | set):
        return lambda value: sorted(plain(item) for item in value)
    if dataclasses.is_dataclass(kind):
        fields = _fields(kind)
        return lambda value: {name: plain(item) for name, item in fields(value).items()}
    message = f"no canonical form for {kind.__name__}"
    raise TypeError(message)


@functools.cache
def _fields(kind: Any) -> Callable[[Any], dict[str, Any]]:  # noqa: ANN401 - a dataclass
    """Return what gives the fields of a dataclass' value that are written: all but those with their absent value."""
    if hasattr(kind, "WRITTEN_AS"):
        fields = _fields(kind.WRITTEN_AS)
        return lambda value: fields(value.stored())
    names = tuple(field.name for field in dataclasses.fields(kind))
    omitted = {field.name: field.metadata[_ABSENT] for field in dataclasses.fields(kind) if is_declared(field)}

    def every(value: object) -> dict[str, Any]:
        return {name: getattr(value, name) for name in names}

    def present(value: object) -> dict[str, Any]:
        return {name: item for name, item in every(value).items() if name not in omitted or item != omitted[name]}

    return present if omitted else every


def _shallow(value: object) -> object:
    """Return what ``json`` knows for what it does not know: it comes back with what is in there."""
    kind = type(value)
    return _fields(kind)(value) if dataclasses.is_dataclass(kind) else plain(value)


_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False, default=_shallow
)
"""Python code runs for dataclasses only; tuples, mappings and texts are C's."""


def dumps(value: object) -> bytes:
    """Return the canonical JSON: sorted keys, no white space, UTF-8. Raises like ``plain``."""
    return _ENCODER.encode(value).encode()


def digest(value: object) -> str:
    """Return the SHA-256 of the canonical JSON, as 64 hexadecimal digits. A field with its absent value is no part."""
    return hashlib.sha256(dumps(value)).hexdigest()


def loads(kind: type[T], text: str | bytes) -> T:
    """Return the value that ``dumps`` made the text from. Raises ``Unreadable``."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"no JSON: {error}") from error
    return restore(kind, value)


def restore(kind: type[T], value: object) -> T:
    """Return the value that ``plain`` was made from. Raises ``Unreadable`` where it cannot be one of ``kind``.

    Fields that are missing take what their absence means, or their defaults. A union of dataclasses is told apart by
    their ``type`` fields.
    """
    try:
        restored: T = _reader(kind)(value)  # type: ignore[arg-type]  # types are hashable
    except Unreadable as error:
        error.below(getattr(kind, "__name__", str(kind)))
        raise
    return restored


Reader = Callable[[Any], Any]


@functools.cache
def _reader(hint: Any) -> Reader:  # noqa: ANN401 - a type, or what stands for one
    """Return what reads values of a type: found out once a type, as thousands of values are of few types."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        return _union_reader(arguments)
    if hint in _TEXTUAL:
        return _textual_reader((hint,))
    if origin is Literal:
        return _choice_reader(hint, {choice: choice for choice in arguments})
    if origin in {tuple, frozenset}:
        return _items_reader(origin, arguments)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _dataclass_reader(hint) if not hasattr(hint, "WRITTEN_AS") else _converted_reader(hint)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _choice_reader(hint, {member.value: member for member in hint})
    return _scalar_reader(hint)


def _scalar_reader(hint: Any) -> Reader:  # noqa: ANN401 - one of JSON's own types
    kinds = (int, float) if hint is float else hint

    def read(value: Any) -> Any:  # noqa: ANN401 - JSON's own shape
        if not isinstance(value, kinds) or (hint is not bool and isinstance(value, bool)):
            raise _mismatch(value, hint)
        return float(value) if hint is float else value

    return read


def _textual_reader(kinds: tuple[Any, ...]) -> Reader:
    """Return what reads the text of a value that is of one of some types."""

    def read(value: Any) -> Any:  # noqa: ANN401 - one of kinds
        if isinstance(value, str):
            for kind in kinds:
                with contextlib.suppress(ValueError):
                    return kind(value)
        raise _mismatch(value, kinds[0] if len(kinds) == 1 else kinds)

    return read


def _choice_reader(hint: Any, choices: Mapping[Any, Any]) -> Reader:  # noqa: ANN401 - an enumeration or a Literal
    def read(value: Any) -> Any:  # noqa: ANN401 - one of the choices
        if not isinstance(value, str | int):
            raise _mismatch(value, hint)
        if value not in choices:
            raise Unknown(f"{value!r:.60} is not {_name(hint)}")
        return choices[value]

    return read


def _union_reader(choices: tuple[Any, ...]) -> Reader:
    kinds = [choice for choice in choices if choice is not types.NoneType]
    is_optional = len(kinds) < len(choices)
    by_type = {tag: _reader(kind) for kind in kinds if len(kinds) > 1 for tag in get_args(_hints(kind).get("type"))}
    single = _reader(kinds[0]) if len(kinds) == 1 else None
    if set(kinds) <= set(_TEXTUAL):
        single = _textual_reader(tuple(kinds))

    def read(value: Any) -> Any:  # noqa: ANN401 - one of the choices
        if value is None and is_optional:
            return None
        if single is not None:
            return single(value)
        if not isinstance(value, Mapping) or not isinstance(value.get("type"), str):
            raise _mismatch(value, choices)
        if value["type"] not in by_type:
            raise Unknown(f"{value!r:.60} is not {choices}")
        return by_type[value["type"]](value)

    return read


def _items_reader(origin: type, arguments: tuple[Any, ...]) -> Reader:
    readers = [_reader(argument) for argument in arguments if argument is not Ellipsis]
    length = None if origin is frozenset or arguments[-1] is Ellipsis else len(readers)
    is_text = set(arguments) <= {str, Ellipsis}

    def read(value: Any) -> Any:  # noqa: ANN401 - of origin
        if not isinstance(value, list | tuple):
            raise _mismatch(value, list)
        if length is not None and len(value) != length:
            raise _mismatch(value, arguments)
        if is_text and all(type(item) is str for item in value):
            return origin(value)
        items: list[Any] = []
        try:
            for index, item in enumerate(value):
                items.append(readers[0 if length is None else index](item))
        except Unreadable as error:
            error.below(f"[{len(items)}]")
            raise
        return origin(items)

    return read


def _dataclass_reader(kind: Any) -> Reader:  # noqa: ANN401 - a dataclass
    hints = _hints(kind)
    readers = {field.name: _reader(hints[field.name]) for field in dataclasses.fields(kind)}
    defaults = {field.name: field.metadata[_ABSENT] for field in dataclasses.fields(kind) if is_declared(field)}
    required = [field.name for field in dataclasses.fields(kind) if _is_required(field)]
    retired = frozenset(getattr(kind, _RETIRED, ()))

    def read(value: Any) -> Any:  # noqa: ANN401 - one of kind
        if not isinstance(value, Mapping):
            raise _mismatch(value, kind)
        fields, name = dict(defaults), ""
        try:
            for name, item in value.items():
                if name in readers:
                    fields[name] = readers[name](item)
                elif name not in retired:
                    raise Unknown(f"there is no field {name!r}")
        except Unreadable as error:
            if name in readers:
                error.below(f".{name}")
            raise
        for name in required:
            if name not in fields:
                raise Unreadable(f"the field {name!r} is missing")
        return kind(**fields)

    return read


def _converted_reader(kind: Any) -> Reader:  # noqa: ANN401 - a dataclass with ``WRITTEN_AS``
    read = _dataclass_reader(kind.WRITTEN_AS)
    return lambda value: kind.read(read(value))


def _is_required(field: dataclasses.Field[Any]) -> bool:
    has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    return not has_default and not is_declared(field)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _mismatch(value: object, hint: object) -> Unreadable:
    return Unreadable(f"{value!r:.60} is not {_name(hint)}")


def _name(hint: object) -> str:
    return str(getattr(hint, "__name__", hint))
