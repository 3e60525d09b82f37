"""Whether two SOURCEs are the same: the command's, and that of the agent which is asked about it."""

import os

from agent.kit import command_line

_GIT = "git+"


def identity(text: str) -> str:
    """Return what a SOURCE is called where the working directory is another one, free of credentials."""
    return command_line.without_logins(text) if text.startswith(_GIT) else os.path.abspath(text)  # noqa: PTH100 - resolves no links


def is_same(first: str, second: str) -> bool:
    """Return whether two identities name the same source now: the same text, or paths that lead to the same place.

    It looks at the disk, which may take long where that is a network's.
    """
    if first == second:
        return True
    if first.startswith(_GIT) or second.startswith(_GIT):
        return False
    try:
        return os.path.realpath(first) == os.path.realpath(second)
    except ValueError:  # a NUL
        return False
