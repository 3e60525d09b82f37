"""``version``."""

import agent
from agent.cli import terminal


def version() -> None:
    """Print the version."""
    terminal.result(agent.__version__)
