"""Options that commands share: the flags for settings, ``--output``, and the SOURCE argument."""

import functools
import os
import pathlib
from collections.abc import Callable
from typing import Annotated, Any

import click

from agent import errors, invocation, settings
from agent.cli import flags, typed, ways_out

Output = flags.Output
OutputOption = flags.OutputOption
LineOutput = flags.LineOutput
LineOutputOption = flags.LineOutputOption
TableOutput = flags.TableOutput
TableOutputOption = flags.TableOutputOption
WatchOption = flags.WatchOption
_SOURCE = typed.Argument(
    metavar="SOURCE",
    help="A directory, a file, or git+URL[?interval=60s][#REF[:SUBPATH]].",
    envvar=settings.SOURCE_VARIABLE,
)
SourceArgument = Annotated[str, _SOURCE]
SourceOrPlanArgument = Annotated[str, _SOURCE, "or a kept plan"]
"""What may be a file that ``plan --output FILE`` has written; it is refused as any other SOURCE."""

EVERYWHERE = ("config", "root", "run_dir", "runtime", "log.format", "log.level")


def with_settings(*more: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator for a command whose first parameter is ``settings.Settings``, filled from common flags.

    A parameter of type ``invocation.Invocation`` gets the flags and variables that address the same instance; commands
    quoted in hints of errors are completed with them.
    ``more`` names flags beyond those that every such command has. The command raises ``settings.BadSettings``.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        names = {_parameter_name(name): name for name in (*EVERYWHERE, *more)}
        _, *own = typed.entries(command)
        invocations = [parameter.name for parameter in own if parameter.annotation is invocation.Invocation]
        own = [parameter for parameter in own if parameter.name not in invocations]
        sources = [parameter.name for parameter in own if parameter.annotation is SourceArgument]
        common = (_flag(parameter, name) for parameter, name in names.items())
        entries = [typed.Entry("context", click.Context), *own, *common]

        @functools.wraps(command)
        def wrapper(context: click.Context, **values: Any) -> None:  # noqa: ANN401 - what was typed
            arguments = dict(context.obj or {})
            arguments |= {names[name]: text for name, text in values.items() if name in names and text is not None}
            chosen = settings.load(arguments, os.environ)
            config = arguments.get("config") or os.environ.get(settings.CONFIG_VARIABLE) or ""
            invoked = invocation.of(chosen, config, os.environ)
            own_values = {name: value for name, value in values.items() if name not in names}
            try:
                for name in sources:
                    _check_source(own_values[name])
                command(chosen, **own_values, **dict.fromkeys(invocations, invoked))
            except errors.TrimtabError as error:
                error.hint = ways_out.hint(error, context.command_path, invoked.completed)
                error.message = invoked.completed(error.message)
                raise

        typed.declare(wrapper, entries)
        return wrapper

    return decorate


def _flag(parameter: str, name: str) -> typed.Entry:
    """Return the parameter of a setting's flag."""
    return typed.Entry(parameter, Annotated[str | None, flags.FLAGS[name]], None)


def _check_source(text: str) -> None:
    """Raise ``sources.api.BadSource`` for a file that is a kept plan: only ``apply`` takes those."""
    path = pathlib.Path(text)
    try:
        if not path.is_file():
            return
    except ValueError:  # a name with a NUL
        return
    from agent.cli import plan_files

    plan_files.check_no_plan(path)


def _parameter_name(name: str) -> str:
    return "setting_" + name.replace(".", "_")
