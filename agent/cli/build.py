"""``build``: look at a Dockerfile. Building itself comes later, and is refused until then."""

from typing import Annotated

import click

from agent import errors
from agent.cli import exits, options, terminal, typed


def build(
    path: Annotated[str, typed.Argument(metavar="PATH", help="The context's directory, or a Dockerfile.")] = ".",
    *,
    check: Annotated[bool, typed.Option("--check", help="Look at the Dockerfile without building it.")] = False,
    file: Annotated[
        str | None, typed.Option("--file", "-f", metavar="FILE", help="The Dockerfile. Default: PATH/Dockerfile.")
    ] = None,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Check a Dockerfile: every mistake with path:line:column, and BuildKit's build checks by their names.

    Exits with 1 where there is anything to say. `# check=skip=NAME,...` in the file leaves checks out. Nothing is
    fetched: what a base image sets is not known. Building images is not there yet.
    """
    if not check:
        message = "building images is not there yet"
        raise errors.InvalidArgument(message, hint="check the Dockerfile with --check; build it with docker build")
    from agent.cli import dockerfiles

    examination = dockerfiles.examine(path, file)
    if output is not options.Output.TEXT:
        terminal.result_document(examination.document(), output)
    else:
        examination.show()
    if examination.problems or examination.findings:
        raise click.exceptions.Exit(exits.FAILED)
    if output is options.Output.TEXT:
        terminal.result(f"{examination.path}: no problems")
