"""``python -m agent`` and the ``trimtab`` command."""

import contextlib
import gc
import os
import sys
from typing import NoReturn

import agent
from agent.kit import deferral, isolation

_UMASK = 0o022
"""What is secret is made with a mode of its own. A stricter mask, which OCI runtimes inherit, would close containers'
mount points and directories to every program that is not root."""
_GARBAGE = 20_000
"""New objects between two rounds of the garbage collector: importing makes many, and none of them is garbage."""


def main() -> None:
    """Run the command and exit with its code."""
    _open_standard_streams()
    gc.set_threshold(_GARBAGE)
    isolation.forget_current_folder()
    if sys.argv[1:] == ["--version"]:  # asked for by scripts, often: nothing else is imported for it
        with contextlib.suppress(OSError):  # then the command says why it cannot be written
            sys.stdout.write(f"{agent.__version__}\n")
            sys.stdout.flush()
            return
    deferral.defer()
    if any("://" in argument for argument in sys.argv):
        from agent.kit import command_line  # noqa: PLC0415 - only who types a URL pays for it

        command_line.hide_logins(sys.argv)
    from agent.cli import main as command  # noqa: PLC0415 - nothing is imported from where somebody happens to stand

    os.umask(_UMASK)
    _leave(command.main())


def _open_standard_streams() -> None:
    """Open those of the three that are closed (``>&-``): else the first file that is opened would take its place.

    What is written to stdout then cannot be written, as without it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_RDWR)
            name, mode = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))[number]
            setattr(sys, name, os.fdopen(number, mode))


def _leave(code: int) -> NoReturn:
    """End the process at once: the interpreter would free object by object what ends with it, longer than some answers.

    Where anything is left to do (a thread that writes, output that cannot be written), it ends in its own way.
    """
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(code)
    threads = sys.modules.get("threading")
    if threads is not None and threads.active_count() > 1:
        sys.exit(code)
    os._exit(code)


if __name__ == "__main__":
    main()
