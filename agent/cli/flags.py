"""The flags that commands share, what ``--help`` and completion need of the settings."""

import enum
from typing import Annotated, Any

import click

from agent.cli import typed


class Output(enum.StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


class LineOutput(enum.StrEnum):
    """How results are printed that come line by line."""

    TEXT = "text"
    JSON = "json"


class TableOutput(enum.StrEnum):
    """How a table of objects is printed."""

    TEXT = "text"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


_OUTPUT = "text for people, json or yaml for programs (stable)."
OutputOption = Annotated[Output, typed.Option("--output", "-o", help=_OUTPUT)]
LineOutputOption = Annotated[
    LineOutput, typed.Option("--output", "-o", help="text for people, json for programs (stable): one object a line.")
]
TableOutputOption = Annotated[
    TableOutput,
    typed.Option("--output", "-o", help="text or wide for people, json or yaml for programs (stable), name for xargs."),
]
WatchOption = Annotated[
    bool, typed.Option("--watch", "-w", help="Go on until Ctrl-C, and print a line for each change.")
]


def not_blank(value: Any) -> Any:  # noqa: ANN401 - a name, several, or none
    """Return what was typed for a name. Raises ``click.BadParameter`` for a blank one, as of an unset variable."""
    names = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(name, str) and not name.strip() for name in names):
        raise click.BadParameter("a name is blank; is a variable not set?")
    return value


FLAGS: dict[str, Any] = {
    "config": typed.Option("--config", metavar="FILE", help="The configuration."),
    "root": typed.Option("--root", metavar="DIR", help="State that survives a reboot."),
    "run_dir": typed.Option("--run-dir", metavar="DIR", help="State of this boot."),
    "runtime": typed.Option(
        "--runtime",
        metavar="native|docker|podman|memory",
        help="Our own engine, another one, or a simulation.",
    ),
    "listen": typed.Option("--listen", metavar="HOST:PORT|off", help="Where /metrics is served."),
    "log.format": typed.Option("--log-format", metavar="auto|console|json", help="Logs."),
    "log.level": typed.Option("--log-level", metavar="debug|info|warning|error", help="What is logged."),
}
