"""The command's table, and the one place that turns errors into exit codes."""

import itertools
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

import agent
from agent import errors, settings
from agent.cli import (
    adopt,
    apply,
    containers,
    doctor,
    exits,
    explain,
    image,
    options,
    plan,
    run,
    source,
    status,
    system,
    terminal,
)
from agent.sources import api

_HELP = "Write down what a host should run; trimtab makes it so and keeps it so."

_COMMANDS: tuple[tuple[str, Callable[..., None]], ...] = (
    ("run", run.run),
    ("apply", apply.apply),
    ("plan", plan.plan),
    ("validate", source.validate),
    ("render", source.render),
    ("adopt", adopt.adopt),
    ("status", status.status),
    ("observe", plan.observe),
    ("explain", explain.explain),
    ("delete", apply.delete),
    ("logs", containers.logs),
    ("doctor", doctor.doctor),
)


def build() -> typer.Typer:
    """Put the whole command together."""
    app = typer.Typer(
        name="trimtab",
        help=_HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_before)
    for name, command in _COMMANDS:
        app.command(name)(command)
    # What follows the name belongs to the container's command, dashes and all.
    app.command("exec", context_settings={"allow_interspersed_args": False})(containers.execute)
    app.add_typer(image.group(), name="image")
    app.add_typer(system.group(), name="system")
    app.command("version")(version)
    return app


def version() -> None:
    """Print the version."""
    terminal.result(agent.__version__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command as a shell does, and give its exit code. Expected errors are told without a traceback."""
    terminal.take_any_text()
    try:
        command = typer.main.get_command(build())
        code = command.main(arguments, prog_name="trimtab", standalone_mode=False)
        terminal.flush()
    except typer.TyperException as error:
        return _used_wrongly(error.format_message())
    except (settings.BadSettings, api.BadSource) as error:
        terminal.failure(error)
        return exits.USED_WRONGLY
    except errors.TrimtabError as error:
        return _failed(error)
    except typer.Exit as ending:  # of the flush
        return ending.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return exits.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last place: whatever it is, people are told what to do with it
        return _broken(error, arguments)
    return code if isinstance(code, int) else exits.DONE


def _failed(error: errors.TrimtabError) -> int:
    from agent.cli import problems
    from agent.converge import intake
    from agent.manifests import explain as explaining

    if isinstance(error, intake.BadManifests):
        problems.show(error.reading.problems, error.reading.contents)
    terminal.failure(error)
    return exits.USED_WRONGLY if isinstance(error, explaining.UnknownField) else exits.FAILED


def _broken(error: Exception, arguments: Sequence[str] | None) -> int:
    """Tell an error that nobody expected: in a line for people, with its traceback for those who mend it."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, errors.TrimtabError):
        return _failed(error)
    debugging = _is_debugging(sys.argv[1:] if arguments is None else arguments)
    again = (
        "report it with the lines below" if debugging else "run it again with TRIMTAB_LOG_LEVEL=debug, and report it"
    )
    message = f"this is a bug in trimtab: {type(error).__name__}: {error}"
    terminal.failure(errors.TrimtabError(message, hint=again))
    if debugging:
        for line in "".join(traceback.format_exception(error)).splitlines():
            terminal.note(terminal.printable(line))
    return exits.FAILED


def _is_debugging(arguments: Sequence[str]) -> bool:
    """Tell whether debugging is asked for; by the plain words, since settings may be what broke."""
    flag = "--log-level"
    said = {f"{first} {second}" for first, second in itertools.pairwise(arguments)} | set(arguments)
    return os.environ.get("TRIMTAB_LOG_LEVEL") == "debug" or bool(said & {f"{flag} debug", f"{flag}=debug"})


def _used_wrongly(message: str) -> int:
    if message:  # without one, the help has been printed in its place
        terminal.failure(errors.TrimtabError(" ".join(message.split()), hint="trimtab COMMAND --help"))
    return exits.USED_WRONGLY


def _print_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


def _before(
    context: typer.Context,
    config: Annotated[str | None, options.FLAGS["config"]] = None,
    root: Annotated[str | None, options.FLAGS["root"]] = None,
    run_dir: Annotated[str | None, options.FLAGS["run_dir"]] = None,
    runtime: Annotated[str | None, options.FLAGS["runtime"]] = None,
    print_version: Annotated[  # noqa: ARG001 - its callback does it
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    given = {"config": config, "root": root, "run_dir": run_dir, "runtime": runtime}
    context.obj = {name: text for name, text in given.items() if text is not None}
