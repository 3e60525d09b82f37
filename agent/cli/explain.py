"""``explain``: what a field means, from the same models that read manifests."""

from typing import Annotated

import typer

from agent.cli import completion, options, terminal


def explain(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="As container.spec.health or volume.", autocompletion=completion.field_paths
        ),
    ],
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Print what a kind or a field is: its type, its default, and the fields inside of it."""
    from agent.manifests import explain as explaining

    if output is options.Output.JSON:
        terminal.result_json(explaining.look_up(path))
    else:
        terminal.result(explaining.explain(path))
