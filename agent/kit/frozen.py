"""Frozen values: dataclasses with slots, as ``dataclasses.dataclass(frozen=True, slots=True)`` makes them.

They are made in a third of the time: the standard library compiles each method of each class, which was a fifth of what
``validate`` takes. Here only ``__init__`` is compiled; the others are the same for all classes.
``dataclasses.fields``, ``replace``, ``asdict``, ``match``, ``copy`` and ``pickle`` work as with the standard library's.
"""

import dataclasses
import operator
import reprlib
import typing
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)


@typing.overload
def value(cls: Class, /) -> Class: ...


@typing.overload
def value(*, order: bool = False, kw_only: bool = False) -> Callable[[Class], Class]: ...


@typing.dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def value(cls: Any = None, /, *, order: bool = False, kw_only: bool = False) -> Any:
    """Make a class a frozen dataclass with slots: ``@frozen.value``, or ``@frozen.value(order=True)``."""
    return (
        _value(cls, order=order, kw_only=kw_only)
        if cls is not None
        else lambda own: _value(own, order=order, kw_only=kw_only)
    )


def _value(cls: Any, *, order: bool, kw_only: bool) -> Any:  # noqa: ANN401 - a class
    own = set(vars(cls))
    frozen_class = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(cls)
    fields = dataclasses.fields(frozen_class)
    methods = _methods(frozen_class, fields) | (_orders(fields) if order else {})
    for name, method in methods.items():
        if name not in own:
            setattr(frozen_class, name, method)
    return frozen_class


def _methods(cls: Any, fields: tuple[dataclasses.Field[Any], ...]) -> dict[str, Callable[..., Any]]:  # noqa: ANN401
    """Return the methods of a class by their names."""
    compared = _getter([field.name for field in fields if field.compare])
    hashed = _getter([field.name for field in fields if (field.compare if field.hash is None else field.hash)])
    shown = [field.name for field in fields if field.repr]

    def equal(self: Any, other: object) -> Any:  # noqa: ANN401 - one of them
        return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

    def number(self: Any) -> int:  # noqa: ANN401 - one of them
        return hash(hashed(self))

    @reprlib.recursive_repr()
    def text(self: Any) -> str:  # noqa: ANN401 - one of them
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    return {
        "__init__": _init(cls, fields),
        "__eq__": equal,
        "__hash__": number,
        "__repr__": text,
        "__setattr__": _refuse_to_set,
        "__delattr__": _refuse_to_delete,
        "__getstate__": _state,
        "__setstate__": _take_state,
    }


def _orders(fields: tuple[dataclasses.Field[Any], ...]) -> dict[str, Callable[..., Any]]:
    """Return the comparisons of a class that has an order."""
    compared = _getter([field.name for field in fields if field.compare])

    def comparison(compare: Callable[[Any, Any], bool]) -> Callable[[Any, object], Any]:
        return lambda self, other: (
            compare(compared(self), compared(other)) if other.__class__ is self.__class__ else NotImplemented
        )

    comparisons = (operator.lt, operator.le, operator.gt, operator.ge)
    return {f"__{compare.__name__}__": comparison(compare) for compare in comparisons}


def _getter(names: list[str]) -> Callable[[Any], Any]:
    """Return what gets the values of some fields, in a tuple where they are several."""
    return operator.attrgetter(*names) if names else lambda _: ()


def _init(cls: Any, fields: tuple[dataclasses.Field[Any], ...]) -> Callable[..., None]:  # noqa: ANN401
    """Compile the class's ``__init__``."""
    plain = [field for field in fields if field.init and not field.kw_only]
    keyword = [field for field in fields if field.init and field.kw_only]
    optional = [not _is_required(field) for field in plain]
    if optional != sorted(optional):
        raise TypeError(
            f"non-default argument {plain[optional.index(False, optional.index(True))].name!r} follows others"
        )
    scope: dict[str, Any] = {"_set": object.__setattr__, "_absent": _ABSENT}
    parameters = ["self", *(_parameter(field, scope) for field in plain)]
    if keyword:
        parameters += ["*", *(_parameter(field, scope) for field in keyword)]
    lines = [line for field in fields for line in _assignments(field, scope)]
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    exec(f"def __init__({', '.join(parameters)}):\n " + "\n ".join(lines or ["pass"]), scope)  # noqa: S102 - as dataclasses do
    init: Callable[..., None] = scope["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__module__ = cls.__module__
    init.__annotations__ = {**{field.name: field.type for field in fields if field.init}, "return": None}
    return init


_ABSENT = object()
"""What an argument is that is not given, where a factory makes the value."""


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _parameter(field: dataclasses.Field[Any], scope: dict[str, Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return f"{field.name}=_absent"
    if field.default is dataclasses.MISSING:
        return field.name
    scope[f"_default_{field.name}"] = field.default
    return f"{field.name}=_default_{field.name}"


def _assignments(field: dataclasses.Field[Any], scope: dict[str, Any]) -> Iterator[str]:
    value = field.name if field.init else f"_default_{field.name}"
    if field.default_factory is not dataclasses.MISSING:
        scope[f"_make_{field.name}"] = field.default_factory
        value = f"_make_{field.name}()"
        if field.init:
            value = f"{value} if {field.name} is _absent else {field.name}"
    elif not field.init:
        if field.default is dataclasses.MISSING:
            return
        scope[value] = field.default
    yield f"_set(self, {field.name!r}, {value})"


def _refuse_to_set(_: object, name: str, __: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:  # noqa: ANN401 - one of them
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _take_state(self: Any, state: list[Any]) -> None:  # noqa: ANN401 - one of them
    for field, own in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, own)
