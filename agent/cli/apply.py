"""``apply`` and ``delete``: converge once and come back."""

from agent import settings
from agent.cli import options


@options.with_settings()
def apply(
    chosen: settings.Settings,
    source: options.SourceArgument,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Converge once and exit: with 0 when all that SOURCE declares is there."""
    from agent import app
    from agent.cli import convergence

    convergence.converge(lambda sink: app.apply(chosen, source, sink), output, "applied")


@options.with_settings()
def delete(
    chosen: settings.Settings,
    source: options.SourceArgument,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Remove what SOURCE declares, and nothing else. Volumes stay unless their manifest says deletionPolicy: Delete."""
    from agent import app
    from agent.cli import convergence

    convergence.converge(lambda sink: app.delete(chosen, source, sink), output, "deleted")
