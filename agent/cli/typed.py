"""Commands from functions, by click: a parameter's annotation says what it is on the command line.

``Annotated[int, typed.Option("--tail", "-n", min=0, help=...)]``. Typer does the same, and takes
longer to import (``ops/docs/decisions.md``).
"""

import enum
import pathlib
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from agent.cli import dashes
from agent.kit import frozen

Completion = Callable[[click.Context, str], Sequence[str]]
"""Returns what may stand for a word that begins so."""
_DIGITS = 20
"""More are not a number that anything here can have."""
HELP_NAMES = ["-h", "--help"]
_NOTHING = object()
"""The default of a parameter that has none."""
_ENTRIES = "entries"
"""Attribute of a function that takes other parameters than its code has."""


@frozen.value
class Entry:
    """A parameter of a function."""

    name: str
    annotation: Any
    default: Any = _NOTHING


class Described:
    """What an annotation says of a parameter, whatever its kind."""

    def __init__(  # noqa: PLR0913 - as a command line has them
        self,
        *names: str,
        help: str = "",
        metavar: str = "",
        envvar: str = "",
        callback: Callable[[Any], Any] | None = None,
        completion: Completion | None = None,
        is_eager: bool = False,
        show_default: bool = True,
        absent_value: str | None = None,
        min: int | None = None,
        max: int | None = None,
    ) -> None:
        self.names = names
        self.help, self.metavar, self.envvar = help, metavar, envvar
        self.callback, self.completion = callback, completion
        self.is_eager, self.show_default = is_eager, show_default
        self.absent_value = absent_value
        self.min, self.max = min, max


class Option(Described):
    """An option: ``--output``, ``-o``; a flag where the type is ``bool``.

    ``absent_value``: what it has where it stands without a value; else it needs one.
    """


class Argument(Described):
    """An argument, called ``metavar`` in help."""


class _Type(click.ParamType[object]):
    """Converts one value by a function that raises ``ValueError`` with what is wanted instead."""

    name = "value"

    def __init__(self, convert: Callable[[Any], object]) -> None:
        self._convert = convert

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> object:  # noqa: ANN401
        """Return what was typed as a value. Raises ``click.BadParameter``."""
        try:
            return self._convert(value)
        except ValueError as error:
            raise click.BadParameter(f"{value!r} is not {error}", ctx=ctx, param=param) from error


class CommandOption(click.Option):
    """An option whose help names its value plainly."""

    described: Described
    kind: type
    shown_default = ""
    """The default as help tells it; empty: it tells none."""

    def make_metavar(self, ctx: click.Context) -> str:
        """Return what its value is called; choices stand in full."""
        del ctx
        return self.described.metavar or _choices_of(self.kind) or ("N" if self.kind is int else "TEXT")

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return its names with its value's, and what it does."""
        names = ", ".join(sorted(self.opts, key=len))
        if not self.is_flag:
            names = f"{names} {self.make_metavar(ctx)}"
        default = f"  [default: {self.shown_default}]" if self.shown_default else ""
        return names, f"{self.help or ''}{default}"


class CommandArgument(click.Argument):
    """An argument with help."""

    described: Described
    shown_default = ""
    """The default as help tells it; empty: it tells none."""

    def make_metavar(self, ctx: click.Context) -> str:
        """Return what it is called: one that may be left out stands in brackets."""
        del ctx
        name = self.described.metavar or self.human_readable_name
        return name if self.required or name.startswith("[") else f"[{name}]"

    def help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Return its name, and what it is."""
        notes = [
            *([f"env var: {self.envvar}"] if self.envvar else []),
            *([f"default: {self.shown_default}"] if self.shown_default else []),
            *(["required"] if self.required else []),
        ]
        end = f"  [{'; '.join(notes)}]" if notes else ""
        return self.described.metavar or self.make_metavar(ctx), f"{self.described.help}{end}"


def help_option() -> click.Option:
    """Return ``--help``. Click's own has a text that it cleans of indentation, by a module that takes long to load."""
    option = click.Option(HELP_NAMES, is_flag=True, expose_value=False, is_eager=True, callback=_show_help)
    option.help = "Show this message and exit."
    return option


def _show_help(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


class Command(click.Command):
    """A command: options may be typed as ``-o=VALUE``, and help has a part for its arguments."""

    def get_help_option(self, ctx: click.Context) -> click.Option:  # noqa: ARG002 - as click declares it
        """Return ``--help``, the same one each time: click tells options apart by their identity."""
        self._help_option = self._help_option or help_option()
        return self._help_option

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read what was typed behind the command's name."""
        return super().parse_args(ctx, plain_words(self, ctx, args))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the arguments and options are."""
        arguments = [param.help_record(ctx) for param in self.get_params(ctx) if isinstance(param, CommandArgument)]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl(arguments)
        super().format_options(ctx, formatter)


def plain_words(command: click.Command, ctx: click.Context, words: list[str]) -> list[str]:
    """Return words as click reads them. Raises ``click.UsageError`` for a long option with one dash."""
    try:
        return dashes.plain(words, command.get_params(ctx), interspersed=ctx.allow_interspersed_args)
    except dashes.SingleDash as error:
        if not ctx.resilient_parsing:  # for completion any beginning of a line will do
            ctx.fail(str(error))
        return words


def command(name: str, function: Callable[..., None], *, summary: str = "", takes_program: bool = False) -> Command:
    """Return the command that a function is. ``takes_program``: its last arguments are another program's."""
    return Command(
        name,
        callback=called(function),
        params=of(function),
        help=function.__doc__,
        short_help=summary or None,
        context_settings={"help_option_names": HELP_NAMES, "allow_interspersed_args": not takes_program},
    )


def called(function: Callable[..., None]) -> Callable[..., None]:
    """Return a function for click: given the context where it wants it, and lists as its annotations have them."""
    parameters = entries(function)
    context_name = next((entry.name for entry in parameters if entry.annotation is click.Context), None)
    lists = {entry.name: entry.default for entry in parameters if _is_list(entry.annotation)}

    def call(**values: Any) -> None:  # noqa: ANN401 - what was typed
        for name, default in lists.items():
            values[name] = list(values[name]) if values[name] else (None if default is _NOTHING else default)
        if context_name is not None:
            values[context_name] = click.get_current_context()
        function(**values)

    return call


def of(function: Callable[..., None]) -> list[click.Parameter]:
    """Return click's parameters of a function, in its order."""
    return [_parameter(entry) for entry in entries(function) if entry.annotation is not click.Context]


def entries(function: Callable[..., None]) -> tuple[Entry, ...]:
    """Return a function's parameters in their order; those that ``declare`` has set, where it has.

    Not by ``inspect``, which takes longer to import than the answer to a short command.
    """
    declared: tuple[Entry, ...] | None = getattr(function, _ENTRIES, None)
    if declared is not None:
        return declared
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    positional = names[: code.co_argcount]
    values = function.__defaults__ or ()
    defaults = dict(zip(positional[len(positional) - len(values) :], values, strict=True))
    defaults |= function.__kwdefaults__ or {}
    return tuple(Entry(name, function.__annotations__[name], defaults.get(name, _NOTHING)) for name in names)


def declare(function: Callable[..., None], parameters: Sequence[Entry]) -> None:
    """Let a function that takes any keywords have these parameters."""
    setattr(function, _ENTRIES, tuple(parameters))


def _parameter(entry: Entry) -> click.Parameter:
    annotation, described = _split(entry.annotation)
    kind = _bare(annotation)
    is_list = _is_list(entry.annotation)
    shared: dict[str, Any] = {
        "type": _type(kind, described),
        "callback": _callback(described),
        "shell_complete": _completion(described),
        "is_eager": described.is_eager,
    }
    if entry.default is not _NOTHING and not is_list:
        shared["default"] = entry.default
    if isinstance(described, Argument):
        argument = CommandArgument(
            [entry.name],
            required=entry.default is _NOTHING,
            nargs=-1 if is_list else 1,
            envvar=described.envvar or None,
            **shared,
        )
        argument.described, argument.shown_default = described, _shown(described, entry.default)
        return argument
    if described.absent_value is not None:
        shared["flag_value"] = described.absent_value
    names = described.names or (f"--{entry.name.replace('_', '-')}",)
    option = CommandOption([*names, entry.name], is_flag=kind is bool, multiple=is_list, **shared)
    option.described, option.kind = described, kind
    option.help = described.help  # which click would clean of indentation that it has not, by a module of its own
    if not option.is_flag:
        option.shown_default = _shown(described, entry.default)
    return option


def _shown(described: Described, default: Any) -> str:  # noqa: ANN401 - any default
    """Return a default as help tells it; empty where there is none, or it says nothing."""
    if not described.show_default or default in {_NOTHING, None, ""}:
        return ""
    return str(default.value if isinstance(default, enum.Enum) else default)


def _split(annotation: Any) -> tuple[Any, Described]:  # noqa: ANN401 - any annotation
    """Return the type and the description of ``Annotated[type, description]``."""
    kind, *notes = typing.get_args(annotation)
    return kind, next(note for note in notes if isinstance(note, Described))


def _bare(annotation: Any) -> Any:  # noqa: ANN401 - any annotation
    """Return the type of one value: without ``None``, and without the list that it may be repeated in."""
    if isinstance(annotation, types.UnionType):
        annotation = next(kind for kind in typing.get_args(annotation) if kind is not type(None))
    if typing.get_origin(annotation) is list:
        (annotation,) = typing.get_args(annotation)
    return annotation


def _is_list(annotation: Any) -> bool:  # noqa: ANN401 - any annotation
    kinds = typing.get_args(annotation)[:1]
    members = typing.get_args(kinds[0]) if kinds and isinstance(kinds[0], types.UnionType) else kinds
    return any(typing.get_origin(kind) is list for kind in members)


def _callback(described: Described) -> Callable[[click.Context, click.Parameter, Any], Any] | None:
    check = described.callback
    return None if check is None else lambda _, __, value: check(value)


def _completion(described: Described) -> Callable[..., list[CompletionItem]] | None:
    complete = described.completion
    if complete is None:
        return None
    return lambda ctx, _, incomplete: [CompletionItem(word) for word in complete(ctx, incomplete)]


def _type(kind: type, described: Described) -> click.ParamType[Any]:
    if kind is bool:
        return click.BOOL
    if kind is int:
        return _Type(_integers(described.min, described.max))
    if kind is pathlib.Path:
        return _Type(pathlib.Path)
    if issubclass(kind, enum.Enum):
        return _Type(_choices(kind))
    return click.STRING


def _choices_of(kind: type) -> str:
    return "|".join(str(member.value) for member in kind) if issubclass(kind, enum.Enum) else ""


def _integers(least: int | None, most: int | None) -> Callable[[Any], int]:
    def convert(value: Any) -> int:  # noqa: ANN401 - what was typed, or a default
        text = str(value)
        if not text.isascii() or not text.removeprefix("-").isdecimal() or len(text) > _DIGITS:
            raise ValueError("a whole number")
        number = int(text)
        if least is not None and number < least:
            raise ValueError(f"at least {least}")
        if most is not None and number > most:
            raise ValueError(f"at most {most}")
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
