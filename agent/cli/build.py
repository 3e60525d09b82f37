"""``build``: build an image from a Dockerfile, or look at the Dockerfile alone."""

import enum
from typing import Annotated

import click

from agent import settings
from agent.cli import exits, options, terminal, typed

_STDOUT = "-"


class Progress(enum.StrEnum):
    """How progress is shown."""

    AUTO = "auto"
    PLAIN = "plain"
    JSON = "json"


class BuildNetwork(enum.StrEnum):
    """What RUN has of a network."""

    DEFAULT = "default"
    NONE = "none"
    HOST = "host"


Path = Annotated[
    str,
    typed.Argument(
        metavar="PATH",
        help="The context: a directory, an archive, a git repository (URL.git#REF:FOLDER), or - for stdin; or a"
        " Dockerfile.",
    ),
]
File = Annotated[
    str | None,
    typed.Option("--file", "-f", metavar="FILE", help="The Dockerfile, or - for stdin. Default: PATH/Dockerfile."),
]
Target = Annotated[str, typed.Option("--target", metavar="STAGE", help="The stage to build. Default: the last one.")]
Platform = Annotated[
    str, typed.Option("--platform", metavar="OS/ARCH", help="What the image is for. Default: this host.")
]
Network = Annotated[BuildNetwork, typed.Option("--network", help="The network of RUN, where it names none.")]
Pairs = Annotated[list[str] | None, typed.Option("--build-arg", metavar="NAME[=VALUE]", help="A value of an ARG.")]
Tags = Annotated[
    list[str] | None,
    typed.Option("--tag", "-t", metavar="NAME", help="What the image is kept as. Default: it is not kept."),
]
Labels = Annotated[list[str] | None, typed.Option("--label", metavar="NAME=VALUE", help="A label of the image.")]
Secrets = Annotated[
    list[str] | None,
    typed.Option(
        "--secret", metavar="id=ID[,src=FILE|,env=NAME]", help="What RUN --mount=type=secret,id=ID gets; in no layer."
    ),
]
Agents = Annotated[
    list[str] | None,
    typed.Option("--ssh", metavar="ID[=SOCKET]", help="An ssh agent for RUN --mount=type=ssh. Default: SSH_AUTH_SOCK."),
]
CacheFrom = Annotated[
    list[str] | None,
    typed.Option("--cache-from", metavar="REFERENCE", help="A cache in a registry to take steps from."),
]
CacheTo = Annotated[
    list[str] | None,
    typed.Option(
        "--cache-to",
        metavar="REFERENCE",
        help="A cache in a registry to keep the steps in; type=registry,ref=REFERENCE,mode=max: of every stage.",
    ),
]
Output = Annotated[
    str,
    typed.Option(
        "--output",
        "-o",
        metavar="text|json|yaml|DIR",
        help="How the result is printed; or a directory that the last stage's files are written to, - for a tar on"
        " stdout, or type=local|tar,dest=PATH.",
    ),
]
Contexts = Annotated[
    list[str] | None,
    typed.Option(
        "--build-context",
        metavar="NAME=WHAT",
        help="A named context: a directory, docker-image://REFERENCE, or the URL of a git repository or an archive.",
    ),
]


@options.with_settings()
def build(  # noqa: PLR0913 - as people know it
    chosen: settings.Settings,
    path: Path = ".",
    *,
    tag: Tags = None,
    file: File = None,
    target: Target = "",
    build_arg: Pairs = None,
    label: Labels = None,
    platform: Platform = "",
    secret: Secrets = None,
    ssh: Agents = None,
    build_context: Contexts = None,
    cache_from: CacheFrom = None,
    cache_to: CacheTo = None,
    network: Network = BuildNetwork.DEFAULT,
    no_cache: Annotated[bool, typed.Option("--no-cache", help="Do every step anew.")] = False,
    pull: Annotated[bool, typed.Option("--pull", help="Ask the registries for the base images again.")] = False,
    progress: Annotated[Progress, typed.Option("--progress", help="How progress is shown.")] = Progress.AUTO,
    quiet: Annotated[bool, typed.Option("--quiet", "-q", help="Print the image's id alone.")] = False,
    check: Annotated[bool, typed.Option("--check", help="Look at the Dockerfile without building it.")] = False,
    output: Output = "",
) -> None:
    """Build an image from a Dockerfile, with the result that Docker gives; over an engine, by its own builder.

    Steps whose instruction and files are as in an earlier build are taken from the cache. The image's reference and id
    go to stdout, progress to stderr. SOURCE_DATE_EPOCH as a --build-arg makes builds reproducible.

    With --check nothing is built or fetched: every mistake is told with path:line:column, and BuildKit's build checks
    by their names. Exits with 1 where there is anything to say. `# check=skip=NAME,...` in the file leaves checks out.
    """
    form = options.Output(output) if output in set(options.Output) else options.Output.TEXT
    if check:
        _check(path, file, form)
        return
    from agent.cli import building

    choices = building.Choices(
        target=target,
        build_args=build_arg or (),
        labels=label or (),
        platform=platform,
        secrets=secret or (),
        ssh=ssh or (),
        contexts=build_context or (),
        cache_from=cache_from or (),
        cache_to=cache_to or (),
        uses_cache=not no_cache,
        pulls=pull,
        network=network.value,
        output="" if output in set(options.Output) else output,
    )
    image = building.build(chosen, (path, file), choices, tag or (), "none" if quiet else progress.value)
    if form is not options.Output.TEXT:
        terminal.result_document(image, form)
    elif output != _STDOUT:
        terminal.result(image.id if quiet else " ".join((*image.references, image.id)))


def _check(path: str, file: str | None, output: options.Output) -> None:
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
