"""``version``."""

import agent
from agent.cli import flags, terminal


def version(output: flags.OutputOption = flags.Output.TEXT) -> None:
    """Print the version."""
    if output is flags.Output.TEXT:
        terminal.result(agent.__version__)
    else:
        terminal.result_document({"version": agent.__version__}, output)
