"""Whether two SOURCEs are the same: the command's, and that of the agent which is asked about it."""

import os

from agent.kit import command_line

_GIT = "git+"


def identity(text: str) -> str:
    """Return what a SOURCE is called where the working directory is another one, free of credentials."""
    return command_line.without_logins(text) if text.startswith(_GIT) else os.path.abspath(text)  # noqa: PTH100 - resolves no links
