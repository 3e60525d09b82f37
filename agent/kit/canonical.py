"""One byte string for one value: canonical JSON of frozen dataclasses, hashes over it, and the way back."""

import dataclasses
import enum
import functools
import hashlib
import json
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def plain(value: object) -> Any:  # noqa: ANN401 - JSON's own shape
    """Turn dataclasses, enums, tuples and mappings into what ``json`` knows."""
    match value:
        case enum.Enum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case tuple() | list():
            return [plain(item) for item in value]
        case frozenset() | set():
            return sorted(plain(item) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    message = f"no canonical form for {type(value).__name__}"
    raise TypeError(message)


def dumps(value: object) -> bytes:
    """Give the canonical JSON: sorted keys, no white space, UTF-8."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: object) -> str:
    """Give the SHA-256 of the canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(dumps(value)).hexdigest()


def restore(kind: type[T], value: object) -> T:
    """Give back the value that ``plain`` was made from. Raises ``ValueError`` where it cannot be one of ``kind``.

    Fields that are missing take their defaults. A union of dataclasses is told apart by their ``type`` fields.
    """
    restored: T = _restore(kind, value, kind.__name__)
    return restored


def _restore(hint: Any, value: object, place: str) -> Any:  # noqa: ANN401 - as the hint says
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        return _restore_union(arguments, value, place)
    if origin is Literal:
        return _checked(value in arguments, value, hint, place)
    if origin in {tuple, frozenset}:
        return _restore_items(origin, arguments, value, place)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _restore_dataclass(hint, value, place)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint(_checked(value in {member.value for member in hint}, value, hint, place))
    if hint is float:
        return float(_checked(isinstance(value, int | float) and not isinstance(value, bool), value, hint, place))
    return _checked(isinstance(value, hint) and (hint is bool or not isinstance(value, bool)), value, hint, place)


def _restore_union(choices: tuple[Any, ...], value: object, place: str) -> Any:  # noqa: ANN401 - as the hints say
    if value is None and types.NoneType in choices:
        return None
    kinds = [choice for choice in choices if choice is not types.NoneType]
    if len(kinds) > 1 and isinstance(value, Mapping):
        kinds = [kind for kind in kinds if value.get("type") in get_args(_hints(kind).get("type"))]
    _checked(len(kinds) == 1, value, choices, place)
    return _restore(kinds[0], value, place)


def _restore_items(
    origin: type,
    arguments: tuple[Any, ...],
    value: Any,  # noqa: ANN401 - JSON's own shape
    place: str,
) -> Any:  # noqa: ANN401 - of origin
    value = _checked(isinstance(value, list | tuple), value, list, place)
    if origin is frozenset or arguments[-1] is Ellipsis:
        hints = [arguments[0]] * len(value)
    else:
        hints = list(arguments)
        _checked(len(hints) == len(value), value, arguments, place)
    return origin(
        _restore(hint, item, f"{place}[{index}]") for index, (hint, item) in enumerate(zip(hints, value, strict=True))
    )


def _restore_dataclass(kind: type, value: Any, place: str) -> Any:  # noqa: ANN401 - one of kind
    value = _checked(isinstance(value, Mapping), value, kind, place)
    hints = _hints(kind)
    if unknown := sorted(set(map(str, value)) - set(hints)):
        raise ValueError(f"{place}: there is no field {unknown[0]!r}")
    if missing := [field.name for field in dataclasses.fields(kind) if field.name not in value and _is_required(field)]:
        raise ValueError(f"{place}: the field {missing[0]!r} is missing")
    try:
        return kind(**{name: _restore(hints[name], item, f"{place}.{name}") for name, item in value.items()})
    except TypeError as error:
        raise ValueError(f"{place}: {error}") from error


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _checked(good: bool, value: object, hint: object, place: str) -> Any:  # noqa: ANN401, FBT001 - the value itself
    if not good:
        raise ValueError(f"{place}: {value!r:.60} is not {getattr(hint, '__name__', hint)}")
    return value
