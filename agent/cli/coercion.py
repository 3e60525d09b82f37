"""The values of arguments and flags, made of what was typed: in place of typer's, which imports pydantic for them.

That alone takes longer than a running agent's answer. What has a type that is not known here is left to typer.
"""

import enum
import pathlib
import types
import typing
from collections.abc import Callable
from typing import Any

import typer

from agent.cli import dashes, plain_help

_DIGITS = 20
"""More are not a number that anything here can have."""


class PlainCoercion:
    """What typer asks for a parameter's value, by ``coerce``."""

    def __init__(self, convert: Callable[[Any], object]) -> None:
        """Take what converts one value and raises ``ValueError`` with what is wanted instead."""
        self._convert = convert

    def coerce(self, value: Any, param: Any, ctx: Any) -> object:  # noqa: ANN401 - as typer declares it
        """Return a parameter's value. Raises ``typer.BadParameter`` where it cannot be what was typed."""
        is_list = param.multiple or param.nargs == -1
        if value is None:
            return () if is_list else None
        try:
            return [self._convert(item) for item in value] if is_list else self._convert(value)
        except ValueError as error:
            raise typer.BadParameter(f"{value!r} is not {error}", ctx=ctx, param=param) from error


def apply_to(command: Any) -> Any:  # noqa: ANN401 - typer's command
    """Return a command whose parameters are converted without pydantic, as far as their types are known here.

    Its options may be typed as ``-o=VALUE``, and its help names them plainly.
    """
    params_of_typer = command.get_params

    def get_params(context: typer.Context) -> list[Any]:
        params: list[Any] = params_of_typer(context)  # typer adds --help only here
        for param in params:
            _simplify(param)
            plain_help.apply_to(param)
        return params

    command.get_params = get_params
    parse_args_of_typer = command.parse_args

    def parse_args(context: typer.Context, words: list[str]) -> list[str]:
        try:
            plain = dashes.plain(words, command.get_params(context), interspersed=context.allow_interspersed_args)
        except dashes.SingleDash as error:
            if not context.resilient_parsing:  # for completion any beginning of a line will do
                context.fail(str(error))
            plain = words
        remaining: list[str] = parse_args_of_typer(context, plain)
        return remaining

    command.parse_args = parse_args
    return command


def _simplify(param: Any) -> None:  # noqa: ANN401 - typer's parameter
    descriptor = getattr(param, "type_descriptor", None)
    convert = None if descriptor is None else _converter(descriptor)
    if convert is not None:
        coercion = PlainCoercion(convert)
        param.get_runtime_param = lambda: coercion


def _converter(descriptor: Any) -> Callable[[Any], object] | None:  # noqa: ANN401 - typer's description of a type
    """Return what converts a value to a type, or ``None`` where that is typer's business."""
    kind = _bare(descriptor.annotation)
    if kind is str:
        return str
    if kind is bool:
        return _flag
    if kind is pathlib.Path and not _is_checked(descriptor.parameter_info):
        return pathlib.Path
    if kind is int:
        return _integers(descriptor.parameter_info.min, descriptor.parameter_info.max)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _choices(kind)
    return None


def _is_checked(info: Any) -> bool:  # noqa: ANN401 - typer's description of a parameter
    """Return whether typer is to look at a path itself."""
    return bool(info.exists or info.resolve_path or info.writable or info.path_type)


def _bare(annotation: Any) -> Any:  # noqa: ANN401 - any annotation
    """Return the type of one value: without ``None``, and without the list that it may be repeated in."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        annotation = next(kind for kind in typing.get_args(annotation) if kind is not type(None))
    if typing.get_origin(annotation) is list:
        (annotation,) = typing.get_args(annotation)
    return annotation


def _flag(value: Any) -> bool:  # noqa: ANN401 - what was typed, or a flag's own value
    if isinstance(value, bool):
        return value
    raise ValueError("true or false")


def _integers(least: float | None, most: float | None) -> Callable[[Any], int]:
    def convert(value: Any) -> int:  # noqa: ANN401 - what was typed, or a default
        text = str(value)
        if not text.isascii() or not text.removeprefix("-").isdecimal() or len(text) > _DIGITS:
            raise ValueError("a whole number")
        number = int(text)
        if least is not None and number < least:
            raise ValueError(f"at least {least:g}")
        if most is not None and number > most:
            raise ValueError(f"at most {most:g}")
        return number

    return convert


def _choices(kind: type[enum.Enum]) -> Callable[[Any], enum.Enum]:
    words = [str(member.value) for member in kind]

    def convert(value: Any) -> enum.Enum:  # noqa: ANN401 - what was typed, or a default
        if isinstance(value, kind):
            return value
        if value not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return kind(value)

    return convert
