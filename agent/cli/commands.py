"""The commands by name, and a group that imports only the one that is typed.

Importing all of them takes several times what ``--help``, ``--version`` and a press of TAB may take.
"""

import contextlib
import dataclasses
import importlib
from collections.abc import Iterator
from typing import Any

import typer
import typer.core

from agent.cli import coercion, peers


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A command, or a group of commands."""

    name: str
    location: str
    """``MODULE.FUNCTION`` below ``agent.cli``: the command itself, or what returns the group."""
    summary: str
    """What the list of commands says of it: short enough for a terminal of 80 columns."""
    is_group: bool = False
    takes_program: bool = False
    """Its last arguments are another program's, dashes and all."""


ENTRIES = (
    Entry("run", "run.run", "Run the agent on SOURCE until it is stopped"),
    Entry("apply", "apply.apply", "Bring about what SOURCE declares, once"),
    Entry("plan", "plan.plan", "Print what would change, and why"),
    Entry("validate", "source.validate", "Check SOURCE: problems with path:line:column"),
    Entry("render", "source.render", "Print SOURCE with every default filled in"),
    Entry("adopt", "adopt.adopt", "Take over containers that Docker or Podman runs"),
    Entry("reconcile", "reconcile.reconcile", "Let the running agent look at everything now"),
    Entry("restart", "restart.restart", "Restart containers, once"),
    Entry("suspend", "suspend.suspend", "Let objects, or the source, be as they are"),
    Entry("resume", "suspend.resume", "Keep what was suspended as declared again"),
    Entry("status", "status.status", "Print how the agent, its source and objects are"),
    Entry("describe", "describe.describe", "Print all that is known of an object"),
    Entry("history", "past.history", "Print the revisions that were read and applied"),
    Entry("events", "past.events", "Print what was done to objects, and why"),
    Entry("observe", "plan.observe", "Print what is on the host"),
    Entry("explain", "explain.explain", "Print what a kind or a field is"),
    Entry("delete", "apply.delete", "Remove what SOURCE declares, and nothing else"),
    Entry("logs", "containers.logs", "Print what a container wrote"),
    Entry("exec", "containers.execute", "Run a command in a running container", takes_program=True),
    Entry("cp", "copy.copy", "Copy files out of a container, or into it"),
    Entry("top", "processes.top", "Print the processes of a running container"),
    Entry("wait", "processes.wait", "Wait until containers end, print their exit codes"),
    Entry("doctor", "doctor.doctor", "Check what this host lacks, and print each fix"),
    Entry("build", "build.build", "Check a Dockerfile: problems with path:line:column"),
    Entry("image", "image.group", "Work with images by hand", is_group=True),
    Entry("system", "system.group", "See and free what takes room on the disk", is_group=True),
    Entry("version", "version.version", "Print the version"),
)


_PROGRAM = "trimtab"
_COMPLETE = "_TRIMTAB_COMPLETE"
_SHOW = "--show-completion"
_COMPLETION_FLAGS = frozenset({"--install-completion", _SHOW})


class LazyGroup(peers.SuggestingGroup):
    """The root command."""

    _is_listing = False
    """Whether only names and summaries are needed."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - as typer declares it
        """Read the arguments. The flags for completion take a shell's name too; typer's know the running one only."""
        words = [word for argument in args for word in argument.split("=", 1)]
        if len(words) == 2 and words[0] in _COMPLETION_FLAGS:  # noqa: PLR2004 - a flag and its value
            _complete_in(*words)
            raise typer.Exit
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - as typer declares it
        """Return the commands' names, in the table's order."""
        return [entry.name for entry in ENTRIES]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002 - as typer declares it
        """Return a command, or ``None``; while commands are only listed, one that has nothing but its summary."""
        entry = next((entry for entry in ENTRIES if entry.name == cmd_name), None)
        if entry is None or not self._is_listing:
            return None if entry is None else load(entry)
        return typer.core.TyperCommand(entry.name, help=entry.summary, rich_markup_mode=None)

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - as typer declares it
        """Write the help."""
        with self._listing():
            super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:  # noqa: ANN401 - as typer declares it
        """Return the commands and flags that begin so."""
        with self._listing():
            return super().shell_complete(ctx, incomplete)

    @contextlib.contextmanager
    def _listing(self) -> Iterator[None]:
        self._is_listing = True
        try:
            yield
        finally:
            self._is_listing = False


def _complete_in(flag: str, shell: str) -> None:
    """Install or print the completion of a shell. Raises ``typer.BadParameter`` for one that is not known."""
    from typer import _completion_shared as completion  # what its own flags call: it has no public name

    shells = [name.value for name in completion.Shells]
    if shell not in shells:
        raise typer.BadParameter(f"{flag}: {shell!r} is none of {', '.join(shells)}")
    if flag == _SHOW:
        typer.echo(completion.get_completion_script(prog_name=_PROGRAM, complete_var=_COMPLETE, shell=shell))
        return
    _, path = completion.install(shell=shell, prog_name=_PROGRAM, complete_var=_COMPLETE)
    typer.echo(f"{shell} completion installed in {path}\nCompletion will take effect once you restart the terminal")


def load(entry: Entry) -> Any:  # noqa: ANN401 - typer's command
    """Import a command and return it as typer's."""
    module, _, attribute = entry.location.rpartition(".")
    function = getattr(importlib.import_module(f"agent.cli.{module}"), attribute)
    if entry.is_group:
        group = typer.main.get_group(function())
        for command in group.commands.values():
            coercion.apply_to(command)
        return coercion.apply_to(group)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    settings = {"help_option_names": ["-h", "--help"], "allow_interspersed_args": not entry.takes_program}
    app.command(entry.name, context_settings=settings)(function)
    return coercion.apply_to(typer.main.get_command(app))
