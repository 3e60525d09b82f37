"""``--install-completion`` and ``--show-completion``: what lets a shell ask for completions."""

import os
import pathlib
from collections.abc import Callable

import click
from click import shell_completion

from agent.cli import commands, peers, terminal

SHELLS = ("bash", "zsh", "fish")


def show(shell: str) -> None:
    """Print the script of a shell; of the user's own for an empty text. Raises ``click.BadParameter``."""
    terminal.result(_script(_checked("--show-completion", shell)).rstrip("\n"))


def install(shell: str) -> None:
    """Write the script of a shell where that finds it. Raises ``click.BadParameter``, ``OSError``."""
    shell = _checked("--install-completion", shell)
    home = pathlib.Path.home()
    match shell:
        case "bash":
            path = home / ".bash_completions" / f"{peers.PROGRAM}.sh"
            _add_line(home / ".bashrc", f"source '{path}'")
        case "zsh":
            path = home / ".zfunc" / f"_{peers.PROGRAM}"
            _add_line(home / ".zshrc", "fpath+=~/.zfunc; autoload -Uz compinit; compinit")
        case _:
            path = home / ".config/fish/completions" / f"{peers.PROGRAM}.fish"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_script(shell))
    terminal.result(f"{shell} completion installed in {path}")
    terminal.result("Completion will take effect once you restart the terminal")


def _script(shell: str) -> str:
    kind = shell_completion.get_completion_class(shell)
    if kind is None:
        raise AssertionError(shell)
    return kind(click.Command(peers.PROGRAM), {}, peers.PROGRAM, commands.COMPLETION_VARIABLE).source().lstrip("\n")


def _checked(flag: str, shell: str) -> str:
    """Return a shell that there is a script for; the user's own where none is named."""
    name = shell or os.path.basename(os.environ.get("SHELL", ""))  # noqa: PTH119 - a name is wanted, not a path
    if name not in SHELLS:
        raise click.BadParameter(f"{flag}: {name!r} is none of {', '.join(SHELLS)}")
    return name


def _add_line(path: pathlib.Path, line: str) -> None:
    """Add a line to a file that has it not."""
    text = path.read_text() if path.is_file() else ""
    if line not in text.splitlines():
        path.write_text(f"{text.rstrip()}\n{line}\n".lstrip("\n"))


ACTIONS: dict[str, Callable[[str], None]] = {"install": install, "show": show}
