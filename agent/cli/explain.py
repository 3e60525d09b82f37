"""``explain``: what a field means, from the same models that read manifests."""

from typing import Annotated

from agent.cli import completion, options, terminal, typed


def explain(
    path: Annotated[
        str,
        typed.Argument(
            metavar="PATH",
            help="As container.spec.health or volume; none: all kinds.",
            show_default=False,
            completion=completion.field_paths,
        ),
    ] = "",
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Print what a kind or a field is: its type, its default, and the fields inside of it."""
    from agent.manifests import explain as explaining

    if output is not options.Output.TEXT:
        terminal.result_document(explaining.look_up(path), output)
    else:
        terminal.result(explaining.explain(path))
