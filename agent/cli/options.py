"""What commands share: the flags that set settings, ``--output``, and the SOURCE argument."""

import enum
import functools
import inspect
import os
from collections.abc import Callable
from typing import Annotated, Any

import typer

from agent import settings

PANEL = "Settings (each also in /etc/trimtab/config.yaml and as TRIMTAB_*)"


class Output(enum.StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text for people, json for programs (stable).")]
SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A directory, a file, or git+URL[?interval=60s][#REF[:SUBPATH]].",
        envvar=settings.SOURCE_VARIABLE,
    ),
]

FLAGS: dict[str, Any] = {
    "config": typer.Option("--config", metavar="FILE", help="The configuration.", rich_help_panel=PANEL),
    "root": typer.Option("--root", metavar="DIR", help="State that survives a reboot.", rich_help_panel=PANEL),
    "run_dir": typer.Option("--run-dir", metavar="DIR", help="State of this boot.", rich_help_panel=PANEL),
    "runtime": typer.Option(
        "--runtime",
        metavar="native|docker|podman|memory",
        help="Our own engine, another one, or a simulation.",
        rich_help_panel=PANEL,
    ),
    "listen": typer.Option(
        "--listen", metavar="HOST:PORT|off", help="Where /metrics is served.", rich_help_panel=PANEL
    ),
    "log.format": typer.Option("--log-format", metavar="auto|console|json", help="Logs.", rich_help_panel=PANEL),
    "log.level": typer.Option(
        "--log-level", metavar="debug|info|warning|error", help="What is logged.", rich_help_panel=PANEL
    ),
}

EVERYWHERE = ("config", "root", "run_dir", "runtime", "log.format", "log.level")


def with_settings(*more: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command whose first parameter is ``settings.Settings``: it gets the flags, its function what they set.

    ``more`` names flags beyond those that every such command has. Raises ``settings.BadSettings`` when called.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        names = {_parameter_name(name): name for name in (*EVERYWHERE, *more)}
        _, *own = inspect.signature(command).parameters.values()
        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        flags = [
            inspect.Parameter(
                parameter,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[str | None, FLAGS[name]],
            )
            for parameter, name in names.items()
        ]
        parameters = [context, *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own), *flags]

        @functools.wraps(command)
        def wrapper(context: typer.Context, **values: Any) -> None:  # noqa: ANN401 - what typer hands over
            given = dict(context.obj or {})
            given |= {names[name]: text for name, text in values.items() if name in names and text is not None}
            chosen = settings.load(given, os.environ)
            command(chosen, **{name: value for name, value in values.items() if name not in names})

        setattr(wrapper, "__signature__", inspect.Signature(parameters))  # noqa: B010 - what typer reads
        wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return wrapper

    return decorate


def _parameter_name(name: str) -> str:
    return "setting_" + name.replace(".", "_")
