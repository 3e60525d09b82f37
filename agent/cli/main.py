"""The root command, and the one place that turns errors into exit codes."""

import errno
import itertools
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated

import click
from click import shell_completion

from agent import errors
from agent.cli import commands, exits, flags, peers, terminal, typed, ways_out
from agent.cli import version as versions

_HELP = "Write down what a host should run; trimtab makes it so and keeps it so."

_EPILOG = (
    "Settings can also be written to /etc/trimtab/config.yaml, or given as variables: --run-dir as TRIMTAB_RUN_DIR."
)


def build() -> commands.LazyGroup:
    """Return the root command; the others are imported once they are typed."""
    return commands.LazyGroup(
        peers.PROGRAM,
        callback=typed.called(_global_options),
        params=typed.of(_global_options),
        help=_HELP,
        no_args_is_help=True,
        epilog=_EPILOG,
        context_settings={"help_option_names": typed.HELP_NAMES, "terminal_width": _width()},
    )


def _width() -> int:
    """Return how wide help is, as click does."""
    return max(min(terminal.columns(), _WIDEST) - 2, _NARROWEST)


_NARROWEST, _WIDEST = 50, 80
_FULL_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. Expected errors are printed without a traceback."""
    terminal.escape_unencodable_text()
    try:
        code = _run(build(), list(sys.argv[1:] if arguments is None else arguments))
        terminal.flush()
    except click.ClickException as error:
        return _used_wrongly(error.format_message(), getattr(error, "ctx", None), getattr(error, "option_name", ""))
    except errors.TrimtabError as error:
        return _failed(error)
    except click.exceptions.Exit as ending:  # of the flush
        return ending.exit_code
    except (KeyboardInterrupt, click.Abort):
        return exits.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last place: whatever it is, people are told what to do with it
        return _report_bug(error, arguments)
    return code if isinstance(code, int) else exits.DONE


def _run(root: click.Group, arguments: list[str]) -> object:
    """Run what was typed, or answer a shell's question, and return what the command does."""
    question = os.environ.get(commands.COMPLETION_VARIABLE)
    if question:
        return shell_completion.shell_complete(root, {}, peers.PROGRAM, commands.COMPLETION_VARIABLE, question)
    try:
        with root.make_context(peers.PROGRAM, arguments) as context:
            return root.invoke(context)
    except click.exceptions.Exit as ending:
        return ending.exit_code


def _failed(error: errors.TrimtabError) -> int:
    from agent import settings
    from agent.cli import problems
    from agent.converge import reading
    from agent.manifests import explain
    from agent.sources import api

    if isinstance(error, reading.BadManifests):
        problems.show(error.reading.problems, error.reading.contents)
    if isinstance(error, explain.UnknownField):
        error.hint = ways_out.hint(error, "trimtab explain")
    terminal.failure(error)
    is_usage = isinstance(error, settings.BadSettings | api.BadSource | explain.UnknownField | peers.UnknownCommand)
    return exits.USED_WRONGLY if is_usage else exits.FAILED


def _report_bug(error: Exception, arguments: Sequence[str] | None) -> int:
    """Print an unexpected error: one line, and its traceback when debugging. Return the exit code."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, errors.TrimtabError):
        return _failed(error)
    if isinstance(error, OSError) and error.errno in _FULL_ERRORS:
        where = f" to write {error.filename}" if error.filename else " where the output goes to"
        terminal.failure(errors.TrimtabError(f"no room is left{where}", hint="free some on that disk, and try again"))
        return exits.FAILED
    if isinstance(error, OSError) and error.errno == errno.EBADF and not error.filename:
        terminal.failure(errors.TrimtabError("the output cannot be written: it is closed"))
        return exits.FAILED
    debugging = _is_debugging(sys.argv[1:] if arguments is None else arguments)
    hint = "report it with the lines below" if debugging else "run it again with TRIMTAB_LOG_LEVEL=debug, and report it"
    message = f"this is a bug in trimtab: {type(error).__name__}: {error}"
    terminal.failure(errors.TrimtabError(message, hint=hint))
    if debugging:
        for line in "".join(traceback.format_exception(error)).splitlines():
            terminal.note(terminal.printable(line))
    return exits.FAILED


def _is_debugging(arguments: Sequence[str]) -> bool:
    """Return whether debugging is on, by the bare arguments: settings may be what failed."""
    flag = "--log-level"
    words = {f"{first} {second}" for first, second in itertools.pairwise(arguments)} | set(arguments)
    return os.environ.get("TRIMTAB_LOG_LEVEL") == "debug" or bool(words & {f"{flag} debug", f"{flag}=debug"})


def _used_wrongly(message: str, context: click.Context | None, flag: str = "") -> int:
    if context is not None and message == context.get_help():  # nothing was typed behind a group's name
        terminal.result(message)
        return exits.USED_WRONGLY
    path = "trimtab" if context is None else context.command_path
    error = errors.TrimtabError(" ".join(message.split()), hint=f"{path} --help")
    if instead := peers.FLAGS.get(f"{path} {flag}"):
        error = errors.TrimtabError(f"{path} has no {flag}", hint=instead)
    terminal.failure(error)
    return exits.USED_WRONGLY


def _print_version(requested: bool) -> None:
    if requested:
        versions.version()
        raise click.exceptions.Exit


def _complete(action: str) -> Callable[[str | None], None]:
    def act(shell: str | None) -> None:
        if shell is not None:
            from agent.cli import completion_scripts

            completion_scripts.ACTIONS[action](shell)
            raise click.exceptions.Exit

    return act


def _global_options(  # noqa: PLR0913, PLR0917 - flags
    context: click.Context,
    config: Annotated[str | None, flags.FLAGS["config"]] = None,
    root: Annotated[str | None, flags.FLAGS["root"]] = None,
    run_dir: Annotated[str | None, flags.FLAGS["run_dir"]] = None,
    runtime: Annotated[str | None, flags.FLAGS["runtime"]] = None,
    print_version: Annotated[  # noqa: ARG001 - its callback does it
        bool, typed.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    install_completion: Annotated[  # noqa: ARG001 - its callback does it
        str | None,
        typed.Option(
            "--install-completion",
            metavar="[SHELL]",
            help="Install completion for bash, zsh or fish; by itself for your shell.",
            callback=_complete("install"),
            is_eager=True,
            absent_value="",
        ),
    ] = None,
    show_completion: Annotated[  # noqa: ARG001 - its callback does it
        str | None,
        typed.Option(
            "--show-completion",
            metavar="[SHELL]",
            help="Show that completion, to copy it or customize the installation.",
            callback=_complete("show"),
            is_eager=True,
            absent_value="",
        ),
    ] = None,
) -> None:
    flags = {"config": config, "root": root, "run_dir": run_dir, "runtime": runtime}
    context.obj = {name: text for name, text in flags.items() if text is not None}
