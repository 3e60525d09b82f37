"""``status``: what the agent last wrote down of every object and of its source."""

from agent import settings
from agent.cli import options, terminal


@options.with_settings()
def status(chosen: settings.Settings, output: options.OutputOption = options.Output.TEXT) -> None:
    """Print every object with its condition, and the revision; beside a running agent and without one."""
    from agent.cli import standing
    from agent.converge import journal
    from agent.engine import layout
    from agent.kit import locks

    with journal.Journal(chosen.journal) as book:
        agent = locks.FileLock(layout.Layout(chosen.root, chosen.run).lock).holder()
        if output is options.Output.JSON:
            terminal.result_json(standing.document(book, agent))
        else:
            standing.show(book, agent)
