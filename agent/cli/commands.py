"""The commands by name, and a group that imports only the one that is typed.

Importing all of them takes several times what ``--help``, ``--version`` and a press of TAB may take.
"""

import contextlib
import importlib
from collections.abc import Iterator

import click
from click import shell_completion

from agent.cli import peers, typed
from agent.kit import frozen


@frozen.value
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
    Entry("build", "build.build", "Build an image from a Dockerfile, or check it"),
    Entry("image", "image.group", "Work with images by hand", is_group=True),
    Entry("system", "system.group", "See and free what takes room on the disk", is_group=True),
    Entry("version", "version.version", "Print the version"),
)


COMPLETION_VARIABLE = "_TRIMTAB_COMPLETE"
"""By which a shell asks for completions."""


class LazyGroup(peers.SuggestingGroup):
    """The root command."""

    _is_listing = False
    """Whether only names and summaries are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click declares it
        """Return the commands' names, in the table's order."""
        return [entry.name for entry in ENTRIES]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as click declares it
        """Return a command, or ``None``; while commands are only listed, one that has nothing but its summary."""
        entry = next((entry for entry in ENTRIES if entry.name == cmd_name), None)
        if entry is None or not self._is_listing:
            return None if entry is None else load(entry)
        return _Listed(entry.name, short_help=entry.summary)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help."""
        with self._listing():
            super().format_help(ctx, formatter)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as click declares it
        """Write what the program is for: a plain line, from which click would take indentation."""
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(self.help or "")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as click declares it
        """Write what stands below the commands."""
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(self.epilog or "")

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[shell_completion.CompletionItem]:
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


class _Listed(click.Command):
    """A command of which only the name and the summary are needed."""

    def get_short_help_str(self, limit: int = 45) -> str:  # noqa: ARG002 - as click declares it
        """Return the summary, which is short enough."""
        return self.short_help or ""


def load(entry: Entry) -> click.Command:
    """Import a command and return it as click's."""
    module, _, attribute = entry.location.rpartition(".")
    function = getattr(importlib.import_module(f"agent.cli.{module}"), attribute)
    if entry.is_group:
        group: click.Command = function()
        return group
    return typed.command(entry.name, function, takes_program=entry.takes_program)
